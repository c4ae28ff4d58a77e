"""`filas flows diff` and `compare`: the differences between two definitions of a flow."""

import json
from typing import Any

import click

from filas.cli.api_client import CommandFailed, from_environment
from filas.cli.json_documents import read_document
from filas.cli.output import as_json, show_json

_MARKS = {"added": "+", "removed": "-", "changed": "~"}
_DRAWING = {"kind": "changed", "part": "flow", "name": "", "field": "drawing", "before": None, "after": None}


@click.command()
@click.argument("file")
@click.option("--id", "flow_id", metavar="ID", help="The flow's id.  [default: the file's name without .json]")
@click.option("--version", type=click.IntRange(min=1), help="Compare with this version instead of the published one.")
@as_json
def diff(file: str, flow_id: str | None, version: int | None, as_json: bool) -> None:
    """Show what FILE would change in the published version of its flow. Exit code 1 if they differ."""
    document = read_document(file)
    name = flow_id or document.stem
    answer = from_environment().post("flows", name, "differences", body=document.value, version=version)
    found = _shown(answer, as_json)
    stored = answer["beforeVersion"]
    against = f"version {stored} of {name}" if stored else f"{name}, which has no published version"
    if found:
        raise CommandFailed(f"{file} differs from {against}")
    if not as_json:
        click.echo(f"{file} equals {against}")


@click.command()
@click.argument("flow_id", metavar="ID")
@click.argument("before", type=click.IntRange(min=1))
@click.argument("after", type=click.IntRange(min=1))
@as_json
def compare(flow_id: str, before: int, after: int, as_json: bool) -> None:
    """Show what version AFTER of the flow ID changes in version BEFORE. Exit code 1 if they differ."""
    client = from_environment()
    found = _shown(client.get("flows", flow_id, "versions", str(before), "differences", str(after)), as_json)
    if found:
        raise CommandFailed(f"versions {before} and {after} of {flow_id} differ")
    if not as_json:
        click.echo(f"versions {before} and {after} of {flow_id} are equal")


def _shown(answer: dict[str, Any], as_json: bool) -> list[dict[str, Any]]:
    """Prints the differences, and returns them: one for the drawing if nothing else differs."""
    found: list[dict[str, Any]] = answer["differences"]
    if not found and not answer["equal"]:
        found = [_DRAWING]
    if as_json:
        show_json(found)
    else:
        for one in found:
            click.echo(_line(one))
    return found


def _line(one: dict[str, Any]) -> str:
    place = " ".join(part for part in (one["part"] if one["part"] != "flow" else "", one["name"]) if part)
    head = f"{_MARKS[one['kind']]} {': '.join(part for part in (place, one['field']) if part)}"
    if one is _DRAWING:
        return f"{head} (positions only; executions do not change)"
    before, after = one["before"], one["after"]
    if not one["field"]:
        kind = after or before
        return f"{head} ({kind['type']})" if isinstance(kind, dict) and kind.get("type") else head
    if one["kind"] == "changed":
        return f"{head}: {_value(before)} → {_value(after)}"
    return f"{head}: {_value(after if one['kind'] == 'added' else before)}"


def _value(value: Any) -> str:
    # JSON escapes line breaks and control characters, which a terminal would execute.
    text = json.dumps(value, ensure_ascii=False)
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown if len(shown) <= 200 else shown[:199] + "…"
