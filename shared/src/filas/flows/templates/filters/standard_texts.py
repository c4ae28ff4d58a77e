"""Liquid's filters of texts that its library for Python does not write as Liquid documents them."""

import base64
import binascii
import html
import re
from collections.abc import Callable
from typing import Any, Final

from filas.flows.templates.filters.filter_failure import expected
from filas.flows.templates.liquid_filters import text_of
from filas.flows.written_numbers import read_number

_URL_SAFE: Final = str.maketrans("-_", "+/")
_RAW: Final = (("<script", "</script>"), ("<style", "</style>"), ("<!--", "-->"))


def escape_of(value: object) -> str:
    """The text with `&`, `<`, `>`, `"` and `'` as HTML writes them."""
    return html.escape(text_of(value)).replace("&#x27;", "&#39;")


def escape_once_of(value: object) -> str:
    """Like `escape`, without changing what is escaped already."""
    return escape_of(html.unescape(text_of(value)))


def remove_last_of(value: object, part: object) -> str:
    """The text without the last occurrence of the part."""
    return replace_last_of(value, part, "")


def replace_last_of(value: object, part: object, replacement: object) -> str:
    """The text with the last occurrence of the part replaced."""
    text, old = text_of(value), text_of(part)
    at = text.rfind(old)
    return text if at < 0 else text[:at] + text_of(replacement) + text[at + len(old) :]


def truncate_of(value: object, length: object = 50, ending: object = "...") -> str:
    """The first characters of the text and the ending, together of that length. A shorter text is not changed."""
    text, end, size = text_of(value), text_of(ending), _whole("truncate", length)
    return text if len(text) <= size else text[: max(size - len(end), 0)] + end


def truncatewords_of(value: object, count: object = 15, ending: object = "...") -> str:
    """The first words of the text, and the ending if there are more."""
    words, size = text_of(value).split(), max(_whole("truncatewords", count), 1)
    return " ".join(words) if len(words) <= size else " ".join(words[:size]) + text_of(ending)


def strip_html_of(value: object) -> str:
    """The text without tags, comments, scripts and styles."""
    text = text_of(value)
    for opening, closing in _RAW:
        text = _without(text, opening, closing)
    kept: list[str] = []
    position = 0
    while (start := text.find("<", position)) >= 0 and (end := text.find(">", start)) >= 0:
        kept.append(text[position:start])
        position = end + 1
    return "".join(kept) + text[position:]


def _without(text: str, opening: str, closing: str) -> str:
    """The text without the parts from an opening to the next closing, in one pass."""
    lowered = text.lower()
    if opening not in lowered or len(lowered) != len(text):
        return text
    kept: list[str] = []
    position = 0
    while (start := lowered.find(opening, position)) >= 0 and (end := lowered.find(closing, start)) >= 0:
        kept.append(text[position:start])
        position = end + len(closing)
    return "".join(kept) + text[position:]


def base64_decode_of(value: object) -> str:
    """The text that the Base64 encodes."""
    return _decoded("base64_decode", value, text_of(value))


def base64_url_safe_decode_of(value: object) -> str:
    """The text that the Base64 with `-` and `_` encodes."""
    return _decoded("base64_url_safe_decode", value, text_of(value).translate(_URL_SAFE))


def _decoded(name: str, value: object, text: str) -> str:
    # Many systems leave out the padding, and lines of e-mail have breaks.
    digits = re.sub(r"\s+", "", text).rstrip("=")
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        raise expected(name, "Base64 of a text in UTF-8", value) from None


def _whole(name: str, value: object) -> int:
    number = read_number(value, "en-US") if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int):
        raise expected(name, "a whole number", value)
    return number


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "base64_decode": base64_decode_of,
    "base64_url_safe_decode": base64_url_safe_decode_of,
    "escape": escape_of,
    "escape_once": escape_once_of,
    "remove_last": remove_last_of,
    "replace_last": replace_last_of,
    "truncate": truncate_of,
    "truncatewords": truncatewords_of,
    "strip_html": strip_html_of,
}
