"""When a delay ends, and when a schedule begins a flow."""

import datetime
import functools
import zoneinfo
from collections.abc import Iterator

import cronsim


def cron_problem(expression: str) -> str | None:
    """What is wrong with a cron expression of five fields (or six, with seconds), or None."""
    try:
        cronsim.CronSim(expression, datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    except (cronsim.CronSimError, ValueError, OverflowError) as error:
        return f"is no cron expression: {error}"
    return None


def next_moment(expression: str, zone: str | None, after: datetime.datetime) -> datetime.datetime:
    """The first moment after `after` that the cron expression names in `zone` (UTC where None), in UTC.

    Raises ValueError when the expression or the zone is wrong, or no such moment comes.
    """
    try:
        return next(moments(expression, zone, after))
    except StopIteration:
        raise ValueError(f"{expression!r} names no moment in the next years") from None


def moments(expression: str, zone: str | None, after: datetime.datetime) -> Iterator[datetime.datetime]:
    """The moments after `after` that the cron expression names in `zone` (UTC where None), in UTC, each once.

    As Debian's cron has it for five fields: what names a minute of the hour that daylight saving time skips comes when
    that hour has been skipped, and what names one of the hour that it repeats comes the first time only; a `*` in the
    minutes or the hours, or a field of seconds, goes by the clock as it runs. Ends where none comes within decades.
    Raises ValueError when the expression or the zone is wrong.
    """
    try:
        upcoming = cronsim.CronSim(expression, after.astimezone(zone_of(zone or "UTC")))
        last = after
        # A moment of the repeated hour is found again from within its second half.
        for found in upcoming:
            moment = found.astimezone(datetime.UTC)
            if moment > last:
                last = moment
                yield moment
    except (cronsim.CronSimError, zoneinfo.ZoneInfoNotFoundError, OSError, OverflowError) as error:
        raise ValueError(f"no moment of {expression!r}: {error}") from None


def parse_moment(text: object) -> datetime.datetime:
    """An ISO 8601 time, or a number of seconds since 1970; without an offset it is UTC. Raises ValueError."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        try:
            return datetime.datetime.fromtimestamp(text, datetime.UTC)
        except (OverflowError, OSError) as error:
            raise ValueError(str(error)) from None
    if not isinstance(text, str):
        raise ValueError("is neither an ISO 8601 time nor a number of seconds")
    parsed = datetime.datetime.fromisoformat(text.strip())
    return parsed.replace(tzinfo=datetime.UTC) if parsed.tzinfo is None else parsed.astimezone(datetime.UTC)


@functools.lru_cache(maxsize=256)
def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """The IANA time zone of that name. Raises ZoneInfoNotFoundError, ValueError or OSError."""
    return zoneinfo.ZoneInfo(name)
