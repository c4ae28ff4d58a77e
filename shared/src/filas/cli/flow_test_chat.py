"""The chat view of `filas flows test`."""

from datetime import datetime
from typing import Any

import click

_NO_REPLY = "(no reply)"


def show_chat(run: dict[str, Any]) -> None:
    """Prints the messages of the contact and of the flow, each with the time since the start of the run."""
    start = run["startedAt"]
    if not run["chat"]:
        click.echo("No messages")
    for line in run["chat"]:
        head = f"{passed(start, line['at']):>12}  {line['sender']:<7}  "
        text = _NO_REPLY if line["text"] is None else line["text"]
        # A text from outside may contain escape sequences, which a terminal must not execute.
        rows = ["".join(char if char.isprintable() else " " for char in row) for row in text.split("\n")]
        click.echo(head + ("\n" + " " * len(head)).join(rows))


def passed(start: str, moment: str) -> str:
    """Returns the time between two moments in its two largest units: `1 d 2 h`."""
    seconds = int((_time(moment) - _time(start)).total_seconds())
    parts = [
        f"{seconds // size % limit} {unit}"
        for unit, size, limit in (("d", 86_400, 10**6), ("h", 3600, 24), ("min", 60, 60), ("s", 1, 60))
        if seconds // size % limit
    ]
    return " ".join(parts[:2]) or "0 s"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
