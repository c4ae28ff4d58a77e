"""How numbers, amounts of bytes and durations are shown, in the language of the reader."""

from typing import Final

from babel.numbers import format_decimal

from ingest.dashboard.presentation.texts import Reader

MAX_SHOWN: Final = 1000
"""Above it, a count is shown as "1,000+": nothing counts all rows."""

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def number(reader: Reader, value: float) -> str:
    """Returns a number with the separators of the language: at most two decimal places, or one from 10 on."""
    places = (
        "#,##0" if float(value).is_integer() or abs(value) >= 100 else "#,##0.0" if abs(value) >= 10 else "#,##0.##"
    )
    return format_decimal(value, format=places, locale=reader.locale)


def count(reader: Reader, value: int, *, most: int = MAX_SHOWN) -> str:
    """Returns a count; "1,000+" if `value` is above `most`."""
    return number(reader, value) if value <= most else f"{number(reader, most)}+"


def size(reader: Reader, count_bytes: float) -> str:
    """Returns an amount of bytes with its binary unit: `12.4 KiB`."""
    value, unit = float(count_bytes), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    return f"{number(reader, value)} {_UNITS[unit]}"


def duration(reader: Reader, seconds: float) -> str:
    """Returns a length of time in at most two units: `340 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 1:
        return f"{number(reader, round(seconds * 1000))} ms"
    if seconds < 60:
        return f"{number(reader, round(seconds, 1))} s"
    whole = round(seconds)
    for large, small, length in (("d", "h", 86400), ("h", "min", 3600), ("min", "s", 60)):
        if whole >= length:
            rest = whole % length // {"h": 3600, "min": 60, "s": 1}[small]
            return f"{number(reader, whole // length)} {large}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"
