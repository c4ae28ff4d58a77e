"""When a delay ends."""

import datetime
import functools
import zoneinfo

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
        local = after.astimezone(_zone(zone or "UTC"))
        upcoming: datetime.datetime = next(cronsim.CronSim(expression, local))
        return upcoming.astimezone(datetime.UTC)
    except (cronsim.CronSimError, zoneinfo.ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"no moment of {expression!r}: {error}") from None
    except StopIteration:
        raise ValueError(f"{expression!r} names no moment in the next years") from None


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
def _zone(name: str) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(name)
