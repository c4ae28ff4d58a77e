"""The differences between two JSON values, as a person reads them: each place with its value before and after."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from filas.contract.storable_text import json_bytes

MAX_DIFFERENCES: Final = 500
_MISSING: Final = object()
_IDS: Final = ("id", "name")
"""Objects of a list are the same if they have the same value of one of these."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place (`nodes.hello.data.text`). `before` and `after` are empty where there is no value."""

    kind: Literal["added", "removed", "changed"]
    place: str
    before: str
    after: str


def differences(before: Any, after: Any, *, without: frozenset[str] = frozenset()) -> list[Difference]:
    """Returns the differences in the order of the fields, at most MAX_DIFFERENCES. `without`: fields of the outermost
    object that are left out."""
    if isinstance(before, Mapping) or isinstance(after, Mapping):
        before, after = _outer(before, without), _outer(after, without)
    found: list[Difference] = []
    for one in _walk("", before, after):
        found.append(one)
        if len(found) == MAX_DIFFERENCES:
            break
    return found


def _outer(value: Any, without: frozenset[str]) -> Any:
    if value is None:
        return {}
    return {name: one for name, one in value.items() if name not in without} if isinstance(value, Mapping) else value


def _walk(place: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*before, *(name for name in after if name not in before)]:
            inner = f"{place}.{name}" if place else str(name)
            yield from _walk(inner, before.get(name, _MISSING), after.get(name, _MISSING))
        return
    if isinstance(before, list) and isinstance(after, list):
        yield from _lists(place, before, after)
        return
    # A value that was null before is no change that a person looks for.
    if before is _MISSING:
        if after is not None and after is not _MISSING:
            yield Difference("added", place, "", _text(after))
    elif after is _MISSING:
        if before is not None:
            yield Difference("removed", place, _text(before), "")
    elif before != after or type(before) is not type(after):
        yield Difference("changed", place, _text(before), _text(after))


def _lists(place: str, before: list[Any], after: list[Any]) -> Iterator[Difference]:
    keyed = _by_id(before), _by_id(after)
    if keyed[0] is not None and keyed[1] is not None:
        yield from _walk(place, keyed[0], keyed[1])
        return
    for index in range(max(len(before), len(after))):
        one = before[index] if index < len(before) else _MISSING
        other = after[index] if index < len(after) else _MISSING
        yield from _walk(f"{place}[{index}]", one, other)


def _by_id(items: list[Any]) -> dict[str, Any] | None:
    for name in _IDS:
        found = {one[name]: one for one in items if isinstance(one, Mapping) and isinstance(one.get(name), str)}
        if len(found) == len(items):
            return found
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_bytes(value).decode("utf-8", "replace")
