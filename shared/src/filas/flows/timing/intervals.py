"""The moments of an interval: the ticks of a schedule, and the end of a delay."""

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from filas.flows.locales import zone_of
from filas.models.interval import Interval

UNITS: Final = Interval.__struct_fields__
ORIGIN: Final = date(2024, 1, 1)
"""A Monday. The ticks of a schedule without a first moment are counted from its midnight, in the schedule's zone."""


def interval_problem(interval: Interval) -> str | None:
    """The error of an interval that has not exactly one unit, or None."""
    given = [unit for unit in UNITS if getattr(interval, unit) is not None]
    return None if len(given) == 1 else f'has exactly one of {", ".join(UNITS)}: {{"minutes": 90}}'


def length(interval: Interval) -> timedelta:
    """The length of an interval. A day has 24 hours."""
    return timedelta(**{unit: getattr(interval, unit) or 0 for unit in UNITS})


def after(interval: Interval, zone: str | None, moment: datetime) -> datetime:
    """The moment that is one interval after `moment`, in UTC. Raises ValueError for an unknown zone."""
    return _moved(interval, zone, moment, 1)


def interval_ticks(interval: Interval, zone: str | None, first: datetime | None, since: datetime) -> Iterator[datetime]:
    """The ticks after `since`, in UTC, each once: `first` and every further interval, or those counted from ORIGIN in
    `zone` (UTC where None). Raises ValueError for an unknown zone."""
    origin = first or datetime.combine(ORIGIN, time(), zone_of(zone or "UTC"))
    begin = (since - origin) // length(interval) - 1
    last = since
    try:
        # A day may be some hours shorter or longer, so the count begins one interval too early.
        for count in itertools.count(begin if first is None else max(begin, 0)):
            tick = _moved(interval, zone, origin, count)
            if tick > last:
                last = tick
                yield tick
    except OverflowError:
        return


def _moved(interval: Interval, zone: str | None, moment: datetime, count: int) -> datetime:
    if interval.days is None and interval.weeks is None:
        return moment.astimezone(UTC) + count * length(interval)
    local = moment.astimezone(zone_of(zone or "UTC"))
    return (local + count * length(interval)).astimezone(UTC)
