"""The filters of lists that order, search, add up or extend a list of any values."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from liquid.filter import flatten
from liquid.undefined import Undefined

from filas.flows.templates.filters.filter_failure import expected
from filas.flows.templates.filters.numbers import as_number
from filas.flows.templates.liquid_filters import as_json, text_of

_NUMBERS, _TEXTS, _BOOLEANS, _LISTS, _OBJECTS, _NULLS = range(6)


def sort_of(value: object, key: object = None) -> list[object]:
    """The items in ascending order, or in that of their `key`: numbers, then texts, booleans, lists and objects, and
    nulls (and items without the key) last. Equal items keep their order."""
    return sorted(_items(value), key=lambda item: _rank(item if key is None else part_of(item, key)))


def sort_natural_of(value: object, key: object = None) -> list[object]:
    """Like `sort`, by the texts of the items without regard to case."""
    return sorted(_items(value), key=lambda item: _natural_rank(item if key is None else part_of(item, key)))


def where_of(value: object, key: object, wanted: object = None) -> list[object]:
    """The items whose `key` is `wanted`; without it, those whose `key` is neither null nor false."""
    return [item for item in _items(value) if _matches(item, key, wanted)]


def reject_of(value: object, key: object, wanted: object = None) -> list[object]:
    """The items that `where` leaves out."""
    return [item for item in _items(value) if not _matches(item, key, wanted)]


def find_of(value: object, key: object, wanted: object = None) -> object:
    """The first item that `where` keeps, or null."""
    return next((item for item in _items(value) if _matches(item, key, wanted)), None)


def find_index_of(value: object, key: object, wanted: object = None) -> int | None:
    """The index of the first item that `where` keeps, or null."""
    return next((index for index, item in enumerate(_items(value)) if _matches(item, key, wanted)), None)


def has_of(value: object, key: object, wanted: object = None) -> bool:
    """Whether `where` keeps an item."""
    return any(_matches(item, key, wanted) for item in _items(value))


def sum_of(value: object, key: object = None) -> int | float:
    """The sum of the items, or of their `key`. What is no number counts as 0."""
    numbers = [as_number(item if key is None else part_of(item, key)) for item in _items(value)]
    if all(isinstance(number, int) for number in numbers):
        return sum(numbers)
    total = sum((Decimal(repr(number)) for number in numbers), Decimal(0))
    return float(total)


def push_of(value: object, item: object) -> list[object]:
    """The list with one more item at its end. Null is an empty list."""
    if value is None:
        return [item]
    if not isinstance(value, (list, tuple, range)):
        raise expected("push", "a list", value)
    return [*value, item]


def concat_of(value: object, more: object) -> list[object]:
    """The items of both lists. Null is an empty list."""
    if more is not None and not isinstance(more, (list, tuple, range)):
        raise expected("concat", "a list to add", more)
    return [*_items(value), *(more or ())]


def map_of(value: object, key: object) -> list[object]:
    """The value of `key` in each item. It is null in an item that is null or has no such key."""
    items = list(_items(value))
    for item in items:
        if item is not None and not isinstance(item, Mapping):
            raise expected("map", "a list of objects", item)
    return [part_of(item, key) for item in items]


def reverse_of(value: object) -> list[object]:
    """The items in the opposite order. Null is an empty list."""
    return list(_items(value))[::-1]


def part_of(item: object, key: object) -> object:
    """The value of a key in an object, null elsewhere."""
    return item.get(str(key)) if isinstance(item, Mapping) else None


def _items(value: object) -> Iterable[object]:
    """The items of a list, whose inner lists are opened, as in Liquid. Null has none; any other value is one item."""
    if isinstance(value, (list, tuple)):
        return flatten(value)
    if isinstance(value, range):
        return value
    return () if value is None else (value,)


def _matches(item: object, key: object, wanted: object) -> bool:
    found = part_of(item, key) if isinstance(item, Mapping) else item if item == key else None
    if wanted is None or issubclass(type(wanted), Undefined):
        return found is not None and found is not False
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    return bool(found == wanted)


def _rank(value: object) -> tuple[int, Any]:
    if value is None:
        return _NULLS, 0
    if isinstance(value, bool):
        return _BOOLEANS, value
    if isinstance(value, (int, float, Decimal)):
        return _NUMBERS, value
    if isinstance(value, str):
        return _TEXTS, value
    return _LISTS if isinstance(value, (list, tuple, range)) else _OBJECTS, as_json(value)


def _natural_rank(value: object) -> tuple[int, Any]:
    return (_NULLS, "") if value is None else (_NUMBERS, text_of(value).casefold())


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "map": map_of,
    "reverse": reverse_of,
    "sort": sort_of,
    "sort_natural": sort_natural_of,
    "where": where_of,
    "reject": reject_of,
    "find": find_of,
    "find_index": find_index_of,
    "has": has_of,
    "sum": sum_of,
    "push": push_of,
    "concat": concat_of,
}
