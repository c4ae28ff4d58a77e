"""Reads the fields of another product's JSON, whatever types they have. Nothing here raises."""

import math
from collections.abc import Mapping
from typing import Any

from filas.contract.storable_text import to_storable

Json = Mapping[str, Any]


def mapping(value: object) -> dict[str, Any]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[dict[str, Any]]:
    """The objects in a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(value: object) -> list[str]:
    """The texts and numbers in a list, as texts that are not empty."""
    return [found for item in value if (found := text(item))] if isinstance(value, list) else []


def text(value: object) -> str:
    """A text or a number as a text without NUL and lone surrogates; otherwise an empty text."""
    if isinstance(value, str):
        return to_storable(value)
    return str(value) if number(value) is not None else ""


def number(value: object) -> int | float | None:
    """A finite number of reasonable size, also from a text of digits."""
    if isinstance(value, str) and len(value) <= 20:
        try:
            value = float(value) if "." in value else int(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) and abs(value) < 1e15 else None


def one_line(value: object, most: int = 120) -> str:
    """The text in one line without control characters, cut to `most` characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text(value)[: most * 4]).split())
    return line if len(line) <= most else line[: most - 1] + "…"
