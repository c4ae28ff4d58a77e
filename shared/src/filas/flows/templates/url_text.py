"""Addresses with templates: a value is encoded for its place, and never changes the host, the level of the path, or the
number of query fields."""

import re
import unicodedata
from collections.abc import Iterable
from typing import NoReturn
from urllib.parse import quote, unquote

from filas.flows.library_errors import shown
from filas.flows.templates import form_text, template
from filas.flows.templates.marked_text import InsertedValue

_PLAIN = re.compile(r"[A-Za-z0-9_-]*")
PLACEHOLDER_BEGIN = "secret:"
"""How the placeholder of a secret in a test run begins. An address with it at its beginning or in its host cannot be
called."""

_PLACEHOLDER = re.compile(PLACEHOLDER_BEGIN + r"[\w.-]+")

_MAY_BE_JSON = re.compile(r"[{\[%]")
_LABELS = re.compile(r"[\w-]+(?:\.[\w-]+)*")
_HOST_AND_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[\w-]+(?:\.[\w-]+)*)(?::[0-9]{1,5})?")
_ORIGIN = re.compile(r"(?i:https?)://[\w-]+(?:\.[\w-]+)*")
_PORT = re.compile(r"[0-9]{1,5}")
_NEXT = {"host": re.compile(r"[/?#]"), "path": re.compile(r"[?#]"), "query": re.compile(r"#")}
_NEXT["opaque"] = _NEXT["path"]
_PARTS = ("scheme", "opaque", "host", "path", "query", "fragment")
_OPAQUE = re.compile(r"(?:tel|sms|mailto|geo):", re.IGNORECASE)
"""Addresses in buttons that have no host: `mailto:{{ x }}`."""

_AFTER = {"/": "path", "?": "query", "#": "fragment"}

Piece = tuple[str, InsertedValue | None]
"""A text, and the value if it is inserted."""


def render_url(source: str, scope: template.Scope, field: str = "url") -> str:
    """Renders an address.

    In user name, password, path, query and fragment, everything in a value but letters, digits and `-._~` is
    percent-encoded, in UTF-8. In the host and the port, a value must consist of their characters. A value with which
    the address begins is written as it is, because it gives the scheme and the host. The filter `raw` exempts a value,
    and a value after the filter `url_encode` is encoded once. Raises TemplateError, which names `field`.
    """
    if template.is_plain(source):
        return source
    pieces = [_piece(each) for each in template.render_pieces(source, scope)]
    if len(pieces) == 1 or _needs_no_encoding(pieces):
        return "".join(text for text, _ in pieces)
    try:
        parts = _parts(pieces)
        parts["host"] = list(_authority(parts["host"]))
        parts["opaque"] = [
            (quote(text, safe="@+", errors="replace") if value else text, value) for text, value in parts["opaque"]
        ]
        for part in ("path", "fragment"):
            parts[part] = [(form_text.encoded(text) if value else text, value) for text, value in parts[part]]
        parts["query"] = _fields(parts["query"])
        _check_levels(parts["path"])
    except ValueError as error:
        raise template.TemplateError(f"{field}: {error}") from None
    return "".join(text for pieces in parts.values() for text, _ in pieces)


def _piece(each: str | InsertedValue) -> Piece:
    if isinstance(each, str):
        return each, None
    value = form_text.undone(each)
    return value.text, value


def _needs_no_encoding(pieces: list[Piece]) -> bool:
    """True if all values are letters and digits behind the host. This is the most frequent case."""
    if "/" not in pieces[0][0].partition("://")[2]:
        return False
    # A JSON document in the query has other values.
    return all(_PLAIN.fullmatch(text) if value else not _MAY_BE_JSON.search(text) for text, value in pieces)


def _fields(pieces: list[Piece]) -> list[Piece]:
    """The pieces of a query."""
    made = form_text.in_fields(text if value is None else value for text, value in pieces)
    return [(text, value) for text, (_, value) in zip(made, pieces, strict=True)]


def _parts(pieces: list[Piece]) -> dict[str, list[Piece]]:
    """The pieces of each part of the address, in order. Only text of the template ends a part."""
    if not pieces[0][0] and len(pieces) > 1:
        # The value with which the address begins counts as text of the template.
        beginning, after = pieces[1][0], pieces[2][0]
        _check_leading(beginning, after)
        pieces = [(beginning + after, None), *pieces[3:]]
    scheme, separator, rest = pieces[0][0].partition("://")
    if not separator and (placeholder := _PLACEHOLDER.match(scheme)):
        scheme, separator, rest = "", placeholder[0], scheme[placeholder.end() :]
    opaque = None if separator else _OPAQUE.match(scheme)
    if opaque:
        scheme, separator, rest = "", opaque[0], scheme[opaque.end() :]
    if not separator:
        raise ValueError(f"must begin with http:// or https://, found {shown(''.join(text for text, _ in pieces))}")
    parts: dict[str, list[Piece]] = {name: [] for name in _PARTS}
    parts["scheme"] = [(scheme + separator, None)]
    part = "opaque" if opaque else "host"
    for text, value in [(rest, None), *pieces[1:]]:
        position = 0
        while not value and part in _NEXT and (found := _NEXT[part].search(text, position)):
            parts[part].append((text[position : found.start()], None))
            part, position = _AFTER[found.group()], found.end()
            parts[part].append((found.group(), None))
        parts[part].append((text[position:], value))
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
    last = max((index for index, (text, value) in enumerate(pieces) if "@" in text and not value), default=-1)
    if last >= 0:
        user, _, rest = pieces[last][0].rpartition("@")
        for text, value in pieces[:last]:
            yield (form_text.encoded(text) if value else text), value
        yield user + "@", None
        pieces = [(rest, None), *pieces[last + 1 :]]
    before = ""
    for index, (text, value) in enumerate(pieces):
        if value and text:
            _check_in_host(text, before, "".join(each for each, _ in pieces[index + 1 :]))
        before += text
        yield text, value


def _check_in_host(value: str, before: str, after: str) -> None:
    if _PLACEHOLDER.fullmatch(value):
        return
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
    for text, value in [*pieces, ("/", None)]:
        first, *others = [text] if value else text.split("/")
        segment, has_value = segment + first, has_value or value is not None
        for other in others:
            if has_value and unquote(segment) in (".", ".."):
                raise ValueError(f"a value in the path makes it {shown(unquote(segment))}, which is another level")
            segment, has_value = other, False
