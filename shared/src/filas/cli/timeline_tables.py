"""Prints timelines and waits as tables."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import click

from filas.cli.output import error_text, show_table, shown

_MISSING: Final = {
    "jobs": "the jobs on the queues: they ended a while ago, or Redis is unavailable",
    "step-attempts": "the times of the attempts of a node before its last one",
    "receipt-times": "when a message that was read was delivered, if no receipt stated that",
    "short-pauses": "pauses of a channel that lasted less than two minutes",
    "duplicate-times": "the times of the duplicates between the first and the last one",
}


def show_timeline(timeline: dict[str, Any]) -> None:
    """Prints the entries in order of time, each with its duration, and what is not stored."""
    rows = [(one["at"], _took(one), one["what"], error_text(one.get("error"))) for one in timeline["entries"]]
    show_table(("AT", "TOOK", "WHAT", "ERROR"), rows, nothing="Nothing has happened", exact_times=True)
    if timeline["truncated"]:
        click.echo("\nThere are more entries.")
    for code in timeline["notStored"]:
        click.echo(f"Not stored: {shown(_MISSING.get(code, code))}")


def show_waiting(found: Sequence[dict[str, Any]]) -> None:
    """Prints executions that wait, in the order in which their waits end."""
    rows = [
        (one["id"], one["flowId"], one["nodeId"], one["waitsFor"], one["contact"], one["since"], one["due"])
        for one in found
    ]
    show_table(("ID", "FLOW", "NODE", "WAITS FOR", "CONTACT", "SINCE", "DUE"), rows, nothing="Nothing waits")


def _took(entry: dict[str, Any]) -> str | None:
    """The duration of an entry in words of a table; None for an entry that is a moment."""
    if entry.get("open"):
        return "not over"
    if entry.get("until") is None:
        return None
    seconds = (datetime.fromisoformat(entry["until"]) - datetime.fromisoformat(entry["at"])).total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
