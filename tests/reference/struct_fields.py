"""The fields of msgspec structs as rows of a table: name on the wire, accepted values, default."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec


class Row(NamedTuple):
    """A field of `owner`. `default` is None where the field is required."""

    owner: str
    field: str
    takes: str
    default: str | None

    @property
    def key(self) -> str:
        """The name of the field in a table of meanings."""
        return f"{self.owner}.{self.field}" if not self.field.startswith("[") else f"{self.owner}{self.field}"


def rows(owner: str, struct: type[msgspec.Struct], without: set[str] | None = None, path: str = "") -> Iterator[Row]:
    """Every field of `struct` and of the structs in it, except those named in `without`."""
    for field in msgspec.structs.fields(struct):
        if field.name in (without or ()):
            continue
        name = path + field.encode_name
        part, is_list = _part(field.type)
        if part is not None:
            yield from rows(owner, part, None, name + ("[]." if is_list else "."))
        else:
            yield Row(owner, name, takes(field.type), default_of(field))


def _part(wanted: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """The struct that a field holds, and whether it holds a list of them."""
    origin, arms = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return _part(arms[0])
    if origin in (Union, types.UnionType):
        found = [_part(arm) for arm in arms if arm is not type(None)]
        return found[0] if len(found) == 1 else (None, False)
    if origin is list:
        return _part(arms[0])[0], True
    return (wanted, False) if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct) else (None, False)


def takes(wanted: Any) -> str:
    """The accepted values of a type in words."""
    origin, arms = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return takes(arms[0]) + _bounds(arms[1])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(takes(arm) for arm in arms if arm is not type(None)))
    if origin is Literal:
        return ", ".join(f"`{arm}`" for arm in arms)
    if origin is list:
        return f"list of {takes(arms[0])}"
    named = {str: "text", int: "number", float: "number", bool: "`true`, `false`", Any: "JSON"}
    return "object of texts" if arms[1:] == (str,) else named.get(wanted, _other(wanted))


def _other(wanted: Any) -> str:
    return {"datetime": "time", "UUID": "id"}.get(getattr(wanted, "__name__", ""), "object")


def _bounds(meta: msgspec.Meta) -> str:
    low, high = (f"{bound:,}" if bound is not None else "" for bound in (meta.ge, meta.le))
    if low and high:
        return f", {low} to {high}"
    return f", from {low}" if low else ""


def default_of(field: Any) -> str | None:
    """The default as JSON in backticks, empty for null and empty text, None for a required field."""
    if field.required:
        return None
    value = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    if value in (None, "") or value is msgspec.UNSET:
        return ""
    return f"`{msgspec.json.encode(value).decode()}`".replace('"', "")
