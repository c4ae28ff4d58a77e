"""`filas flows …`: apply, compare, test, export and list flows."""

import json
from typing import Any

import click

from filas.cli import options
from filas.cli.api_client import Client, CommandFailed, from_environment
from filas.cli.flow_differences import Difference, differences
from filas.cli.flow_order import in_order_of_use
from filas.cli.json_documents import Document, read_document
from filas.cli.lazy_commands import LazyGroup
from filas.cli.output import always_json, as_json, show_json, show_problems, show_table
from filas.flows.definition import older_builder_import

_MARKS = {"added": "+", "removed": "-", "changed": "~"}


@click.group(
    cls=LazyGroup,
    addresses={
        "check": "filas.cli.flow_check_command:check",
        "delete": "filas.cli.flow_version_commands:delete",
        "rollback": "filas.cli.flow_version_commands:rollback",
        "schema": "filas.cli.flow_version_commands:schema",
        "show": "filas.cli.flow_version_commands:show",
        "test": "filas.cli.flow_test_command:test",
        "versions": "filas.cli.flow_version_commands:versions",
    },
)
def flows() -> None:
    """Flows: list, show, check, apply, compare, test, export, roll back, delete."""


@flows.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--id", "flow_id", metavar="ID", help="The flow's id.  [default: the file's name without .json]")
@click.option("--no-publish", is_flag=True, help="Store the version without publishing it.")
@click.option("--force", is_flag=True, help="Publish it although a flow, channel or secret that it uses is not stored.")
@click.option("--if-version", type=click.IntRange(min=0), help="Refuse if another version is published (0: none).")
@as_json
def apply(
    files: tuple[str, ...], flow_id: str | None, no_publish: bool, force: bool, if_version: int | None, as_json: bool
) -> None:
    """Store each FILE (JSON; `-`: standard input) as a new version of its flow and publish it.

    A definition that equals the newest version creates no new version. A flow is stored after the flows of other FILEs
    that it uses.
    """
    if flow_id is not None and len(files) > 1:
        raise click.UsageError("--id needs exactly one FILE")
    if if_version is not None and len(files) > 1:
        raise click.UsageError("--if-version needs exactly one FILE")
    options = {} if if_version is None else {"ifVersion": str(if_version)}
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


def _published(client: Client, flow_id: str, version: int | None = None) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = client.get("flows", flow_id, version=version)
    except CommandFailed as refusal:
        if refusal.status == 404:
            return None
        raise
    return found if found["published"] or version is not None else None


@flows.command()
@click.argument("file")
@click.option("--id", "flow_id", metavar="ID", help="The flow's id.  [default: the file's name without .json]")
@click.option("--version", type=click.IntRange(min=1), help="Compare with this version instead of the published one.")
@as_json
def diff(file: str, flow_id: str | None, version: int | None, as_json: bool) -> None:
    """Show what FILE would change in the published version of its flow. Exit code 1 if they differ."""
    document = read_document(file)
    name = flow_id or document.stem
    stored = _published(from_environment(), name, version)
    found = differences(stored["definition"] if stored else {}, older_builder_import.to_current_format(document.value))
    if as_json:
        show_json([one._asdict() for one in found])
    else:
        for one in found:
            click.echo(_line(one))
    against = f"version {stored['version']} of {name}" if stored else f"{name}, which has no published version"
    if found:
        raise CommandFailed(f"{file} differs from {against}")
    if not as_json:
        click.echo(f"{file} equals {against}")


def _line(one: Difference) -> str:
    place = " ".join(part for part in (one.part if one.part != "flow" else "", one.name) if part)
    head = f"{_MARKS[one.kind]} {': '.join(part for part in (place, one.field) if part)}"
    if one.field == "drawing":
        return f"{head} (positions only; executions do not change)"
    if not one.field:
        kind = one.after or one.before
        return f"{head} ({kind['type']})" if isinstance(kind, dict) and kind.get("type") else head
    if one.kind == "changed":
        return f"{head}: {_value(one.before)} → {_value(one.after)}"
    return f"{head}: {_value(one.after if one.kind == 'added' else one.before)}"


def _value(value: Any) -> str:
    # JSON escapes line breaks and control characters, which a terminal would execute.
    text = json.dumps(value, ensure_ascii=False)
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown if len(shown) <= 200 else shown[:199] + "…"


@flows.command()
@click.argument("flow_id", metavar="ID")
@click.option("--version", type=click.IntRange(min=1), help="This version instead of the published one.")
@always_json
def export(flow_id: str, version: int | None) -> None:
    """Print the definition of the flow ID in the form that `apply` reads."""
    show_json(from_environment().get("flows", flow_id, version=version)["definition"])


@flows.command("list")
@options.limit
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
    show_table(("ID", "NAME", "NEWEST", "PUBLISHED", "CHANGED"), rows, nothing="No flows yet")
