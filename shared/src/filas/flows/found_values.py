"""How an error shows the value that was found: its first 80 characters, without secrets."""

import json
from itertools import islice
from typing import Any

from filas.flows import author_settings

MAX_CHARS = 80
_MAX_REDACTED = 4096


def described(value: object) -> str:
    """The value as JSON, with its kind where JSON does not show it: `"abc"`, `5`, `null`, `the list [1,2]`."""
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, (bool, int, float)):
        return _shown(json.dumps(value))
    if isinstance(value, (list, tuple)):
        return f"the list {_shown(_json(list(value[:MAX_CHARS])))}"
    if isinstance(value, dict):
        return f"the object {_shown(_json(dict(islice(value.items(), MAX_CHARS))))}"
    return "another value"


def _text(value: str) -> str:
    # Redacted before it is cut, so that no part of a secret is left.
    clean = author_settings.current().redact(value[:_MAX_REDACTED])
    cut = f"{clean[:MAX_CHARS]}…" if len(clean) > MAX_CHARS else clean
    return json.dumps(cut.encode(errors="replace").decode(), ensure_ascii=False)


def _shown(text: str) -> str:
    clean = author_settings.current().redact(text)
    return f"{clean[:MAX_CHARS]}…" if len(clean) > MAX_CHARS else clean


def _json(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except (ValueError, RecursionError):
        return "…"
    return text[:_MAX_REDACTED].encode(errors="replace").decode()
