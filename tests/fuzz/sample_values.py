"""Makes a value of a type: the smallest one that has every required field."""

import dataclasses
import types
import typing
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

MAX_DEPTH = 6
"""How deep lists have items: a type may contain itself."""

MOMENT = datetime(2026, 11, 27, 12, tzinfo=UTC)
_SCALARS: dict[Any, Any] = {
    str: "a", int: 1, float: 1.0, bool: True, bytes: b"a", datetime: MOMENT, date: MOMENT.date(), UUID: UUID(int=1),
    Any: "a", object: "a", None: None, type(None): None,
}  # fmt: skip


def sample_of(kind: Any, depth: int = 0) -> Any:
    """Returns a value of `kind`: a scalar, a container with one item, or a struct or dataclass."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        return arguments[0]
    if origin in (Union, types.UnionType, typing.Annotated):
        return sample_of(next(one for one in arguments if one is not type(None)), depth)
    name = getattr(origin, "__name__", "")
    if name in ("dict", "Mapping"):
        return {sample_of(arguments[0]): sample_of(arguments[1], depth + 1)} if arguments else {}
    if name in ("list", "tuple", "set", "frozenset", "Sequence"):
        items = [] if depth > MAX_DEPTH or not arguments else [sample_of(arguments[0], depth + 1)]
        return items if name in ("list", "Sequence") else origin(items)
    return _object(origin, depth)


def _object(kind: type, depth: int) -> Any:
    """Returns an object with its required fields; a text for what has none."""
    if issubclass(kind, msgspec.Struct):
        no_default: Any = msgspec.NODEFAULT
        fields: Sequence[Any] = msgspec.structs.fields(kind)
    elif dataclasses.is_dataclass(kind):
        no_default, fields = dataclasses.MISSING, dataclasses.fields(kind)
    else:
        return "a"
    hints = get_type_hints(kind, include_extras=True)
    required = [one.name for one in fields if one.default is no_default and one.default_factory is no_default]
    return kind(**{name: sample_of(hints[name], depth + 1) for name in required})
