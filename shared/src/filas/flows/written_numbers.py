"""Numbers that are written in a text, as people and systems write them.

A number consists of ASCII digits with a sign and a decimal point, or the decimal comma of its locale. It never has
thousands separators, an exponent, `inf`, `nan` or `_`.

| text    | en-US | pt-BR                                             |
|---------|-------|---------------------------------------------------|
| `10.5`  | 10.5  | 10.5: a point that can only be a decimal point    |
| `10,5`  | none  | 10.5                                              |
| `1.500` | 1.5   | none: it may be one and a half, or 1500           |
| `1,500` | none  | 1.5                                               |
"""

import functools
import math
import re
from typing import Final

from filas.flows.locales import locale_of

MAX_CHARS: Final = 300

_POINT: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_COMMA: Final = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?", re.ASCII)
_GROUPED: Final = re.compile(r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}", re.ASCII)


def read_number(text: str, locale: str) -> int | float | None:
    """The number in the text, which may have blanks around it; None if the text is not a number in that locale."""
    written = text.strip()
    if len(written) > MAX_CHARS:
        return None
    if _has_comma(locale):
        if not _COMMA.fullmatch(written) or _GROUPED.fullmatch(written):
            return None
        written = written.replace(",", ".")
    elif not _POINT.fullmatch(written):
        return None
    if "." not in written:
        return int(written)
    number = float(written)
    return number if math.isfinite(number) else None


@functools.lru_cache(maxsize=64)
def _has_comma(locale: str) -> bool:
    return decimal_sign(locale) == ","


def decimal_sign(locale: str) -> str:
    """The decimal point or comma of a locale. Raises ValueError."""
    return str(locale_of(locale).number_symbols["latn"]["decimal"])
