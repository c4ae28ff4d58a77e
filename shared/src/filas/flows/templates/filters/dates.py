"""The filters `date` and `parse_date`."""

import datetime
import functools
import re
import unicodedata
from typing import Any, Final

from babel import Locale

from filas.flows import author_settings, step_budget
from filas.flows.found_values import described
from filas.flows.locales import locale_of, zone_of
from filas.flows.templates.filters.date_reading import NotATime, read_time
from filas.flows.templates.filters.date_writing import format_problem, write_time
from filas.flows.templates.filters.filter_failure import FilterFailure, expected, locale_argument, zone_argument

_TIME: Final = "a time such as 2026-11-05T10:30:00-03:00 or seconds since 1970"
_IN_DIGITS: Final = "may be a date or seconds since 1970: write parse_date"
_DAY_OR_MONTH: Final = 'is a date whose day and month may be exchanged: write parse_date: "%d/%m/%Y" before date'


def date_of(value: object, format_: object, zone: object = None, locale: object = None) -> object:
    """The time in that format. `zone` and `locale` replace those of the flow; null is empty."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return ""
    if format_ is None or format_ == "":
        return value
    step_budget.charge(2 + _STEPS_A_DIRECTIVE * str(format_).count("%"))
    settings = author_settings.current()
    shown_in = None if zone is None else zone_argument("date", zone)
    try:
        read = read_time(value, zone_of(settings.zone), settings.moment())
    except NotATime as error:
        if error.day_or_month:
            raise FilterFailure(f"date: {described(value)} {_DAY_OR_MONTH}") from None
        if error.digits_format:
            raise FilterFailure(f'date: {described(value)} {_IN_DIGITS}: "{error.digits_format}" before date') from None
        raise expected("date", _TIME, value) from None
    moment = read.moment
    try:
        if shown_in is not None:
            moment = moment.astimezone(shown_in) if read.has_time else moment.replace(tzinfo=shown_in)
        return write_time(moment, _format("date", format_), locale_argument("date", locale))
    except OverflowError:
        raise expected("date", "a time in the years 1 to 9999 of its time zone", value) from None


def parse_date_of(value: object, format_: object, zone: object = None, locale: object = None) -> str | None:
    """The date or time that the text writes in that format, in ISO 8601. Null and an empty text are null."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    step_budget.charge(5 + len(str(format_)))
    layout = _layout(_parse_format(format_), locale_argument("parse_date", locale))
    text = _folded(value.strip()) if isinstance(value, str) else str(value) if _is_whole(value) else ""
    found = layout.pattern.fullmatch(text) if 0 < len(text) <= _MAX_TEXT else None
    try:
        moment = None if found is None else layout.moment(found)
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise expected("parse_date", f"a date in the form {format_}", value)
    if not layout.has_time:
        return moment.date().isoformat()
    named = zone_argument("parse_date", zone) if zone is not None else zone_of(author_settings.current().zone)
    return (moment.replace(tzinfo=named) if moment.tzinfo is None else moment).isoformat()


def check_date(format_: object = "", zone: object = None, locale: object = None) -> None:
    """Raises FilterFailure for a wrong argument of `date`."""
    _format("date", format_ or "")
    _check_names("date", zone, locale)


def check_parse_date(format_: object = "", zone: object = None, locale: object = None) -> None:
    """Raises FilterFailure for a wrong argument of `parse_date`."""
    _parse_format(format_)
    _check_names("parse_date", zone, locale)


def _check_names(name: str, zone: object, locale: object) -> None:
    if zone is not None:
        zone_argument(name, zone)
    locale_argument(name, locale)


def _format(name: str, format_: object) -> str:
    problem = format_problem(format_) if isinstance(format_, str) else "a format such as %d/%m/%Y"
    if problem:
        raise expected(name, problem, format_)
    return str(format_)


def _parse_format(format_: object) -> str:
    text = _format("parse_date", format_)
    shown = text[:80]
    unknown = sorted({found for found in re.findall("%-?(.)", text, re.DOTALL) if found not in _PARTS and found != "%"})
    twice = [each for each in _stated(text) if _stated(text).count(each) > 1]
    if twice:
        # The pattern of a format that states a part many times could take exponential time.
        raise FilterFailure(f"parse_date: the format {shown} states the {twice[0].replace('_', ' ')} twice")
    missing = [each for each in ("day", "month", "year") if each not in _stated(text)]
    if unknown:
        known = ", ".join(f"%{one}" for one in _PARTS)
        raise FilterFailure(f"parse_date: cannot read %{unknown[0]}; known are {known}")
    if missing:
        raise FilterFailure(f"parse_date: the format {shown} has no {missing[0]}; write for example %d/%m/%Y")
    return text


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**20


_MAX_TEXT: Final = 200
_STEPS_A_DIRECTIVE: Final = 8
"""The steps of writing one directive: the slowest writes a date and a time of the locale."""

