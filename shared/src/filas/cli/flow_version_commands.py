"""`filas flows show`, `versions`, `rollback`, `delete` and `schema`: what is stored of a flow."""

import click

from filas.cli import options
from filas.cli.api_client import CommandFailed, from_environment
from filas.cli.output import always_json, as_json, show_json, show_problems, show_result, show_table

_VERSION = click.option("--version", type=click.IntRange(min=1), help="This version instead of the published one.")


@click.command()
@click.argument("flow_id", metavar="ID")
@_VERSION
@always_json
def show(flow_id: str, version: int | None) -> None:
    """Print the flow ID: its version, its definition, and whether it is published."""
    show_json(from_environment().get("flows", flow_id, version=version))


@click.command()
@click.argument("flow_id", metavar="ID")
@options.limit
@as_json
def versions(flow_id: str, limit: int, as_json: bool) -> None:
    """List the versions of the flow ID, the newest first."""
    found = list(from_environment().items("flows", flow_id, "versions", limit=limit))
    if as_json:
        show_json(found)
        return
    rows = [(item["version"], item["name"], item["published"], item["createdAt"], item["createdBy"]) for item in found]
    show_table(("VERSION", "NAME", "PUBLISHED", "CREATED", "BY"), rows, nothing="No versions")


@click.command()
@click.argument("flow_id", metavar="ID")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--force", is_flag=True, help="Also if a flow, channel or secret that it uses is not stored.")
@click.option("--skip-tests", is_flag=True, help="Do not run the saved tests of the flow.")
@as_json
def rollback(flow_id: str, version: int, force: bool, skip_tests: bool, as_json: bool) -> None:
    """Publish the definition of VERSION of the flow ID again, as a new version. Executions continue in their own."""
    client = from_environment()
    definition = client.get("flows", flow_id, version=version)["definition"]
    try:
        options = {"force": str(force).lower(), "skipTests": str(skip_tests).lower()}
        stored = client.put("flows", flow_id, body=definition, publish="true", **options)
    except CommandFailed as refusal:
        show_problems(refusal.errors)
        raise
    show_result(stored, f"{flow_id} version {stored['version']} is published; it equals {version}", as_json=as_json)


@click.command()
@click.argument("flow_id", metavar="ID")
@options.delete_force
@as_json
def delete(flow_id: str, force: bool, as_json: bool) -> None:
    """Delete the flow ID with its versions. It is refused while it has unfinished executions, or is used."""
    done = from_environment().delete("flows", flow_id, **options.forced(force))
    show_result(done, f"{flow_id} deleted", as_json=as_json)


@click.command()
@always_json
def schema() -> None:
    """Print the JSON Schema of a flow's definition."""
    show_json(from_environment().document("flows", "schema.json"))
