"""`filas tail` and the watch of `filas stats`: what happens, while it happens. Ctrl-C ends them."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from filas.cli import options
from filas.cli.api_client import Client, CommandFailed, from_environment
from filas.cli.output import as_json, error_text, json_line, shown
from filas.cli.times import exact

KINDS: Final = ("events", "executions", "failures", "deliveries")
MAX_ROWS: Final = 1000
"""How many rows of a kind one look reads at most, from as many pages as needed."""

MAX_SEEN: Final = 20_000
LOOK_BACK: Final = timedelta(minutes=15)
"""The status of what is younger than this is followed. Failures are found whatever their age."""

_FILTERED: Final = {"webhook": ("events",), "flow": ("executions", "failures"), "channel": ("deliveries",)}
"""The kinds that are shown if only this filter is given."""


@dataclass
class Follower:
    """Finds what is new in the lists of the API. It remembers up to MAX_SEEN states.

    The first look shows what began at `begin` or later, and remembers the rest of the last LOOK_BACK.
    """

    client: Client
    filters: dict[str, Any]
    begin: datetime
    seen: "OrderedDict[tuple[Any, ...], None]" = field(default_factory=OrderedDict)
    is_first: bool = True

    def look(self, kinds: Iterable[str]) -> list[dict[str, Any]]:
        """Returns one line for each new state, the oldest first. Raises CommandFailed."""
        lines = [line for kind in kinds for line in _LOOKS[kind](self)]
        self.is_first = False
        return sorted(lines, key=lambda line: datetime.fromisoformat(line["at"]))

    def rows(self, path: str, began: str, known: tuple[str, ...], **query: Any) -> Iterator[dict[str, Any]]:
        """Yields the rows of a list that are new, or whose fields `known` have changed."""
        since = min(self.begin, datetime.now(UTC) - LOOK_BACK)
        count = 0
        for row in self.client.items(path, limit=MAX_ROWS, since=since.isoformat(), **query):
            is_new = self.is_new((path, row["id"], *(row[name] for name in known)))
            if is_new and (not self.is_first or datetime.fromisoformat(row[began]) >= self.begin):
                count += 1
                yield row
        if count == MAX_ROWS:
            click.echo(f"more than {MAX_ROWS} {path} at once: some are not shown", err=True)

    def is_new(self, state: tuple[Any, ...]) -> bool:
        """Whether the state was not seen before. It is then."""
        if state in self.seen:
            self.seen.move_to_end(state)
            return False
        self.seen[state] = None
        while len(self.seen) > MAX_SEEN:
            self.seen.popitem(last=False)
        return True


def _events(follower: Follower) -> Iterator[dict[str, Any]]:
    webhook = follower.filters.get("webhook")
    for row in follower.rows("events", "receivedAt", ("status",), webhookId=webhook):
        text = f"{row['webhookId']} {row['status']}"
        yield _line("event", row["receivedAt"], row["id"], text, row["reason"] or error_text(row["error"]))


def _executions(follower: Follower) -> Iterator[dict[str, Any]]:
    for row in follower.rows("executions", "queuedAt", ("status",), flowId=follower.filters.get("flow")):
        at = row["endedAt"] or row["startedAt"] or row["queuedAt"]
        yield _line("execution", at, row["id"], f"{row['flowId']} {row['status']}", error_text(row["error"]))


def _failures(follower: Follower) -> Iterator[dict[str, Any]]:
    """The failures since the beginning, counted by flow and error: those of old executions too."""
    found = follower.client.get(
        "executions", "groups", since=follower.begin.isoformat(), flowId=follower.filters.get("flow")
    )
    for group in found:
        if follower.is_new(("failures", group["where"], group["fingerprint"], group["count"])):
            text = f"{group['where']} {group['count']} failed"
            yield _line("failure", group["last"], group["example"], text, error_text(group["error"]))


def _deliveries(follower: Follower) -> Iterator[dict[str, Any]]:
    channel = follower.filters.get("channel")
    for row in follower.rows("notifications", "createdAt", ("status", "attempts"), channelId=channel):
        text = f"{row['channelId']} to {row['recipient']} {row['status']}"
        yield _line("delivery", row["updatedAt"], row["id"], text, error_text(row["error"]))


_LOOKS: Final[dict[str, Callable[[Follower], Iterator[dict[str, Any]]]]] = {
    "events": _events,
    "executions": _executions,
    "failures": _failures,
    "deliveries": _deliveries,
}


def _line(kind: str, at: str, row_id: str, text: str, detail: str | None) -> dict[str, Any]:
    return {"at": at, "kind": kind, "id": row_id, "text": text, "detail": detail}


@click.command()
@click.argument("kinds", metavar="[KIND]...", type=click.Choice(KINDS), nargs=-1)
@click.option("--webhook", metavar="ID", help="Only events of this webhook.")
@click.option("--flow", metavar="ID", help="Only executions and failures of this flow.")
@click.option("--channel", metavar="ID", help="Only deliveries over this channel.")
@click.option("--since", metavar="TIME", callback=options.past, help="Begin with what happened since TIME, or in 30m.")
@click.option("--interval", type=click.FloatRange(0.5, 60), default=2, show_default=True, help="Seconds between looks.")
@click.option("--for", "duration_ms", metavar="TIME", callback=options.milliseconds, help="End after 30s, 10m, 1h.")
@as_json
def tail(
    kinds: tuple[str, ...], since: str | None, interval: float, duration_ms: int | None, as_json: bool, **filters: Any
) -> None:
    """Show what happens, while it happens: events, executions, failures, deliveries. Ctrl-C ends it.

    Each KIND is one of these. Without one, those that the filters select are shown, or all. With --json, each is an
    object in a line of its own.
    """
    chosen = kinds or tuple(kind for name, of in _FILTERED.items() if filters[name] for kind in of) or KINDS
    follower = Follower(from_environment(), filters, datetime.fromisoformat(since) if since else datetime.now(UTC))

    def look() -> None:
        for line in follower.look(chosen):
            if as_json:
                json_line(line)
                continue
            detail = f"  {line['detail']}" if line["detail"] else ""
            click.echo(shown(f"{exact(line['at'])}  {line['kind']:<9}  {line['text']}{detail}  {line['id']}"))

    repeat(look, interval, duration_ms)


def repeat(work: Callable[[], None], interval_s: float, duration_ms: int | None = None) -> None:
    """Calls `work` every `interval_s` seconds until Ctrl-C, or for `duration_ms`.

    If the API does not answer, that is reported once, and the calls continue. Raises CommandFailed if the first call
    fails, or if the API refuses the request.
    """
    end = None if duration_ms is None else time.monotonic() + duration_ms / 1000
    is_first, is_unavailable = True, False
    try:
        while True:
            try:
                work()
                is_unavailable = False
            except CommandFailed as failure:
                if is_first or (failure.status is not None and failure.status < 500):
                    raise
                if not is_unavailable:
                    click.echo(f"{failure.message} Still trying.", err=True)
                is_unavailable = True
            is_first = False
            if end is not None and time.monotonic() >= end:
                return
            time.sleep(interval_s if end is None else min(interval_s, max(end - time.monotonic(), 0)))
    except KeyboardInterrupt:
        click.echo(err=True)
