"""`filas flows …`: apply, compare, test, export and list flows."""

from typing import Any

import click

from filas.cli import options
from filas.cli.api_client import Client, CommandFailed, from_environment
from filas.cli.flow_order import in_order_of_use
from filas.cli.json_documents import Document, read_document
from filas.cli.lazy_commands import LazyGroup
from filas.cli.output import always_json, as_json, show_json, show_problems, show_table


@click.group(
    cls=LazyGroup,
    addresses={
        "check": "filas.cli.flow_check_command:check",
        "compare": "filas.cli.flow_difference_commands:compare",
        "delete": "filas.cli.flow_version_commands:delete",
        "drafts": "filas.cli.flow_draft_commands:drafts",
        "diff": "filas.cli.flow_difference_commands:diff",
        "import": "filas.cli.flow_import_command:import_command",
        "rollback": "filas.cli.flow_version_commands:rollback",
        "schema": "filas.cli.flow_version_commands:schema",
        "show": "filas.cli.flow_version_commands:show",
        "test": "filas.cli.flow_test_command:test",
        "traffic": "filas.cli.flow_traffic_command:traffic",
        "tests": "filas.cli.saved_test_commands:tests",
        "uses": "filas.cli.flow_traffic_command:uses",
        "versions": "filas.cli.flow_version_commands:versions",
    },
)
def flows() -> None:
    """Flows: list, show, check, apply, compare, test, export, roll back, delete; their traffic."""


@flows.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--id", "flow_id", metavar="ID", help="The flow's id.  [default: the file's name without .json]")
@click.option("--no-publish", is_flag=True, help="Store the version without publishing it.")
@click.option("--force", is_flag=True, help="Publish it although a flow, channel or secret that it uses is not stored.")
@click.option("--skip-tests", is_flag=True, help="Publish it without running its saved tests.")
@click.option("--if-version", type=click.IntRange(min=0), help="Refuse if another version is published (0: none).")
@as_json
def apply(
    files: tuple[str, ...],
    flow_id: str | None,
    no_publish: bool,
    force: bool,
    skip_tests: bool,
    if_version: int | None,
    as_json: bool,
) -> None:
    """Store each FILE (JSON; `-`: standard input) as a new version of its flow and publish it.

    A definition that equals the newest version creates no new version. A flow is stored after the flows of other FILEs
    that it uses.
    """
    if flow_id is not None and len(files) > 1:
        raise click.UsageError("--id needs exactly one FILE")
    if if_version is not None and len(files) > 1:
        raise click.UsageError("--if-version needs exactly one FILE")
    options = {"skipTests": str(skip_tests).lower()}
    if if_version is not None:
        options["ifVersion"] = str(if_version)
    documents = [(flow_id or document.stem, document) for document in map(read_document, files)]
    client = from_environment()
    applied = []
    for name, document, is_before_used in in_order_of_use(documents):
        before = _published(client, name)
        version = _put(client, name, document, publish=not no_publish, force=force or is_before_used, **options)
        applied.append(version)
        if not as_json:
            unchanged = before is not None and before["version"] == version["version"]
            state = "published" if version["published"] else "stored, not published"
            click.echo(f"{name} version {version['version']} {'unchanged' if unchanged else state}")
            show_problems([one | {"severity": "warning"} for one in version.get("warnings", ())])
    if as_json:
        show_json(applied)


def _put(
    client: Client, flow_id: str, document: Document, *, publish: bool, force: bool, **query: str
) -> dict[str, Any]:
    query |= {"publish": str(publish).lower(), "force": str(force).lower()}
    try:
        version: dict[str, Any] = client.put("flows", flow_id, body=document.value, **query)
    except CommandFailed as refusal:
        show_problems(refusal.errors)
        raise CommandFailed(f"{document.source}: {refusal.message}", refusal.errors, refusal.status) from None
    return version


def _published(client: Client, flow_id: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = client.get("flows", flow_id)
    except CommandFailed as refusal:
        if refusal.status == 404:
            return None
        raise
    return found if found["published"] else None


@flows.command()
@click.argument("flow_id", metavar="ID")
@click.option("--version", type=click.IntRange(min=1), help="This version instead of the published one.")
@always_json
def export(flow_id: str, version: int | None) -> None:
    """Print the definition of the flow ID in the form that `apply` reads."""
    show_json(from_environment().get("flows", flow_id, version=version)["definition"])


@flows.command("list")
@click.option("--text", metavar="TEXT", help="Only those with TEXT in their id or name.")
@options.limit
@as_json
def list_flows(text: str | None, limit: int, as_json: bool) -> None:
    """List the flows."""
    found = list(from_environment().items("flows", limit=limit, text=text))
    if as_json:
        show_json(found)
        return
    rows = [
        (item["id"], item["name"], item["latestVersion"], item["publishedVersion"], item["updatedAt"]) for item in found
    ]
    show_table(("ID", "NAME", "NEWEST", "PUBLISHED", "CHANGED"), rows, nothing="No flows yet")
