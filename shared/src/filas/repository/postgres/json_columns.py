"""Values of `json` columns. Text in them may hold NUL and lone surrogates."""

import json
from typing import Any

import msgspec

from filas.contract.storable_text import json_bytes
from filas.models.record import ErrorDetail


def to_json(value: Any) -> str:
    """`value` as JSON text for a `json` column. A lone surrogate is written as an escape."""
    return json_bytes(value).decode()


def to_json_or_null(value: Any) -> str | None:
    """`value` as JSON text for a `json` column; None as SQL's null."""
    return None if value is None else to_json(value)


def from_json(text: str | None) -> Any:
    """The value of a `json` column, as dicts, lists and scalars; None for SQL's null."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)


def error_detail(text: str | None) -> ErrorDetail | None:
    """The error in a `json` column; None for SQL's null."""
    return None if text is None else msgspec.convert(from_json(text), ErrorDetail)
