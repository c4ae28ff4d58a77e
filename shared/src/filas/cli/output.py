"""The output of the commands: tables for a person, JSON for a program."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")

MAX_CELL = 80


def show_json(value: Any) -> None:
    """Prints a value as indented JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, nothing: str) -> None:
    """Prints rows in columns, with numbers aligned to the right. Prints `nothing` if there are no rows."""
    if not rows:
        click.echo(nothing)
        return
    numeric = [all(isinstance(row[index], int) for row in rows) for index in range(len(headings))]
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(heading), *(len(row[index]) for row in cells)) for index, heading in enumerate(headings)]
    for line in [list(headings), *cells]:
        columns = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ]
        click.echo("  ".join(columns).rstrip())


def show_problems(problems: Sequence[Mapping[str, Any]]) -> None:
    """Prints the errors of a flow's definition, each with its node."""
    if problems:
        rows = [(item.get("nodeId"), item.get("field") or None, item["message"]) for item in problems]
        show_table(("NODE", "FIELD", "ERROR"), rows, nothing="")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    # A text from outside may contain line breaks and escape sequences, which a terminal must not execute.
    text = "".join(char if char.isprintable() else " " for char in str(value))
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"
