"""How times are shown: relative to now, with the absolute time and its zone beside it. One page uses one zone."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import format_datetime, format_timedelta

from ingest.dashboard.presentation.texts import Reader

_MAX_ZONE: Final = 64
JUST_NOW_S: Final = 1.0


def zone_named(name: str | None) -> tuple[tzinfo, str]:
    """Returns the zone of a name of the IANA database, and its name. Any other text is UTC."""
    if name and len(name) <= _MAX_ZONE and name != "UTC":
        try:
            return ZoneInfo(name), name
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    return UTC, "UTC"


def absolute(reader: Reader, moment: datetime) -> str:
    """Returns the time to the millisecond, with the zone: `2026-11-27 14:03:22.120 -03`."""
    local = moment.astimezone(reader.zone)
    offset = local.strftime("%z")
    zone = "UTC" if reader.zone is UTC else offset if offset.endswith("30") else offset[:3]
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d} {zone}"


def clock(reader: Reader, moment: datetime) -> str:
    """Returns the time of the day to the second, as the language writes it, in the reader's zone."""
    return format_datetime(moment.astimezone(reader.zone), "HH:mm:ss", locale=reader.locale)


def relative(reader: Reader, moment: datetime, now: datetime) -> str:
    """Returns how long ago a time was or how far away it is: `5 minutes ago`, `in 2 days`."""
    span = moment - now
    if abs(span) < timedelta(seconds=JUST_NOW_S):
        return reader.text("moments.now")
    return format_timedelta(span, add_direction=True, threshold=1.2, granularity="second", locale=reader.locale)


def iso(moment: datetime) -> str:
    """Returns the time for the attribute `datetime` of `<time>`: RFC 3339 in UTC, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_ms(ms: float) -> datetime:
    """Returns the time of Unix milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC)
