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


def show_table(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, nothing: str, uncut: bool = False) -> None:
    """Prints rows in columns, with numbers aligned to the right. Prints `nothing` if there are no rows. `uncut`: the
    last column is printed in full."""
    if not rows:
        click.echo(nothing)
        return
    numeric = [all(isinstance(row[index], int) for row in rows) for index in range(len(headings))]
    last = len(headings) - 1
    cells = [[_cell(value, cut=not uncut or index < last) for index, value in enumerate(row)] for row in rows]
    widths = [max(len(heading), *(len(row[index]) for row in cells)) for index, heading in enumerate(headings)]
    for line in [list(headings), *cells]:
        columns = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ]
        click.echo("  ".join(columns).rstrip())


def show_problems(problems: Sequence[Mapping[str, Any]], *, with_lines: bool = False) -> None:
    """Prints the errors and warnings of a flow's definition, each with its node."""
    headings = ["NODE", "FIELD", "LINE", "FOUND"] if with_lines else ["NODE", "FIELD", "FOUND"]
    rows = []
    for item in problems:
        line = [item.get("line")] if with_lines else []
        message = ("warning: " if item.get("severity") == "warning" else "") + item["message"]
        rows.append((item.get("nodeId"), item.get("field") or None, *line, message))
    if rows:
        show_table(headings, rows, nothing="", uncut=True)


def _cell(value: Any, *, cut: bool = True) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    # A text from outside may contain line breaks and escape sequences, which a terminal must not execute.
    text = "".join(char if char.isprintable() else " " for char in str(value))
    return text if not cut or len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"
