"""`filas flow …`: apply, show, list and check flows."""

import click

from filas.cli.client import Refused, from_environment
from filas.cli.documents import read_object
from filas.cli.loading import LazyGroup
from filas.cli.output import as_json, show_json, show_problems, show_table


@click.group(cls=LazyGroup, addresses={"check": "filas.cli.flow_check:check"})
def flow() -> None:
    """Apply, show, list and check flows."""


@flow.command()
@click.argument("flow_id", metavar="ID")
@click.argument("file")
@click.option("--no-publish", is_flag=True, help="Store the version without making it the one that runs.")
@as_json
def apply(flow_id: str, file: str, no_publish: bool, as_json: bool) -> None:
    """Store FILE (JSON; `-`: standard input) as a new version of the flow ID and publish it."""
    definition = read_object(file)
    try:
        version = from_environment().put("flows", flow_id, body=definition, publish=str(not no_publish).lower())
    except Refused as refusal:
        show_problems(refusal.errors)
        raise
    if as_json:
        show_json(version)
        return
    state = "published" if version["published"] else "stored, not published"
    click.echo(f"{version['id']} version {version['version']} {state}")


@flow.command()
@click.argument("flow_id", metavar="ID")
@click.option("--version", type=click.IntRange(min=1), help="That version instead of the published one.")
def get(flow_id: str, version: int | None) -> None:
    """Print the definition of the flow ID."""
    show_json(from_environment().get("flows", flow_id, version=version)["definition"])


@flow.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@as_json
def list_flows(limit: int, as_json: bool) -> None:
    """List the flows."""
    found = list(from_environment().items("flows", limit=limit))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["id"], item["name"], item["latestVersion"], item["publishedVersion"], item["updatedAt"]) for item in found
    ]
    show_table(("ID", "NAME", "NEWEST", "PUBLISHED", "CHANGED"), rows, nothing="no flow has been put yet")
