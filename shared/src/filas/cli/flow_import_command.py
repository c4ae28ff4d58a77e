"""`filas flows import`. It is in its own module because it imports the template and pattern engines."""

import json
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from filas.cli.api_client import CommandFailed, from_environment
from filas.cli.json_documents import Document, read_document
from filas.cli.output import show_json, show_table
from filas.flows.imports.flow_builder import ImportRefused
from filas.flows.imports.importing import PRODUCTS, Product, import_flow

_COUNTED: Final = ("carried", "changed", "left-out")


@click.command(name="import")
@click.argument("file", metavar="FILE")
@click.option("--from", "product", type=click.Choice(PRODUCTS), required=True, help="The product that exported FILE.")
@click.option("--output", "target", metavar="FILE", help="Write the flow to this file instead of standard output.")
@click.option("--report", "report", metavar="FILE", help="Write the report to this file, as JSON.")
@click.option("--server", is_flag=True, help="Let the server convert it, and check what the flow uses.")
@click.option("--json", "as_json", is_flag=True, help="Print the flow and the report as one JSON object.")
def import_command(
    file: str, product: Product, target: str | None, report: str | None, server: bool, as_json: bool
) -> None:
    """Convert FILE (JSON; `-`: standard input), a flow of another product, to a flow. It stores nothing.

    The report names the result for each block: carried over, changed (how), or left out (why, and what to do). Without
    `--server`, no server is needed. Store the flow with `filas flows apply`.
    """
    document = read_document(file)
    found = _by_server(document, product) if server else _here(document, product)
    if target is not None:
        _write(target, found["definition"])
    if report is not None:
        _write(report, found["blocks"])
    if as_json:
        show_json(found)
        return
    if target is None:
        show_json(found["definition"])
        click.echo(_summary(found["blocks"]), err=True)
        return
    _show_report(found)


def _here(document: Document, product: Product) -> dict[str, Any]:
    try:
        found = import_flow(product, document.value)
    except ImportRefused as error:
        raise CommandFailed(f"{document.source}: {error}") from None
    warnings = [msgspec.to_builtins(one) for one in found.problems]
    return {"definition": found.definition, "blocks": msgspec.to_builtins(found.blocks), "warnings": warnings}


def _by_server(document: Document, product: Product) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = from_environment().post(
            "flows", "import", body={"from": product, "document": document.value}
        )
    except CommandFailed as refusal:
        raise CommandFailed(f"{document.source}: {refusal.message}", refusal.errors, refusal.status) from None
    return answer


def _write(target: str, value: Any) -> None:
    try:
        Path(target).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{target}: {error.strerror}") from None


def _show_report(found: dict[str, Any]) -> None:
    rows = [
        (block["status"], block["type"], block["place"], note)
        for block in found["blocks"]
        for note in [one["message"] for one in block["notes"]] or ["-"]
        if block["status"] != "carried" or block["notes"]
    ]
    show_table(("STATUS", "BLOCK", "PLACE", "NOTE"), rows, nothing="Everything is carried over")
    for one in found.get("errors", ()):
        click.echo(f"not stored yet: {one['message']}")
    click.echo(_summary(found["blocks"]))


def _summary(blocks: list[dict[str, Any]]) -> str:
    counts = {name: sum(block["status"] == name for block in blocks) for name in _COUNTED}
    return f"{len(blocks)} blocks: " + ", ".join(f"{count} {name}" for name, count in counts.items())
