"""What a step shows: without secrets (`filas.crypto.redaction`), and bounded in size."""

import re
from typing import Any

import msgspec

from filas.crypto.redaction import HIDDEN
from filas.crypto.redaction import Redactor as SecretRedactor

MAX_BYTES = 16 * 1024
"""The largest input or output of a step. A larger one is cut, and the cut is marked."""

_MAX_TEXT = 1024
_MAX_ITEMS = 50
_PREVIEW = 4096
_SENSITIVE_HEADER = re.compile("authorization|cookie|token|signature|secret|password|api-?key", re.IGNORECASE)


class Redactor(SecretRedactor):
    """Replaces secrets, and bounds what is left: secrets come first, so that no part of one is left at a cut."""

    __slots__ = ()

    def shown(self, value: Any) -> Any:
        """The value as a trace shows it: without secrets, and at most about MAX_BYTES large."""
        try:
            return bounded(self.clean(value))
        except RecursionError:
            return {"truncated": True, "reason": "nested too deep"}


def headers_shown(headers: dict[str, Any]) -> dict[str, Any]:
    """The headers, without the values of those whose name shows that they carry credentials."""
    return {name: HIDDEN if _SENSITIVE_HEADER.search(name) else value for name, value in headers.items()}


def bounded(value: Any) -> Any:
    """`value` if it is small. Otherwise long texts and lists are cut; if that is not enough, only the start is left."""
    size = len(msgspec.json.encode(value))
    if size <= MAX_BYTES:
        return value
    cut = _cut(value)
    encoded = msgspec.json.encode(cut)
    if len(encoded) <= MAX_BYTES:
        return cut
    return {"truncated": True, "bytes": size, "preview": encoded[:_PREVIEW].decode(errors="ignore")}


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        return f"{value[:_MAX_TEXT]}… ({len(value) - _MAX_TEXT} characters more)"
    if isinstance(value, list):
        rest = [f"… ({len(value) - _MAX_ITEMS} items more)"] if len(value) > _MAX_ITEMS else []
        return [_cut(item) for item in value[:_MAX_ITEMS]] + rest
    if isinstance(value, dict):
        return {key: _cut(item) for key, item in value.items()}
    return value
