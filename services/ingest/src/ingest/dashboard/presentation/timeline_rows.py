"""The entries of a timeline as a page shows them: a title in the reader's language, a state, a link."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from filas.models.timelines import EntryKind, TimelineEntry
from ingest.dashboard.presentation.states import LOOKS
from ingest.dashboard.presentation.texts import Reader

_STATES: Final[dict[EntryKind, str]] = {
    "received": "received",
    "duplicates": "ignored",
    "job-wait": "waiting",
    "job-run": "completed",
    "dead-letter": "dead",
    "execution-wait": "waiting",
    "wait": "delayed",
    "reply": "received",
    "call": "received",
    "turn-wait": "waiting",
    "message-wait": "waiting",
    "channel-pause": "paused",
}
_WITH_PRESENT: Final[frozenset[EntryKind]] = frozenset({"job-wait", "execution-wait", "wait", "message-wait"})
"""The kinds whose title differs while they are not over."""


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One row. `clock` is the time of the day, with the date where it changes. `lasted_s` is None for a
    moment. `until` is when an open entry is to end."""

    at: datetime
    clock: str
    state: str
    title: str
    detail: str
    href: str
    lasted_s: float | None
    is_open: bool
    until: datetime | None


def timeline_rows(reader: Reader, entries: Sequence[TimelineEntry], now: datetime) -> list[TimelineRow]:
    """Returns the rows of the entries, in their order."""
    rows: list[TimelineRow] = []
    day = ""
    for entry in entries:
        local = entry.at.astimezone(reader.zone)
        moment = f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"
        is_new_day, day = f"{local:%Y-%m-%d}" != day, f"{local:%Y-%m-%d}"
        rows.append(_row(reader, entry, now, f"{day} {moment}" if is_new_day else moment))
    return rows


def _row(reader: Reader, entry: TimelineEntry, now: datetime, clock: str) -> TimelineRow:
    end = now if entry.open else entry.until
    return TimelineRow(
        at=entry.at,
        clock=clock,
        state=_state(entry),
        title=_title(reader, entry),
        detail="" if entry.error is None else f"{entry.error.kind}: {entry.error.message[:300]}",
        href=_href(entry),
        lasted_s=None if end is None else max((end - entry.at).total_seconds(), 0.0),
        is_open=entry.open,
        until=entry.until if entry.open else None,
    )


def _state(entry: TimelineEntry) -> str:
    if entry.open and entry.kind in ("step", "attempt", "job-run"):
        return "running"
    if entry.kind in ("step", "attempt", "receipt", "processed", "execution-end", "job-run") and entry.status in LOOKS:
        return str(entry.status)
    return _STATES.get(entry.kind, "info")


def _title(reader: Reader, entry: TimelineEntry) -> str:
    present = ".open" if entry.open and entry.kind in _WITH_PRESENT else ""
    word = f"states.{entry.status}"
    return reader.text(
        f"timeline.{entry.kind}{present.replace('.', '-')}",
        count=entry.count or 1,
        node=entry.node_id or "",
        flow=entry.flow_id or "",
        channel=entry.channel_id or "",
        attempt=entry.attempt or 1,
        queue=(entry.job_id or "").partition("}")[0].lstrip("{"),
        status=reader.text(word) if entry.status and reader.has_text(word) else entry.status or "",
    )


def _href(entry: TimelineEntry) -> str:
    if entry.kind == "dead-letter":
        return f"/dashboard/dead-letters/{entry.dead_letter_id}"
    if entry.kind == "reply":
        return f"/dashboard/events/{entry.event_id}"
    if entry.execution_id is not None and entry.kind in ("step", "wait"):
        return f"/dashboard/executions/{entry.execution_id}?step={entry.seq}"
    if entry.execution_id is not None and entry.kind in ("execution-wait", "execution-end"):
        return f"/dashboard/executions/{entry.execution_id}"
    return ""
