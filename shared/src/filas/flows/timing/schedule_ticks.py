"""The ticks of a schedule: the next ones, and which of the due ones are run."""

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from filas.flows.timing.intervals import interval_ticks
from filas.flows.timing.moments import moments
from filas.models.record import ErrorDetail
from filas.models.schedules import DueTicks, Schedule

_JUST_BEFORE = timedelta(microseconds=1)
_FIRST_WINDOW = timedelta(minutes=1)


def ticks(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """The schedule's ticks after `after`, in UTC, each once, enabled or not. Raises ValueError."""
    if schedule.starts_at is not None:
        after = max(after, schedule.starts_at - _JUST_BEFORE)
    if schedule.cron is not None:
        found = moments(schedule.cron, schedule.timezone, after)
    elif schedule.every is not None:
        found = interval_ticks(schedule.every, schedule.timezone, schedule.starts_at, after)
    else:
        found = iter(sorted({at.astimezone(UTC) for at in schedule.at or () if at > after}))
    return found if schedule.ends_at is None else _until(schedule.ends_at, found)


def _until(end: datetime, found: Iterator[datetime]) -> Iterator[datetime]:
    return takewhile(lambda tick: tick <= end, found)


def first_tick(schedule: Schedule, after: datetime) -> datetime | None:
    """The schedule's first tick after `after`; None if there is none, or it is not enabled. Raises ValueError."""
    return next(ticks(schedule, after), None) if schedule.enabled else None


def next_runs(schedule: Schedule, count: int) -> list[datetime]:
    """The next `count` ticks, from `next_run_at` on. Raises ValueError."""
    if schedule.next_run_at is None:
        return []
    return list(islice(ticks(schedule, schedule.next_run_at - _JUST_BEFORE), count))


def due_ticks(schedule: Schedule, now: datetime) -> DueTicks:
    """The ticks to run at `now`, for a schedule whose `next_run_at` is due.

    A tick is late if it is more than `misfire_grace_ms` old. If one is late, `skip` runs the ticks that are not late,
    `run-once` only the newest, `catch-up` each of them. At most the newest `catch_up_limit` are run.
    """
    first = schedule.next_run_at
    if first is None:
        return DueTicks(run=[], next_run_at=None)
    latest = now - timedelta(milliseconds=schedule.misfire_grace_ms)
    missed = first < latest
    limit = 1 if missed and schedule.misfire == "run-once" else schedule.catch_up_limit
    try:
        due = _newest(schedule, first, now, limit)
        following = next(ticks(schedule, now), None)
    except ValueError as error:
        return DueTicks(run=[], next_run_at=None, error=ErrorDetail(kind="schedule", message=str(error)))
    if schedule.misfire == "skip":
        due = [tick for tick in due if tick >= latest]
    return DueTicks(run=due, next_run_at=following, missed=missed)


def _newest(schedule: Schedule, first: datetime, now: datetime, limit: int) -> list[datetime]:
    """The newest `limit` ticks from `first` to `now`. The search window grows only as needed, because an outage of a
    week has 600,000 ticks of one second."""
    window = _FIRST_WINDOW
    while True:
        since = max(first, now - window)
        found = deque(_until(now, ticks(schedule, since - _JUST_BEFORE)), maxlen=limit)
        if since == first or len(found) == limit:
            return list(found)
        window *= 4
