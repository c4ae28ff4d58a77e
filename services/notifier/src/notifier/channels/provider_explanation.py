"""The provider's own explanation of a refusal, for the error of the message. Pure."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from filas.contract.storable_text import escape_surrogates, json_bytes

MAX_SHOWN: Final = 300
"""The most characters of an explanation. The whole reason of a failure has at most 500."""

_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"<(?:style|script)\b.*?</(?:style|script)>|<[^>]*>", re.IGNORECASE | re.DOTALL)


Hide = Callable[[str], str]
"""Returns a text without secrets."""


def explained(reason: str, parts: Sequence[Any], hide: Hide) -> str:
    """Returns `reason`, and each text in `parts` (a text, or a list of texts and of objects with a `message`) that it
    does not contain already. A secret is hidden before a text is cut, so that no part of it is shown."""
    reason, found = hide(reason), ""
    for text in _texts(list(parts), hide):
        if text not in reason and text not in found:
            found += f"; {text}" if found else text
    return f"{reason}: {found}" if found else reason


def shown(text: str) -> str:
    """Returns the beginning of a text on one line. Of an HTML page, the title or the text without its tags."""
    if "<" in text:
        title = _TITLE.search(text)
        text = title.group(1) if title else _TAG.sub(" ", text)
    text = "".join(one if one.isprintable() else " " for one in escape_surrogates(text))
    text = " ".join(text.split())
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _texts(value: Any, hide: Hide) -> list[str]:
    if isinstance(value, list):
        return [text for item in value[:10] for text in _texts(item, hide)]
    if isinstance(value, dict):
        text = next((value[name] for name in ("message", "title", "detail") if isinstance(value.get(name), str)), None)
        return _texts(text if text is not None else json_bytes(value).decode(), hide)
    text = shown(hide(value)) if isinstance(value, str) else ""
    return [text] if text else []
