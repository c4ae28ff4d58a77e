"""The moments of cron expressions: the end of a delay, and the ticks of a schedule."""

import datetime
from collections.abc import Iterator

import cronsim

from filas.flows.locales import zone_of


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


def parse_moment(text: object) -> datetime.datetime:
    """Parses an ISO 8601 time, or a number of seconds since 1970. A time without an offset is UTC. Raises
    ValueError."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        try:
            return datetime.datetime.fromtimestamp(text, datetime.UTC)
        except (OverflowError, OSError, ValueError):
            raise ValueError(f"{text} seconds since 1970 is not a time that exists") from None
    if not isinstance(text, str):
        raise ValueError("is neither an ISO 8601 time nor a number of seconds")
    try:
        parsed = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text[:80]!r} is not an ISO 8601 time such as 2026-11-24T10:00:00-03:00") from None
    return parsed.replace(tzinfo=datetime.UTC) if parsed.tzinfo is None else parsed.astimezone(datetime.UTC)