_PARTS: Final[dict[str, tuple[str, str]]] = {
    "d": ("day", r"\d{1,2}"), "e": ("day", r"\d{1,2}"), "m": ("month", r"\d{1,2}"),
    "Y": ("year", r"\d{4}"), "y": ("short_year", r"\d{2}"),
    "B": ("month_name", "%names%"), "b": ("month_name", "%names%"), "h": ("month_name", "%names%"),
    "A": ("weekday", r"[^\W\d_]+(?:-[^\W\d_]+)?\.?"), "a": ("weekday", r"[^\W\d_]+\.?"),
    "H": ("hour", r"\d{1,2}"), "k": ("hour", r"\d{1,2}"), "I": ("hour", r"\d{1,2}"), "l": ("hour", r"\d{1,2}"),
    "M": ("minute", r"\d{2}"), "S": ("second", r"\d{2}"), "L": ("fraction", r"\d{1,9}"), "f": ("fraction", r"\d{1,9}"),
    "p": ("half", r"[ap]\.?\s?m\.?"), "P": ("half", r"[ap]\.?\s?m\.?"),
    "z": ("offset", r"z|[+-]\d{2}:?\d{2}"),
}  # fmt: skip
"""By directive that `parse_date` reads: its name, and the pattern of its text, which is in lower case and without
accents."""

_TOGETHER: Final = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "R": "%H:%M"}
_PARTS.update(dict.fromkeys(_TOGETHER, ("", "")))


class _Layout:
    """A format of `parse_date`, as a pattern."""

    def __init__(self, format_: str, locale: Locale) -> None:
        self._months = _month_names(locale)
        names = "|".join(sorted(map(re.escape, self._months), key=len, reverse=True))
        pieces: list[str] = []
        used: set[str] = set()
        for literal, directive in re.findall(r"([^%]+)|%-?(.)", _spelled_out(format_), re.DOTALL):
            if literal or directive == "%":
                pieces.append(re.sub(r"(?:\\?\s)+", r"\\s+", re.escape(_folded(literal or "%"))))
                continue
            name, pattern = _PARTS[directive]
            pattern = pattern.replace("%names%", names)
            pieces.append(f"(?P<{name}>{pattern})")
            used.add(name)
        self.pattern = re.compile("".join(pieces))
        self.has_time = bool(used & {"hour", "minute", "second"})

    def moment(self, found: re.Match[str]) -> datetime.datetime:
        """The time that the text states. Raises ValueError if it does not exist."""
        part = found.groupdict()
        year = int(part.get("year") or 0) or _full_year(int(part["short_year"]))
        month = int(part["month"]) if part.get("month") else self._months[part["month_name"]]
        hour = int(part.get("hour") or 0)
        if half := part.get("half"):
            if not 1 <= hour <= 12:
                raise ValueError
            hour = hour % 12 + (12 if half[0] == "p" else 0)
        micros = int(((part.get("fraction") or "") + "000000")[:6])
        moment = datetime.datetime(  # noqa: DTZ001 (a time without an offset gets the flow's zone)
            year, month, int(part["day"]), hour, int(part.get("minute") or 0), int(part.get("second") or 0), micros
        )
        offset = part.get("offset")
        return moment if offset is None else moment.replace(tzinfo=_fixed_zone(offset))


def _full_year(two_digits: int) -> int:
    """Years from 69 on are in the last century, as in POSIX."""
    return two_digits + (1900 if two_digits >= 69 else 2000)


def _fixed_zone(offset: str) -> datetime.tzinfo:
    if offset == "z":
        return datetime.UTC
    digits = offset[1:].replace(":", "")
    shift = datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return datetime.timezone(-shift if offset[0] == "-" else shift)


def _spelled_out(format_: str) -> str:
    return re.sub("%([FTR])", lambda found: _TOGETHER[found[1]], format_)


def _stated(format_: str) -> list[str]:
    """What each directive of the format states."""
    names = [_PARTS[one][0] for one in re.findall("%-?(.)", _spelled_out(format_), re.DOTALL) if one in _PARTS]
    return [{"short_year": "year", "month_name": "month"}.get(name, name) for name in names]


@functools.lru_cache(maxsize=128)
def _layout(format_: str, locale: Locale) -> _Layout:
    return _Layout(format_, locale)


@functools.lru_cache(maxsize=64)
def _month_names(locale: Locale) -> dict[str, int]:
    """The number of each month by its names in the locale and in English, without accents."""
    names: dict[str, int] = {}
    for each in (locale_of("en"), locale):
        for width in ("wide", "abbreviated"):
            for number, name in each.months["format"][width].items():
                names[_folded(name)] = number
                names[_folded(name.rstrip("."))] = number
    return names


def _folded(text: str) -> str:
    """In lower case and without accents."""
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(each for each in decomposed if not unicodedata.combining(each)).casefold()


FILTERS: Final[dict[str, Any]] = {"date": date_of, "parse_date": parse_date_of}
