"""Reads JSON into a struct field by field, so that every wrong field is reported, not only the first."""

import re
import types
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from filas.flows.library_errors import describe_msgspec
from filas.flows.problems import Add

Struct = TypeVar("Struct", bound=msgspec.Struct)

_UNKNOWN_VALUE = "Invalid enum value"
_AT = re.compile(r" - at `\$(.*)`$")
_BLANKS: dict[Any, Any] = {str: "", int: 0, float: 0.0, bool: False, list: [], dict: {}, Literal: ""}


class Reader:
    """Reads structs. `failed` has the names of the wrong fields, and `given` those of all fields that the JSON has.

    In the returned struct, a wrong field has its default, or an empty value of its type, so that the checks can examine
    the other fields. `add_unknown` gets the name of each field, and each value of an enumeration, that is not known.
    """

    def __init__(self, add: Add, add_unknown: Callable[[str], None] | None = None) -> None:
        self._add = add
        self._add_unknown = add_unknown
        self.failed: list[str] = []
        self.given: set[str] = set()

    def read(self, value: object, struct: type[Struct], path: str = "") -> Struct:
        """Reads `value` as a `struct`, and reports every problem in it."""
        if not isinstance(value, dict):
            self._fail(path, f"expected an object, got {_kind(value)}")
            return struct(**{field.name: _blank(field.type) for field in _required(struct)})
        fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
        if struct.__struct_config__.forbid_unknown_fields:
            for name in value:
                if name not in fields:
                    known = ", ".join(sorted(fields))
                    self._note_unknown(_join(path, str(name)[:64]))
                    self._fail(_join(path, str(name)[:64]), f"unknown field `{str(name)[:64]}`; known are {known}")
        converted: dict[str, Any] = {}
        for name, field in fields.items():
            where = _join(path, name)
            if name in value:
                self.given.add(where)
                failures = len(self.failed)
                result = self._field(value[name], field.type, where)
                if failures == len(self.failed) or not isinstance(result, _Wrong):
                    converted[field.name] = result
                    continue
            elif field.required:
                self._fail(where, "is required")
            if field.required:
                converted[field.name] = _blank(field.type)
        return struct(**converted)

    def adds_beside_failures(self) -> Add:
        """An `add` that omits problems of fields that were already reported as wrong."""

        def add(field: str, message: str) -> None:
            if not self.has_failed(field):
                self._add(field, message)

        return add

    def has_failed(self, field: str) -> bool:
        """Whether the field, a part of it, or what it is a part of was reported as wrong."""
        return any(_overlap(field, failed) for failed in self.failed)

    def _fail(self, field: str, message: str) -> None:
        self.failed.append(field)
        self._add(field, message)

    def _note_unknown(self, name: str) -> None:
        if self._add_unknown is not None:
            self._add_unknown(name)

    def _field(self, value: object, wanted: Any, path: str) -> Any:
        origin, arms = get_origin(wanted), get_args(wanted)
        if origin is Annotated and _list_of(arms[0]):
            self._check_length(value, arms[1:], path)
            wanted = arms[0]
        elif origin in (Union, types.UnionType) and type(None) in arms:
            inner = [arm for arm in arms if arm is not type(None)]
            if value is None or len(inner) == 1:
                return None if value is None else self._field(value, inner[0], path)
        item_type = _list_of(wanted)
        if item_type is not None and isinstance(value, list):
            return [self.read(item, item_type, f"{path}[{index}]") for index, item in enumerate(value)]
        return self.read(value, wanted, path) if _is_struct(wanted) else self._leaf(value, wanted, path)

    def _leaf(self, value: object, wanted: Any, path: str) -> Any:
        try:
            return msgspec.convert(value, wanted)
        except (msgspec.ValidationError, RecursionError, OverflowError) as error:
            at = _AT.search(str(error))
            if str(error).startswith(_UNKNOWN_VALUE):
                self._note_unknown(f"{path} {str(value)[:64]!r}")
            reason = describe_msgspec(_AT.sub("", str(error)), None if at else value)
            self._fail(path + (at.group(1) if at else ""), reason + _known(wanted))
            return _Wrong()

    def _check_length(self, value: object, metas: Iterable[object], path: str) -> None:
        for meta in metas:
            if isinstance(value, list) and isinstance(meta, msgspec.Meta):
                if meta.max_length is not None and len(value) > meta.max_length:
                    self._fail(path, f"has {len(value)} entries; at most {meta.max_length} are allowed")
                if meta.min_length is not None and len(value) < meta.min_length:
                    self._fail(path, f"has {len(value)} entries; at least {meta.min_length} is required")


class _Wrong:
    """The result for a value that could not be read."""


def _overlap(field: str, failed: str) -> bool:
    """Whether two paths name the same field, or one a part of the other."""
    inner, outer = (field, failed) if len(field) >= len(failed) else (failed, field)
    return inner == outer or not outer or inner.startswith((f"{outer}.", f"{outer}["))


def _required(struct: type[msgspec.Struct]) -> list[Any]:
    return [field for field in msgspec.structs.fields(struct) if field.required]


def _blank(wanted: Any) -> Any:
    origin, arms = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return _blank(arms[0])
    if origin in (Union, types.UnionType):
        return None
    if _is_struct(wanted):
        return wanted(**{field.name: _blank(field.type) for field in _required(wanted)})
    return _BLANKS.get(origin or wanted)


def _list_of(wanted: Any) -> Any:
    """The struct that a list is of, or None."""
    arms = get_args(wanted)
    return arms[0] if get_origin(wanted) is list and _is_struct(arms[0]) else None


def _is_struct(candidate: object) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, msgspec.Struct)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _known(wanted: Any) -> str:
    """The values of a field that allows only some, for its error."""
    values = get_args(wanted) if get_origin(wanted) is Literal else ()
    return f"; known are {', '.join(map(str, values))}" if values else ""


def _kind(value: object) -> str:
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list"}
    return names.get(type(value), "an object")
