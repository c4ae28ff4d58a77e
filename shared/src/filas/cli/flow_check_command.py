"""`filas flows check`. It is in its own module because it imports the template and pattern engines."""

from typing import Any

import click

from filas.cli.api_client import CommandFailed
from filas.cli.json_documents import Document, read_document
from filas.cli.output import as_json, show_json, show_problems
from filas.flows import publishing_checks
from filas.flows.checks import outside_uses
from filas.flows.definition import older_builder_import


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@as_json
def check(files: tuple[str, ...], as_json: bool) -> None:
    """Report every error and warning of the flows in the FILEs (JSON; `-`: standard input). Needs no server.

    Whether the flows, channels and secrets that they use exist is checked only by `apply`. Exit code 1 for an error,
    not for a warning.
    """
    found: list[dict[str, Any]] = []
    failed: list[str] = []
    unchecked: set[str] = set()
    for document in [read_document(file) for file in files]:
        problems, used = _problems(document)
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


def _show(source: str, problems: list[dict[str, Any]]) -> None:
    if not problems:
        click.echo(f"{source}: OK")
        return
    is_wrong = any(one["severity"] == "error" for one in problems)
    click.echo(f"{source}:" if is_wrong else f"{source}: OK, with warnings:")
    show_problems(problems, with_lines=True)


def _problems(document: Document) -> tuple[list[dict[str, Any]], set[str]]:
    """Returns each finding with its file, and with the line of its node if it is found. Also returns the definitions
    outside of the flow that it uses: `flow menu`."""
    definition, found = publishing_checks.check(older_builder_import.to_current_format(document.value))
    used = set() if definition is None else {f"{one.kind} {one.name}" for one in outside_uses.uses(definition)}
    return [
        {
            "file": document.source,
            "line": document.line_of_id(one.node_id),
            "nodeId": one.node_id,
            "field": one.field,
            "message": one.message,
            "code": one.code,
            "severity": one.severity,
        }
        for one in found
    ], used
