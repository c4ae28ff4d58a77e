"""`filas flows check`. It is in its own module because it imports the template and pattern engines."""

from typing import Any

import click
import msgspec

from filas.cli.api_client import Client, CommandFailed, from_environment
from filas.cli.json_documents import Document, read_document
from filas.cli.output import as_json, show_json, show_problems, show_table
from filas.flows import publishing_checks
from filas.flows.checks import outside_uses
from filas.flows.definition import older_builder_import


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--server", is_flag=True, help="Let the server check it, with the flows, channels and secrets it uses.")
@click.option("--id", "flow_id", metavar="ID", help="The flow's id, for the server.  [default: the file's name]")
@click.option("--names", "node_id", metavar="NODE", help="Show the names in scope at NODE instead; asks the server.")
@as_json
def check(files: tuple[str, ...], server: bool, flow_id: str | None, node_id: str | None, as_json: bool) -> None:
    """Report every error and warning of the flows in the FILEs (JSON; `-`: standard input). Needs no server.

    Whether the flows, channels and secrets that they use exist is checked only with `--server`, and by `apply`. Exit
    code 1 for an error, not for a warning.
    """
    if flow_id is not None and len(files) > 1:
        raise click.UsageError("--id needs exactly one FILE")
    if node_id is not None:
        if len(files) > 1:
            raise click.UsageError("--names needs exactly one FILE")
        _show_names(read_document(files[0]), flow_id, node_id, as_json)
        return
    client = from_environment() if server else None
    found: list[dict[str, Any]] = []
    failed: list[str] = []
    unchecked: set[str] = set()
    for document in [read_document(file) for file in files]:
        problems, used = _problems(document) if client is None else (_checked(client, document, flow_id), set())
        found += problems
        unchecked |= used
        if any(one["severity"] == "error" for one in problems):
            failed.append(document.source)
        if not as_json:
            _show(document.source, problems)
    if as_json:
        show_json(found)
    elif unchecked:
        click.echo(f"Not checked without a server: {', '.join(sorted(unchecked))}")
    if failed:
        count = sum(one["severity"] == "error" for one in found)
        raise CommandFailed(f"{', '.join(failed)}: {count} error{'s' if count > 1 else ''}")


def _show_names(document: Document, flow_id: str | None, node_id: str, as_json: bool) -> None:
    answer = from_environment().post("flows", flow_id or document.stem, "check", body=document.value, nodeId=node_id)
    if node_id not in answer["scopes"]:
        raise CommandFailed(f"{document.source} has no node {node_id!r}")
    names = answer["scopes"][node_id]
    if as_json:
        show_json(names)
    else:
        rows = [(one["name"], one["kind"], one["detail"]) for one in names]
        show_table(("NAME", "KIND", "WHAT"), rows, nothing="No names")


def _checked(client: Client, document: Document, flow_id: str | None) -> list[dict[str, Any]]:
    """Returns each finding of the server."""
    answer = client.post("flows", flow_id or document.stem, "check", body=document.value)
    return [
        _finding(document, one | {"severity": severity})
        for severity, name in (("error", "errors"), ("warning", "warnings"))
        for one in answer[name]
    ]


def _finding(document: Document, one: dict[str, Any]) -> dict[str, Any]:
    """Returns a finding with its file, and with the line of its node if it is found."""
    node_id = one.get("nodeId")
    return {
        "file": document.source,
        "line": document.line_of_id(node_id),
        "nodeId": node_id,
        "field": one.get("field", ""),
        "message": one["message"],
        "code": one.get("code", ""),
        "severity": one["severity"],
    }


def _show(source: str, problems: list[dict[str, Any]]) -> None:
    if not problems:
        click.echo(f"{source}: OK")
        return
    is_wrong = any(one["severity"] == "error" for one in problems)
    click.echo(f"{source}:" if is_wrong else f"{source}: OK, with warnings:")
    show_problems(problems, with_lines=True)


def _problems(document: Document) -> tuple[list[dict[str, Any]], set[str]]:
    """Returns each finding, and the definitions outside of the flow that it uses: `flow menu`."""
    definition, found = publishing_checks.check(older_builder_import.to_current_format(document.value))
    used = set() if definition is None else {f"{one.kind} {one.name}" for one in outside_uses.uses(definition)}
    return [_finding(document, msgspec.to_builtins(one)) for one in found], used
