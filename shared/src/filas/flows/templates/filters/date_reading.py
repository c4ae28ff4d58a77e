"""Reads the times that the filter `date` accepts. A text that has two meanings is an error.

| value                                                        | meaning                                              |
|--------------------------------------------------------------|------------------------------------------------------|
| `now`, `today`                                               | the present time                                     |
| a number, or a text of digits, with a fraction or without    | seconds since 1970; from 100,000,000,000 on          |
|                                                              | milliseconds                                         |
| `20261105`, `20261105103000`                                 | an error: digits without a sign between year, month  |
|                                                              | and day                                              |
| `2026-11-05T10:30:00-03:00`, `2026-11-05 10:30`, `2026/11/5` | a year, a month and a day; without an offset in the  |
|                                                              | time zone of the flow                                |
| `Thu, 05 Nov 2026 10:30:00 GMT`, `November 5, 2026`          | the same, with the month's English name              |
"""

import datetime
import re
import zoneinfo
from typing import Final, NamedTuple

from dateutil import parser as month_names  # type: ignore[import-untyped]  # dateutil has no types

from filas.flows import step_budget

MAX_CHARS: Final = 64
_STEPS_OF_NAMES: Final = 80
"""The steps of reading a date with the name of its month."""

MILLISECONDS_FROM: Final = 100_000_000_000
"""From this number on, a number is in milliseconds: as seconds, it would be in the year 5138."""

_DIGITS: Final = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{1,20})?", re.ASCII)
_DAY_IN_DIGITS: Final = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])([0-9]{4}|[0-9]{6})?")
"""Digits that are a year, a month and a day, perhaps with a time. As seconds they would be a day of 1970 or of the far
future."""

_YEAR_FIRST: Final = re.compile(
    r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})"
    r"(?:(?:[Tt]|\s+)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?"
    r"\s*([Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2}(?::?\d{2})?)?)?",
    re.ASCII,
)
_COMPACT: Final = re.compile(r"\d{8}[Tt]\d{4,6}(?:[.,]\d{1,6})?(?:[Zz]|[+-]\d{2}:?\d{2})?", re.ASCII)
_MONTH: Final = re.compile(r"(?:^|[^a-z])(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", re.IGNORECASE)
_DAY_OR_MONTH: Final = re.compile(r"\d{1,2}\s?[./ -]\s?\d{1,2}(?![0-9])", re.ASCII)
_YEAR: Final = re.compile(r"(?<![0-9:])[0-9]{4}(?![0-9:])", re.ASCII)
_DEFAULTS: Final = (datetime.datetime(2000, 1, 1), datetime.datetime(2001, 2, 2))  # noqa: DTZ001 (without an offset)


class NotATime(ValueError):
    """The value is not a time. `day_or_month`: it is a date whose day and month may be exchanged. `digits_format`: it
    consists of digits that may be a date in that format of `parse_date`."""

    def __init__(self, *, day_or_month: bool = False, digits_format: str | None = None) -> None:
        super().__init__("not a time")
        self.day_or_month = day_or_month
        self.digits_format = digits_format


class ReadTime(NamedTuple):
    """A time with its offset. `has_time`: it is not only a date, which is the same day in every time zone."""

    moment: datetime.datetime
    has_time: bool


def read_time(value: object, zone: zoneinfo.ZoneInfo, now: datetime.datetime) -> ReadTime:
    """The time of a value (see the table above). A time without an offset is in `zone`. Raises NotATime."""
    if isinstance(value, bool):
        raise NotATime
    if isinstance(value, (int, float)):
        _refuse_day_in_digits(str(value))
        return ReadTime(_since_1970(value).astimezone(zone), has_time=True)
    if not isinstance(value, str) or len(value) > MAX_CHARS:
        raise NotATime
    text = value.strip()
    if text.lower() in ("now", "today"):
        return ReadTime(now.astimezone(zone), has_time=True)
    if _DIGITS.fullmatch(text):
        _refuse_day_in_digits(text)
        number = float(text) if "." in text else int(text)
        return ReadTime(_since_1970(number).astimezone(zone), has_time=True)
    try:
        moment, has_time = _written(text)
    except (ValueError, OverflowError, AttributeError, TypeError) as error:
        raise error if isinstance(error, NotATime) else NotATime from None
    return ReadTime(moment.replace(tzinfo=zone) if moment.tzinfo is None else moment, has_time)


def _refuse_day_in_digits(text: str) -> None:
    found = _DAY_IN_DIGITS.fullmatch(text)
    if found is not None:
        time = {4: "%H%M", 6: "%H%M%S"}.get(len(found[1] or ""), "")
        raise NotATime(digits_format=f"%Y%m%d{time}")


def _since_1970(number: float) -> datetime.datetime:
    try:
        milliseconds = abs(number) >= MILLISECONDS_FROM
        # Whole numbers stay exact.
        whole, part = divmod(number, 1000) if milliseconds else (number, 0)
        since = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        return since + datetime.timedelta(seconds=whole, milliseconds=part)
    except (OverflowError, ValueError):
        raise NotATime from None


def _written(text: str) -> tuple[datetime.datetime, bool]:
    found = _YEAR_FIRST.fullmatch(text)
    if found is not None:
        return _year_first(found)
    if _COMPACT.fullmatch(text):
        return datetime.datetime.fromisoformat(text.upper()), True
    if _MONTH.search(text) is None or _YEAR.search(text) is None:
        raise NotATime(day_or_month=_DAY_OR_MONTH.match(text) is not None)
    step_budget.charge(_STEPS_OF_NAMES)
    # Each default fills what the text leaves out, so the results differ unless the text has year, month and day.
    first, second = (month_names.parse(text, default=default, tzinfos=_no_zone) for default in _DEFAULTS)
    if first != second:
        raise NotATime
    return first, ":" in text or first.time() != datetime.time()


def _year_first(found: re.Match[str]) -> tuple[datetime.datetime, bool]:
    year, _, month, day, hour, minute, second, fraction, offset = found.groups()
    if offset is not None and hour is None:
        raise NotATime
    micros = int(((fraction or "") + "000000")[:6])
    moment = datetime.datetime(  # noqa: DTZ001 (a time without an offset gets the flow's zone)
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), micros
    )
    if offset is None:
        return moment, hour is not None
    if offset.upper() in ("Z", "UTC", "GMT"):
        return moment.replace(tzinfo=datetime.UTC), True
    digits = re.sub("[^0-9]", "", offset).ljust(6, "0")
    shift = datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:]))
    return moment.replace(tzinfo=datetime.timezone(-shift if offset[0] == "-" else shift)), True


def _no_zone(name: str | None, offset: int | None) -> datetime.tzinfo | None:
    """The zone of a text: none, an offset, UTC or GMT. Other abbreviations mean several zones."""
    if name is None and offset is None:
        return None
    if offset is not None:
        return datetime.timezone(datetime.timedelta(seconds=offset))
    if name in ("UTC", "GMT", "Z"):
        return datetime.UTC
    raise NotATime
