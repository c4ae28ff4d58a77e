"""Ids in the document of a request."""

from typing import Any


def id_at(document: Any, *path: str) -> str | None:
    """The text or whole number at `path` in nested objects, None if there is none."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    if isinstance(document, bool) or not isinstance(document, str | int):
        return None
    return str(document) or None
