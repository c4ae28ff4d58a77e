"""Reads a date that a contact has written."""

import datetime
import functools
import re
from typing import Final

from filas.contract.comparable_text import folded_text
from filas.flows.locales import locale_of
from flow_runner.nodes.invalid_reply import InvalidReply

_MAX_CHARS: Final = 32
_YEAR_FIRST: Final = re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})", re.ASCII)
_YEAR_LAST: Final = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4})", re.ASCII)


def read_date(reply: str, locale: str) -> str:
    """The date as `2026-11-05`. It is written as ISO 8601, or with a four-digit year at the end; the locale decides
    whether the day or the month is first. Where dates begin with the year, only ISO 8601 is read. Raises
    InvalidReply."""
    written = folded_text(reply).replace(" ", "").rstrip(".!") if len(reply) <= _MAX_CHARS else ""
    if found := _YEAR_FIRST.fullmatch(written):
        year, month, day = found[1], found[3], found[4]
    elif found := _YEAR_LAST.fullmatch(written):
        order = _order(locale)
        parts = dict(zip(order, (found[1], found[3], found[4]), strict=True))
        year, month, day = (parts["y"], parts["M"], parts["d"]) if order[2] == "y" else ("", "", "")
    else:
        raise InvalidReply("the reply is not a date")
    try:
        return datetime.date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        raise InvalidReply("the calendar has no such date") from None


@functools.lru_cache(maxsize=64)
def _order(locale: str) -> str:
    """The order of day, month and year in the locale's dates: `dMy`, `Mdy` or `yMd`."""
    pattern = locale_of(locale).date_formats["short"].pattern
    return "".join(sorted("dMy", key=pattern.find))
