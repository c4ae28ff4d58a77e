"""Addresses with templates: a value is encoded for its place, and never changes the host, the level of the path, or the
number of query fields."""

import re
import unicodedata
from collections.abc import Iterable
from typing import NoReturn
from urllib.parse import quote, unquote, unquote_plus

from filas.flows.library_errors import shown
from filas.flows.templates import template
from filas.flows.templates.marked_text import MarkedText

URL_ENCODED = {"url_encode": unquote_plus}
"""The filter that encodes for an address or a form, and the function that undoes it."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]*")
_LABELS = re.compile(r"[\w-]+(?:\.[\w-]+)*")
_HOST_AND_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[\w-]+(?:\.[\w-]+)*)(?::[0-9]{1,5})?")
_ORIGIN = re.compile(r"(?i:https?)://[\w-]+(?:\.[\w-]+)*")
_PORT = re.compile(r"[0-9]{1,5}")
_NEXT = {"host": re.compile(r"[/?#]"), "path": re.compile(r"[?#]"), "query": re.compile(r"#")}
_AFTER = {"/": "path", "?": "query", "#": "fragment"}

Piece = tuple[str, bool]
"""A text, with True for an inserted value."""


def render_url(source: str, scope: template.Scope, field: str = "url") -> str:
    """Renders an address.

    In user name, password, path, query and fragment, everything in a value but letters, digits and `-._~` is
    percent-encoded, in UTF-8. In the host and the port, a value must consist of their characters. A value with which
    the address begins is written as it is, because it gives the scheme and the host. The filter `raw` exempts a value,
    and a value after the filter `url_encode` is encoded once. Raises TemplateError, which names `field`.
    """
    marked = template.render_marked(source, scope, URL_ENCODED)
    if not marked.values or _needs_no_encoding(marked):
        return marked.text
    try:
        parts = _parts(list(marked.pieces()))
        parts["host"] = list(_authority(parts["host"]))
        for part in ("path", "query", "fragment"):
            parts[part] = [(_encoded(text) if is_value else text, is_value) for text, is_value in parts[part]]
        _check_levels(parts["path"])
    except ValueError as error:
        raise template.TemplateError(f"{field}: {error}") from None
    return "".join(text for pieces in parts.values() for text, _ in pieces)


def _needs_no_encoding(marked: MarkedText) -> bool:
    """True if all values are letters and digits behind the host. This is the most frequent case."""
    begins = marked.text.find("://")
    path = marked.text.find("/", begins + 3)
    if begins < 0 or path < 0 or path > marked.values[0][0]:
        return False
    return all(_PLAIN.fullmatch(marked.text, begin, end) for begin, end in marked.values)


def _encoded(value: str) -> str:
    return quote(value, safe="", errors="replace")


def _parts(pieces: list[Piece]) -> dict[str, list[Piece]]:
    """The pieces of each part of the address, in order. Only text of the template ends a part."""
    if not pieces[0][0] and len(pieces) > 1:
        # The value with which the address begins counts as text of the template.
        value, after = pieces[1][0], pieces[2][0]
        _check_leading(value, after)
        pieces = [(value + after, False), *pieces[3:]]
    scheme, separator, rest = pieces[0][0].partition("://")
    if not separator:
        raise ValueError(f"must begin with http:// or https://, found {shown(''.join(text for text, _ in pieces))}")
    parts: dict[str, list[Piece]] = {name: [] for name in ("scheme", "host", "path", "query", "fragment")}
    parts["scheme"] = [(scheme + separator, False)]
    part = "host"
    for text, is_value in [(rest, False), *pieces[1:]]:
        position = 0
        while not is_value and part in _NEXT and (found := _NEXT[part].search(text, position)):
            parts[part].append((text[position : found.start()], False))
            part, position = _AFTER[found.group()], found.end()
            parts[part].append((found.group(), False))
        parts[part].append((text[position:], is_value))
    return parts


def _check_leading(value: str, after: str) -> None:
    """Raises ValueError if the text after a leading value continues the scheme or the host that the value gives, and
    the value ends neither there."""
    if after.startswith("://"):
        if value.lower() not in ("http", "https"):
            raise ValueError(f"the scheme is {shown(value)}, expected http or https")
    elif after.startswith((".", "-", ":", "@")) and not _ORIGIN.fullmatch(value):
        raise ValueError(
            f"the address begins with {shown(value)}, expected a scheme and a host such as https://example"
        )


def _authority(pieces: list[Piece]) -> Iterable[Piece]:
    """The pieces of user name, password, host and port, each value encoded or checked."""
    last = max((index for index, (text, is_value) in enumerate(pieces) if "@" in text and not is_value), default=-1)
    if last >= 0:
        user, _, rest = pieces[last][0].rpartition("@")
        for text, is_value in pieces[:last]:
            yield (_encoded(text) if is_value else text), is_value
        yield user + "@", False
        pieces = [(rest, False), *pieces[last + 1 :]]
    before = ""
    for index, (text, is_value) in enumerate(pieces):
        if is_value and text:
            _check_in_host(text, before, "".join(each for each, _ in pieces[index + 1 :]))
        before += text
        yield text, is_value


def _check_in_host(value: str, before: str, after: str) -> None:
    # Some other characters become `/`, `?` or `#` when a host is normalized.
    normal = unicodedata.normalize("NFKC", value)
    if before.rpartition("]")[2].count(":"):
        if not _PORT.fullmatch(value):
            raise ValueError(f"a value in the port is {shown(value)}, expected digits")
        return
    if before and not before.endswith(".") and not after.partition(":")[0]:
        _refuse(value, "which would continue the name of the host: write `/` before it")
    if not (_LABELS if before or after else _HOST_AND_PORT).fullmatch(normal):
        _refuse(value, "expected letters, digits, `-` and `.`")


def _refuse(value: str, why: str) -> NoReturn:
    raise ValueError(f"a value in the host is {shown(value)}, {why}, or use the filter `raw` if you trust it")


def _check_levels(pieces: list[Piece]) -> None:
    """Raises ValueError if a value makes a segment of the path `.` or `..`, which servers and clients remove."""
    segment, has_value = "", False
    for text, is_value in [*pieces, ("/", False)]:
        first, *others = [text] if is_value else text.split("/")
        segment, has_value = segment + first, has_value or is_value
        for other in others:
            if has_value and unquote(segment) in (".", ".."):
                raise ValueError(f"a value in the path makes it {shown(unquote(segment))}, which is another level")
            segment, has_value = other, False
