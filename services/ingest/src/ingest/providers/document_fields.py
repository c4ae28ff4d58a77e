"""Fields of a provider's document. A field of an unexpected type is treated as absent."""

import hashlib
from typing import Any

import msgspec

from filas.contract import bounded_json


def object_of(value: Any) -> dict[str, Any]:
    """`value` if it is an object, otherwise an empty object."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in the list `value`."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text_of(value: Any) -> str | None:
    """`value` if it is a text that is not empty."""
    return value if isinstance(value, str) and value else None


def identity_of(value: Any) -> str | None:
    """`value` as text if it can be an id: a text that is not empty, or an integer."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_of(value)


def milliseconds(value: Any, factor: int) -> int | None:
    """A time in milliseconds. `value` is an integer or its digits, in units of `factor` milliseconds."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**16:
        return None
    return value * factor


def json_of(written: str) -> Any:
    """The document in a text that is JSON. None if it is not, or exceeds the bounds of `bounded_json`."""
    try:
        return bounded_json.decode(written.encode("utf-8", "replace"))
    except bounded_json.InvalidJson:
        return None


def digest(value: Any) -> str:
    """The key of a part that has no id: the SHA-256 of its JSON, so that it has the same key when it is sent again."""
    return f"sha256:{hashlib.sha256(msgspec.json.encode(value)).hexdigest()}"
