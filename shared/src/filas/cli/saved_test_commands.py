"""`filas flows tests …`: the saved tests of a flow. `filas flows test` runs them."""

import click

from filas.cli.api_client import from_environment
from filas.cli.json_documents import read_object
from filas.cli.output import always_json, as_json, show_json, show_result, show_table


@click.group()
def tests() -> None:
    """Saved tests of flows: list, export, save, delete. `flows test --saved` runs them."""


@tests.command("list")
@click.argument("flow_id", metavar="ID")
@as_json
def list_tests(flow_id: str, as_json: bool) -> None:
    """List the saved tests of the flow ID."""
    found = from_environment().get("flows", flow_id, "tests")
    if as_json:
        show_json(found)
        return
    rows = [(one["name"], ", ".join(one["expect"]), one["savedBy"], one["savedAt"]) for one in found]
    show_table(("NAME", "EXPECTS", "BY", "SAVED"), rows, nothing="No saved tests")


@tests.command()
@click.argument("flow_id", metavar="ID")
@click.argument("name")
@always_json
def export(flow_id: str, name: str) -> None:
    """Print the test NAME of the flow ID in the form that `save` and `flows test --case` read."""
    found = from_environment().get("flows", flow_id, "tests", name)
    show_json({part: found[part] for part in ("name", "request", "expect")})


@tests.command()
@click.argument("flow_id", metavar="ID")
@click.argument("name")
@click.argument("file")
@as_json
def save(flow_id: str, name: str, file: str, as_json: bool) -> None:
    """Save FILE (JSON; `-`: standard input) as the test NAME of the flow ID. Publishing runs it from then on."""
    case = read_object(file)
    case.pop("name", None)
    saved = from_environment().put("flows", flow_id, "tests", name, body=case)
    show_result(saved, f"the test {name} of {flow_id} is saved", as_json=as_json)


@tests.command()
@click.argument("flow_id", metavar="ID")
@click.argument("name")
@as_json
def delete(flow_id: str, name: str, as_json: bool) -> None:
    """Delete the test NAME of the flow ID."""
    done = from_environment().delete("flows", flow_id, "tests", name)
    show_result(done, f"the test {name} of {flow_id} deleted", as_json=as_json)
