"""The bounds of a definition and of every value that a flow computes.

The bounds prevent a flow or a payload from delaying the other executions of a process: by its size, by its nesting, or
by a value that is small in memory and huge when it is written out.
"""

import datetime
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

MAX_NODES = 1000
MAX_EDGES = 5000
MAX_VARIABLES = 500
MAX_NOTES = 200
MAX_NOTE_CHARS = 5000
MAX_ID_CHARS = 128
MAX_DEPTH = 32
"""How deep JSON may be nested in a definition's data and in a value."""

MAX_TEMPLATE_CHARS = 64 * 1024
MAX_EXPRESSION_CHARS = 4096
"""The longest JMESPath or RE2 pattern."""

MAX_VALUE_SIZE = 1024 * 1024
"""The largest value, in characters of its strings and keys plus 8 for everything else in it."""

DELAY_MAX_MS = 30 * 24 * 3600 * 1000


class TooLarge(ValueError):
    """A value exceeds the bounds: too large, nested too deep, or not JSON."""


def plain(value: object, *, max_size: int = MAX_VALUE_SIZE) -> Any:
    """The value as plain JSON: None, bool, int, float, str, list and dict with text keys.

    Converts the other values of templates: ranges and tuples to lists, decimals to numbers, dates to ISO 8601. Raises
    TooLarge, after at most `max_size` steps.
    """
    return _Plain(max_size).convert(value, 0)


class _Plain:
    def __init__(self, max_size: int) -> None:
        self._left = max_size

    def convert(self, value: object, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise TooLarge(f"nested deeper than {MAX_DEPTH}")
        self._charge(len(value) if isinstance(value, str) else 8)
        if value is None or isinstance(value, (bool, str)):
            return value if type(value) in (bool, str, type(None)) else str(value)
        if isinstance(value, (int, float, Decimal)):
            return _number(value)
        if isinstance(value, Mapping):
            return {self._key(key): self.convert(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, range)):
            # Checked before the items are created: a range is small, its list may be large.
            self._charge(0 if len(value) * 8 <= self._left else self._left + 1)
            return [self.convert(item, depth + 1) for item in value]
        if isinstance(value, (datetime.datetime, datetime.date)):
            return value.isoformat()
        raise TooLarge("the value is neither a text, a number, a boolean, a list, an object nor null")

    def _key(self, key: object) -> str:
        text = key if isinstance(key, str) else str(plain(key))
        self._charge(len(text))
        return text

    def _charge(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TooLarge("the value is too large")


def _number(value: int | float | Decimal) -> int | float:
    if isinstance(value, int):
        if value.bit_length() > 1024:
            raise TooLarge("the number is too large")
        return value
    if isinstance(value, Decimal):
        value = float(value)
    if not math.isfinite(value):
        raise TooLarge(f"{value} is not a JSON number")
    return value
