"""Writes times by a format of `%` directives, with the names of months and days of a locale."""

import datetime
import functools
import re
from collections.abc import Callable
from typing import Final

from babel import Locale
from babel import dates as babel_dates

MAX_FORMAT: Final = 1000
_MAX_WIDTH: Final = 40
_DIRECTIVE: Final = re.compile(r"%([-0^#_]*)([0-9]{0,3})(:{0,2}[a-zA-Z%+])", re.ASCII)

_Write = Callable[[datetime.datetime, Locale], str]


def _number(width: int, value: Callable[[datetime.datetime], int], pad: str = "0") -> tuple[_Write, int, str]:
    return (lambda moment, _: str(value(moment))), width, pad


def _hour12(moment: datetime.datetime) -> int:
    return (moment.hour + 11) % 12 + 1


def _name(kind: str, width: str) -> tuple[_Write, int, str]:
    def write(moment: datetime.datetime, locale: Locale) -> str:
        names = getattr(locale, kind)["format"][width]
        return str(names[moment.month if kind == "months" else moment.weekday()])

    return write, 0, " "


def _offset(colons: int) -> tuple[_Write, int, str]:
    def write(moment: datetime.datetime, _: Locale) -> str:
        seconds = int((moment.utcoffset() or datetime.timedelta()).total_seconds())
        sign, seconds = ("-", -seconds) if seconds < 0 else ("+", seconds)
        parts = [f"{seconds // 3600:02}", f"{seconds // 60 % 60:02}", f"{seconds % 60:02}"]
        return sign + (":" if colons else "").join(parts[: 3 if colons == 2 else 2])

    return write, 0, "0"


def _of_locale(write: Callable[..., str]) -> tuple[_Write, int, str]:
    def written(moment: datetime.datetime, locale: Locale) -> str:
        return write(moment, locale=locale).replace("\u202f", " ").replace("\xa0", " ")

    return written, 0, " "


def _half(moment: datetime.datetime, locale: Locale) -> str:
    return str(babel_dates.format_time(moment, "a", locale=locale))


def _fixed(format_: str) -> tuple[_Write, int, str]:
    return (lambda moment, locale: write_time(moment, format_, locale)), 0, " "


_TABLE: Final[dict[str, tuple[_Write, int, str]]] = {
    "Y": _number(4, lambda t: t.year), "C": _number(2, lambda t: t.year // 100),
    "y": _number(2, lambda t: t.year % 100),
    "m": _number(2, lambda t: t.month), "d": _number(2, lambda t: t.day), "e": _number(2, lambda t: t.day, " "),
    "j": _number(3, lambda t: t.timetuple().tm_yday),
    "H": _number(2, lambda t: t.hour), "k": _number(2, lambda t: t.hour, " "),
    "I": _number(2, _hour12), "l": _number(2, _hour12, " "),
    "M": _number(2, lambda t: t.minute), "S": _number(2, lambda t: t.second),
    "s": _number(1, lambda t: int(t.timestamp() // 1)),
    "u": _number(1, lambda t: t.isoweekday()), "w": _number(1, lambda t: t.isoweekday() % 7),
    "G": _number(4, lambda t: t.isocalendar()[0]), "g": _number(2, lambda t: t.isocalendar()[0] % 100),
    "V": _number(2, lambda t: t.isocalendar()[1]),
    "U": _number(2, lambda t: (t.timetuple().tm_yday + 6 - t.isoweekday() % 7) // 7),
    "W": _number(2, lambda t: (t.timetuple().tm_yday + 6 - t.weekday()) // 7),
    "B": _name("months", "wide"), "b": _name("months", "abbreviated"), "h": _name("months", "abbreviated"),
    "A": _name("days", "wide"), "a": _name("days", "abbreviated"),
    "p": (lambda t, locale: _half(t, locale).upper(), 0, " "),
    "P": (lambda t, locale: _half(t, locale).lower(), 0, " "),
    "z": _offset(0), ":z": _offset(1), "::z": _offset(2),
    "Z": (lambda t, _: t.tzname() or "", 0, " "),
    "F": _fixed("%Y-%m-%d"), "T": _fixed("%H:%M:%S"), "R": _fixed("%H:%M"), "D": _fixed("%m/%d/%y"),
    "r": _fixed("%I:%M:%S %p"), "v": _fixed("%e-%^b-%Y"),
    "c": _of_locale(babel_dates.format_datetime), "x": _of_locale(babel_dates.format_date),
    "X": _of_locale(babel_dates.format_time),
    "n": (lambda *_: "\n", 0, " "), "t": (lambda *_: "\t", 0, " "), "%": (lambda *_: "%", 0, " "),
}  # fmt: skip
"""By directive: how it is written, the smallest width, and the character that fills it up."""

_FRACTIONS: Final = {"L": 3, "N": 9, "f": 6}
"""The directives of fractions of a second, with their usual number of digits."""


def write_time(moment: datetime.datetime, format_: str, locale: Locale) -> str:
    """The time in that format. The caller has checked the format."""
    return _DIRECTIVE.sub(lambda found: _directive(found, moment, locale), format_)


@functools.lru_cache(maxsize=256)
def format_problem(format_: str) -> str | None:
    """What is wrong with a format, or None."""
    if len(format_) > MAX_FORMAT:
        return f"a format of at most {MAX_FORMAT} characters"
    rest = _DIRECTIVE.sub(lambda found: "" if _is_known(found) else found[0], format_)
    found = re.search("%.{0,2}", rest, re.DOTALL)
    return f"a format with known directives such as %d/%m/%Y, and `{found[0]}` is none" if found else None


def _is_known(found: re.Match[str]) -> bool:
    return (found[3] in _TABLE or found[3] in _FRACTIONS) and int(found[2] or 0) <= _MAX_WIDTH


def _directive(found: re.Match[str], moment: datetime.datetime, locale: Locale) -> str:
    flags, width, name = found[1], int(found[2] or 0), found[3]
    if name in _FRACTIONS:
        digits = width or _FRACTIONS[name]
        return f"{moment.microsecond:06}".ljust(digits, "0")[:digits]
    write, usual, pad = _TABLE[name]
    text = write(moment, locale)
    if "-" in flags:
        return text
    if "0" in flags or "_" in flags:
        pad = "0" if flags.rfind("0") > flags.rfind("_") else " "
    text = text.rjust(max(usual, width), pad)
    if "^" in flags:
        return text.upper()
    if "#" in flags:
        return text.lower() if text.isupper() else text.upper()
    return text
