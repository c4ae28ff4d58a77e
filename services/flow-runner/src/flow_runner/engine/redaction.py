"""What a step shows: bounded in size, and without secrets."""

import base64
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

HIDDEN = "[redacted]"
MAX_BYTES = 16 * 1024
"""The most that a step's input or output takes; more is cut, and says so."""

_MAX_TEXT = 1024
_MAX_ITEMS = 50
_PREVIEW = 4096
_MIN_PART = 4
"""A secret shorter than this is hidden only where it is the whole value: its parts would be everywhere."""

_SENSITIVE_HEADERS = ("authorization", "cookie", "token", "signature", "secret", "password", "api-key", "apikey")


class Redactor:
    """Replaces secrets in JSON, also where they stand encoded (Base64, percent) within a longer text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._whole: set[str] = set()
        self._parts: list[str] = []
        for secret in secrets:
            self.hide(secret)

    def hide(self, secret: object) -> None:
        """From now on `secret` is not shown; of an object or a list, none of its values."""
        if isinstance(secret, dict):
            secret = list(secret.values())
        if isinstance(secret, list):
            for item in secret:
                self.hide(item)
            return
        text = _scalar(secret)
        if not text or text in self._whole or isinstance(secret, bool):
            return
        self._whole.add(text)
        if len(text) >= _MIN_PART:
            encoded = base64.b64encode(text.encode(errors="replace")).decode()
            self._parts = sorted({*self._parts, text, quote(text, safe=""), quote_plus(text), encoded}, key=_longest)

    def clean(self, value: Any) -> Any:
        """JSON with every secret replaced; keys are cleaned too."""
        if not self._whole or value is None or isinstance(value, bool):
            return value
        if isinstance(value, dict):
            return {self.text(key): self.clean(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.clean(item) for item in value]
        if isinstance(value, str):
            return self.text(value)
        return HIDDEN if _scalar(value) in self._whole else value

    def text(self, text: str) -> str:
        """A text with every secret in it replaced."""
        if text in self._whole:
            return HIDDEN
        for part in self._parts:
            if part in text:
                text = text.replace(part, HIDDEN)
        return text


def headers_shown(headers: dict[str, Any]) -> dict[str, Any]:
    """Headers with the values of those hidden that carry credentials by their name."""
    return {
        name: HIDDEN if any(word in name.lower() for word in _SENSITIVE_HEADERS) else value
        for name, value in headers.items()
    }


def bounded(value: Any) -> Any:
    """`value` where it is small, else what of it fits: long texts and lists cut, at last a beginning alone."""
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


def _scalar(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _longest(part: str) -> tuple[int, str]:
    return -len(part), part
