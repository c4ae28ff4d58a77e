"""The output of the commands: tables for a person, JSON or YAML for a program.

`--json` prints the `data` of the API's answer: a list for a command that lists, otherwise an object. `--output yaml`
prints the same as YAML.
"""

import functools
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from filas.cli import times

MAX_LINE: Final = 20_000
"""The width of a table that is not wrapped: one that no terminal shows, or a wide one."""

_WIDE: Final = "filas.wide"
_YAML: Final = "filas.yaml"
_STYLES: Final = {
    **dict.fromkeys(("failed", "timed-out", "FAIL", "critical", "revoked", "expired", "firing"), "red"),
    **dict.fromkeys(("succeeded", "sent", "delivered", "read", "processed", "OK", "valid"), "green"),
    **dict.fromkeys(("retrying", "open", "half-open", "paused", "warning", "cancelled", "ignored"), "yellow"),
}
"""The colours of the states, on a terminal."""

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def as_json(function: CommandT) -> CommandT:
    """Adds `--json` and `--output`. The command receives `as_json`."""

    @functools.wraps(function)
    def command(*args: Any, as_json: bool, output: str | None, **given: Any) -> Any:
        if as_json and output not in (None, "json"):
            raise click.UsageError(f"--json and --output {output} exclude each other")
        meta = click.get_current_context().meta
        meta[_WIDE], meta[_YAML] = output == "wide", output == "yaml"
        return function(*args, as_json=as_json or output in ("json", "yaml"), **given)

    option: Any = click.option(
        "--output",
        type=click.Choice(["table", "wide", "json", "yaml"]),
        help="wide: exact times, and lines are not wrapped.",
    )(command)
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(option)  # type: ignore[no-any-return]  # click's option is untyped


def always_json(function: CommandT) -> CommandT:
    """Adds `--json` and `--output` to a command that prints JSON unless it is to print YAML."""

    @functools.wraps(function)
    def command(*args: Any, as_json: bool, output: str, **given: Any) -> Any:
        if as_json and output == "yaml":
            raise click.UsageError("--json and --output yaml exclude each other")
        click.get_current_context().meta[_YAML] = output == "yaml"
        return function(*args, **given)

    option: Any = click.option(
        "--output", type=click.Choice(["json", "yaml"]), default="json", help="It prints JSON by default."
    )(command)
    return click.option("--json", "as_json", is_flag=True, help="Print JSON: the default.")(option)  # type: ignore[no-any-return]  # click's option is untyped


def is_wide() -> bool:
    """Whether the command was called with `--output wide`."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_WIDE))


def show_json(value: Any) -> None:
    """Prints a value as indented JSON, or as YAML with `--output yaml`."""
    click.echo(_yaml(value) if _is_yaml() else json.dumps(value, indent=2, ensure_ascii=False), nl=not _is_yaml())


def json_line(value: Any) -> None:
    """Prints a value as JSON in one line, or as a document of YAML with `--output yaml`."""
    click.echo("---\n" + _yaml(value) if _is_yaml() else json.dumps(value, ensure_ascii=False), nl=not _is_yaml())


def _is_yaml() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_YAML))


def _yaml(value: Any) -> str:
    """Returns a value of JSON as YAML, which ends with a line break. Texts that YAML would read as something else, such
    as `no` or a time, are quoted."""
    # Imported here because few commands need it.
    import yaml  # noqa: PLC0415 - slow to import

    return str(yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=MAX_LINE))


def show_result(value: Any, sentence: str, *, as_json: bool) -> None:
    """Prints what a command has done: a sentence, or the API's answer as JSON."""
    if as_json:
        show_json(value)
    else:
        click.echo(shown(sentence))


def show_table(
    headings: Sequence[str], rows: Sequence[Sequence[Any]], *, nothing: str, exact_times: bool = False
) -> None:
    """Prints rows in columns, with numbers aligned to the right. Prints `nothing` if there are no rows.

    Times are in words unless they are to be exact. On a terminal, cells are wrapped at its width; nothing is cut.
    """
    if not rows:
        click.echo(nothing)
        return
    click.echo(table_text(headings, rows, exact_times=exact_times))


def table_text(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, exact_times: bool = False) -> str:
    """Returns the table that `show_table` prints, without the last line break."""
    # Imported here because the import takes longer than most commands.
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.table import Table  # noqa: PLC0415 - slow to import
    from rich.text import Text  # noqa: PLC0415 - slow to import

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, heading in enumerate(headings):
        numeric = all(isinstance(row[index], int) and not isinstance(row[index], bool) for row in rows)
        table.add_column(Text(heading), justify="right" if numeric else "left", overflow="fold")
    exactly = exact_times or is_wide()
    for row in rows:
        cells = [_cell(value, exactly) for value in row]
        table.add_row(*(Text(cell, style=_STYLES.get(cell.partition(" ")[0], "")) for cell in cells))
    console = Console(file=sys.stdout, width=_width(), highlight=False, legacy_windows=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _width() -> int:
    """The width of the terminal, or COLUMNS. Lines for a file, a pipe or `--output wide` are not wrapped."""
    if is_wide():
        return MAX_LINE
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    return os.get_terminal_size(sys.stdout.fileno()).columns or MAX_LINE if sys.stdout.isatty() else MAX_LINE


def show_problems(problems: Sequence[Mapping[str, Any]], *, with_lines: bool = False) -> None:
    """Prints the errors and warnings of a flow's definition, each with its node."""
    headings = ["NODE", "FIELD", "LINE", "FOUND"] if with_lines else ["NODE", "FIELD", "FOUND"]
    rows = []
    for item in problems:
        line = [item.get("line")] if with_lines else []
        message = ("warning: " if item.get("severity") == "warning" else "") + item["message"]
        rows.append((item.get("nodeId"), item.get("field") or None, *line, message))
    if rows:
        show_table(headings, rows, nothing="")


def error_text(error: Mapping[str, Any] | None) -> str | None:
    """Returns an error of the API as one text: its kind, its node, its message."""
    if error is None:
        return None
    place = f" at {error['nodeId']}" if error.get("nodeId") else ""
    return f"{error['kind']}{place}: {error['message']}"


def shown(text: str) -> str:
    """Returns a text without line breaks and escape sequences, which a terminal must not execute."""
    return "".join(char if char.isprintable() else " " for char in text)


def _cell(value: Any, exactly: bool) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if times.is_moment(value):
        return times.exact(value) if exactly else times.in_words(value)
    return shown(str(value))
