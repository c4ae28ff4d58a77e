"""Filters that differ from python-liquid's: values are written as JSON instead of Python, null is written as nothing,
and no filter takes quadratic time."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from liquid.exceptions import LiquidError
from liquid.filter import sequence_filter
from liquid.undefined import Undefined

from filas.flows.value_limits import TooLarge, plain

MAX_TEXT = 256 * 1024

_OF_TEXTS = frozenset(
    [
        *("append", "prepend", "replace", "replace_first", "replace_last", "remove", "remove_first", "remove_last"),
        *("split", "strip", "lstrip", "rstrip", "strip_html", "strip_newlines", "newline_to_br", "squish"),
        *("capitalize", "downcase", "upcase", "escape", "escape_once", "escapejs", "url_encode", "url_decode"),
        *("base64_encode", "base64_decode", "base64_url_safe_encode", "base64_url_safe_decode"),
    ]
)
"""Filters whose value and arguments are texts."""

_OF_A_TEXT = frozenset({"truncate", "truncatewords"})


class OverLimit(LiquidError):
    """A template exceeds its bounds."""

    def __init__(self, message: str) -> None:
        super().__init__(message, token=None)


def is_undefined(value: object) -> bool:
    """True for an unknown name. (`isinstance` would make a strict undefined value raise.)"""
    return issubclass(type(value), Undefined)


def as_liquid_writes(name: str, value: object, args: tuple[Any, ...]) -> tuple[object, tuple[Any, ...]]:
    """The value and arguments of a filter, as texts where the filter takes texts: null is empty, objects and lists are
    JSON. The original filters would write them as Python."""
    if name in _OF_TEXTS or name == "join":
        args = tuple(each if is_undefined(each) else text_of(each) for each in args)
    if name in _OF_TEXTS or name in _OF_A_TEXT or (name == "slice" and not isinstance(value, (list, tuple, range))):
        return text_of(value), args
    if name == "join":
        value = [text_of(item) for item in (value if isinstance(value, (list, tuple, range)) else [value])]
    return value, args


def text_of(value: object) -> str:
    """The text of a value inside a text. Raises OverLimit."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, (bool, int, float, dict, list, tuple, range, Decimal)):
        return as_json(value)
    return str(value)


def as_json(value: object) -> str:
    """The filter `json`. Raises OverLimit."""
    try:
        return msgspec.json.encode(plain(value, max_size=MAX_TEXT)).decode()
    except TooLarge as error:
        raise OverLimit(str(error)) from None


def raw_of(value: object) -> object:
    """The filter `raw`: the value itself. Where it is inserted, it is not escaped."""
    return value


@sequence_filter
def compact_of(items: Sequence[object], key: object = None) -> list[object]:
    """The items that are not null, or whose `key` is neither null nor missing."""
    return [item for item in items if (item if key is None else _part(item, key)) is not None]


def _part(item: object, key: object) -> object:
    return item.get(str(key)) if isinstance(item, Mapping) else None


def uniq_of(value: object, key: object = None) -> list[object]:
    """Each item once, compared by its JSON or that of its `key`. The original compares every pair of items."""
    items = list(value) if isinstance(value, (list, tuple, range)) else [] if value is None else [value]
    seen: dict[str, object] = {}
    for item in items:
        seen.setdefault(as_json(item.get(key) if key is not None and isinstance(item, dict) else item), item)
    return list(seen.values())
