"""The moments of cron expressions: the end of a delay, and the ticks of a schedule."""

import datetime
from collections.abc import Iterator

import cronsim

from filas.flows import author_settings
from filas.flows.found_values import described
from filas.flows.locales import zone_of
from filas.flows.templates.filters.date_reading import NotATime, read_time


def cron_problem(expression: str) -> str | None:
    """The error of a cron expression of five fields (or six, with seconds), or None."""
    try:
        cronsim.CronSim(expression, datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    except (cronsim.CronSimError, ValueError, OverflowError) as error:
        return f"invalid cron expression: {error}"
    return None


def next_moment(expression: str, zone: str | None, after: datetime.datetime) -> datetime.datetime:
    """The first moment after `after` that the cron expression names in `zone` (UTC where None), in UTC.

    Raises ValueError if the expression or the zone is wrong, or there is no such moment.
    """
    try:
        return next(moments(expression, zone, after))
    except StopIteration:
        raise ValueError(f"{expression!r} names no moment in the next years") from None


def moments(expression: str, zone: str | None, after: datetime.datetime) -> Iterator[datetime.datetime]:
    """The moments after `after` that the cron expression names in `zone` (UTC where None), in UTC, each once.

    Five fields follow the rules of Debian's cron: a fixed time in the hour that daylight saving time skips comes right
    after that hour, and a fixed time in the hour that it repeats comes the first time only. A `*` in the minutes or the
    hours, or a field of seconds, follows the clock. Ends if there is no further moment within decades. Raises
    ValueError if the expression or the zone is wrong.
    """
    local = after.astimezone(zone_of(zone or "UTC"))
    try:
        upcoming = cronsim.CronSim(expression, local)
        last = after
        # The library finds a moment of the repeated hour again in its second half.
        for found in upcoming:
            moment = found.astimezone(datetime.UTC)
            if moment > last:
                last = moment
                yield moment
    except (cronsim.CronSimError, OverflowError) as error:
        raise ValueError(f"invalid cron expression {expression!r}: {error}") from None


def parse_moment(value: object, zone: str = "UTC") -> datetime.datetime:
    """Reads a time: ISO 8601, or what the filter `date` accepts. A time without an offset is in `zone`. Returns it in
    UTC. Raises ValueError."""
    now = author_settings.current().moment()
    try:
        return (_iso(value, zone) or read_time(value, zone_of(zone), now).moment).astimezone(datetime.UTC)
    except NotATime as error:
        found = described(value)
        if error.day_or_month:
            message = 'is a date whose day and month may be exchanged: write parse_date: "%d/%m/%Y"'
            raise ValueError(f"{found} {message}") from None
        raise ValueError(f"{found} is not an ISO 8601 time such as 2026-11-24T10:00:00-03:00") from None
    except OverflowError:
        raise ValueError(f"{described(value)} is not a time that exists") from None


def _iso(value: object, zone: str) -> datetime.datetime | None:
    """The time of a text in ISO 8601, which has more forms than the filter `date` accepts."""
    try:
        moment = datetime.datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=zone_of(zone)) if moment is not None and moment.tzinfo is None else moment
