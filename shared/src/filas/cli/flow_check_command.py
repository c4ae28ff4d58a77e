"""`filas flow check`. It is in its own module because it imports the template and pattern engines."""

from typing import Any

import click

from filas.cli.api_client import CommandFailed
from filas.cli.json_documents import Document, read_document
from filas.cli.output import as_json, show_json, show_table
from filas.flows import publishing_checks
from filas.flows.definition import older_builder_import


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@as_json
def check(files: tuple[str, ...], as_json: bool) -> None:
    """Report every error of the flows in the FILEs (JSON; `-`: standard input). Needs no server."""
    found: list[dict[str, Any]] = []
    failed: list[str] = []
    for document in [read_document(file) for file in files]:
        problems = _problems(document)
        found += problems
        if problems:
            failed.append(document.source)
        if as_json:
            continue
        if problems:
            rows = [(one["nodeId"], one["field"] or None, one["line"], one["message"]) for one in problems]
            click.echo(f"{document.source}:")
            show_table(("NODE", "FIELD", "LINE", "ERROR"), rows, nothing="")
        else:
            click.echo(f"{document.source}: OK")
    if as_json:
        show_json(found)
    if failed:
        raise CommandFailed(f"{', '.join(failed)}: {len(found)} error{'s' if len(found) > 1 else ''}")


def _problems(document: Document) -> list[dict[str, Any]]:
    """Returns each error with its file, and with the line of its node if it is found."""
    _, found = publishing_checks.check(older_builder_import.to_current_format(document.value))
    return [
        {
            "file": document.source,
            "line": document.line_of_id(one.node_id),
            "nodeId": one.node_id,
            "field": one.field,
            "message": one.message,
        }
        for one in found
    ]
