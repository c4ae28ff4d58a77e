"""`filas flows drafts …`: what the editor has saved of a flow before it is published."""

import click

from filas.cli.api_client import from_environment
from filas.cli.json_documents import read_object
from filas.cli.output import always_json, as_json, show_json, show_result


@click.group()
def drafts() -> None:
    """Drafts of flows: show, save, delete."""


@drafts.command()
@click.argument("flow_id", metavar="ID")
@always_json
def show(flow_id: str) -> None:
    """Print the draft of the flow ID: its definition, its revision, and who saved it."""
    show_json(from_environment().get("flows", flow_id, "draft"))


@drafts.command()
@click.argument("flow_id", metavar="ID")
@click.argument("file")
@click.option(
    "--revision", type=click.IntRange(min=0), default=0, help="That of the draft to replace.  [default: none]"
)
@click.option("--base-version", type=click.IntRange(min=0), default=0, help="The published version that it changes.")
@as_json
def save(flow_id: str, file: str, revision: int, base_version: int, as_json: bool) -> None:
    """Save FILE (JSON; `-`: standard input) as the draft of the flow ID. It may have errors."""
    body = {"definition": read_object(file), "revision": revision, "baseVersion": base_version}
    saved = from_environment().put("flows", flow_id, "draft", body=body)
    show_result(saved, f"the draft of {flow_id} is saved as revision {saved['revision']}", as_json=as_json)


@drafts.command()
@click.argument("flow_id", metavar="ID")
@as_json
def delete(flow_id: str, as_json: bool) -> None:
    """Delete the draft of the flow ID. Its versions stay."""
    done = from_environment().delete("flows", flow_id, "draft")
    show_result(done, f"the draft of {flow_id} deleted", as_json=as_json)
