"""What a step shows: without secrets, and bounded in size."""

import base64
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

HIDDEN = "[redacted]"
MAX_BYTES = 16 * 1024
"""The largest input or output of a step. A larger one is cut, and the cut is marked."""

_MAX_TEXT = 1024
_MAX_ITEMS = 50
_PREVIEW = 4096
_MIN_PART = 4
"""A shorter secret is hidden only if it is the whole value: otherwise parts of ordinary texts would be hidden."""

_SENSITIVE_HEADERS = ("authorization", "cookie", "token", "signature", "secret", "password", "api-key", "apikey")


@dataclass(slots=True)
class Redactor:
    """Replaces secrets in JSON, also where they are encoded (Base64, percent) inside a longer text."""

    _whole: set[str] = field(default_factory=set)
    _parts: list[str] = field(default_factory=list)

    def hide(self, secret: object) -> None:
        """From now on `secret` is replaced. Of an object or a list, every value is."""
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
        """JSON with every secret replaced, also in its keys."""
        if not self._whole or value is None or isinstance(value, bool):
            return value
        if isinstance(value, dict):
            return {self.text(key): self.clean(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.clean(item) for item in value]
        if isinstance(value, str):
            return self.text(value)
        return HIDDEN if _scalar(value) in self._whole else value

    def shown(self, value: Any) -> Any:
        """The value as a trace shows it: without secrets, and at most about MAX_BYTES large."""
        try:
            return bounded(self.clean(value))
        except RecursionError:
            return {"truncated": True, "reason": "nested too deep"}

    def text(self, text: str) -> str:
        """The text with every secret replaced."""
        if text in self._whole:
            return HIDDEN
        for part in self._parts:
            if part in text:
                text = text.replace(part, HIDDEN)
        return text


def headers_shown(headers: dict[str, Any]) -> dict[str, Any]:
    """The headers, without the values of those whose name shows that they carry credentials."""
    return {
        name: HIDDEN if any(word in name.lower() for word in _SENSITIVE_HEADERS) else value
        for name, value in headers.items()
    }


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


def _scalar(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _longest(part: str) -> tuple[int, str]:
    return -len(part), part
