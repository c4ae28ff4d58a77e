"""Every error of a body that is not of its type. msgspec reports the first one only."""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec

from ingest.api.routing.problems import FieldError

MAX_ERRORS: Final = 100
"""The largest number of errors that are reported for one body."""

_MESSAGES: Final = {
    "Object missing required field": "missing required field",
    "Object contains unknown field": "unknown field",
}
"""Messages of msgspec that name a field, with ours."""


def field_error(message: str) -> FieldError:
    """Returns field and message of an error of msgspec, such as "Expected `int`, got `str` - at `$.rateLimit.max`"."""
    text, _, place = message.partition(" - at `")
    field = place.rstrip("`").removeprefix("$").removeprefix(".")
    for opening, ours in _MESSAGES.items():
        if text.startswith(f"{opening} `"):
            name = text.removeprefix(f"{opening} `").rstrip("`")
            field = f"{field}.{name}" if field else name
            text = f"{ours} `{name}`"
    return FieldError(field=field, message=text)


def errors_of(document: object, expected: Any) -> list[FieldError]:
    """Returns the errors of a document that cannot be converted to `expected`, at most MAX_ERRORS, in the order of the
    fields. Empty if it can be converted."""
    found: list[FieldError] = []
    for error in _errors(document, expected, ""):
        found.append(error)
        if len(found) == MAX_ERRORS:
            break
    return found


def convertible_fields(document: Mapping[str, Any], expected: type[msgspec.Struct]) -> dict[str, Any]:
    """Returns the fields of `document` that can be converted, by their names in Python."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(expected):
        if field.encode_name in document:
            try:
                values[field.name] = msgspec.convert(document[field.encode_name], field.type)
            except msgspec.ValidationError:
                continue
    return values


def _errors(document: object, expected: Any, place: str) -> Iterator[FieldError]:
    try:
        msgspec.convert(document, expected)
    except msgspec.ValidationError as error:
        first = field_error(str(error))
    else:
        return
    parts = list(_of_parts(document, expected, place))
    joined = f"{place}{'' if first.field.startswith('[') or not place or not first.field else '.'}{first.field}"
    yield from parts or [FieldError(field=joined, message=first.message)]


def _of_parts(document: object, expected: Any, place: str) -> Iterator[FieldError]:
    """The errors within the fields of an object or the items of a list."""
    if isinstance(document, dict) and (struct := _struct_of(document, expected)) is not None:
        yield from _of_struct(document, struct, f"{place}." if place else "")
    elif isinstance(document, list) and (item := _item_of(expected)) is not None:
        for index, one in enumerate(document):
            yield from _errors(one, item, f"{place}[{index}]")


def _of_struct(document: Mapping[str, Any], struct: type[msgspec.Struct], prefix: str) -> Iterator[FieldError]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    config = struct.__struct_config__
    if config.forbid_unknown_fields:
        for name in document:
            if name not in fields and name != config.tag_field:
                yield FieldError(field=f"{prefix}{name[:200]}", message=f"unknown field `{name[:200]}`")
    for name, field in fields.items():
        if name in document:
            yield from _errors(document[name], field.type, f"{prefix}{name}")
        elif field.required:
            yield FieldError(field=f"{prefix}{name}", message=f"missing required field `{name}`")


def _alternatives(expected: Any) -> list[Any]:
    """The types of a union without null, and without their annotations."""
    origin = get_origin(expected)
    if origin is Annotated:
        return _alternatives(get_args(expected)[0])
    if origin in (Union, UnionType):
        return [one for part in get_args(expected) for one in _alternatives(part)]
    return [] if expected in (NoneType, msgspec.UnsetType) else [expected]


def _struct_of(document: Mapping[str, Any], expected: Any) -> type[msgspec.Struct] | None:
    """The one type of object that the document can be: of several, the one with its tag."""
    structs = [one for one in _alternatives(expected) if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    if len(structs) == 1:
        return structs[0]
    for one in structs:
        tag = one.__struct_config__.tag_field
        if tag is not None and document.get(tag) == one.__struct_config__.tag:
            return one
    return None


def _item_of(expected: Any) -> Any:
    """The type of the items of a list, None if `expected` is no list."""
    for one in _alternatives(expected):
        arguments = get_args(one)
        if get_origin(one) in (list, tuple) and arguments and (len(arguments) == 1 or arguments[1] is ...):
            return arguments[0]
    return None
