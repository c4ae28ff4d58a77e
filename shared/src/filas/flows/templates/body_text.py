"""Texts with templates in the syntax of a body: JSON, a form or XML. A value stays one value in all of them."""

import functools
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from filas.contract.storable_text import json_bytes
from filas.flows.templates import template
from filas.flows.templates.marked_text import Escape, InsertedValue
from filas.flows.templates.url_text import URL_ENCODED

Pieces = Iterable[str | InsertedValue]

_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_HTML_ESCAPED = {"escape": html.unescape, "escape_once": html.unescape}
_IN_JSON = re.compile(r'\\.|"', re.DOTALL)
_IN_XML = re.compile(r"<!\[CDATA\[|\]\]>")


def body_source(body: Any) -> Any:
    """The templates of a body. A JSON text may have them as JSON writes them, with `\\"` for a quotation mark."""
    return _source(body) if isinstance(body, str) and '\\"' in body else body


@functools.lru_cache(maxsize=1024)
def _source(text: str) -> str:
    try:
        template.parse(text)
    except template.TemplateError:
        return _TEMPLATE.sub(lambda found: _unescaped(found[0]), text)
    return text


def _unescaped(tag: str) -> str:
    try:
        return str(json.loads(f'"{tag}"', strict=False)) if '\\"' in tag else tag
    except ValueError:
        return tag


def in_json(pieces: Pieces) -> str:
    """The JSON that results if a JSON text is parsed first, and its templates are filled in afterwards.

    A value in quotation marks of its own, or without any, keeps its type: a text is written in quotation marks, null as
    `null`. In a longer text it is written as a text. The result of the filter `json` without quotation marks is JSON
    already.
    """
    made: list[str] = []
    is_inside, opened = False, False
    todo = list(pieces)
    for index, piece in enumerate(todo):
        if isinstance(piece, str):
            for mark in _IN_JSON.finditer(piece):
                if mark[0] == '"':
                    is_inside, opened = not is_inside, not is_inside and mark.end() == len(piece)
            made.append(piece)
            continue
        after = todo[index + 1] if index + 1 < len(todo) else ""
        if opened and isinstance(after, str) and after.startswith('"'):
            # The text consists of this value.
            made[-1] = made[-1][:-1]
            made.append(_json_of(piece, is_json=False))
            todo[index + 1], is_inside = after[1:], False
        elif is_inside:
            made.append(_json_text(piece.text)[1:-1])
        else:
            made.append(_json_of(piece, is_json=piece.last_filter == "json"))
        opened = False
    return "".join(made)


def _json_of(piece: InsertedValue, *, is_json: bool) -> str:
    if piece.value is None:
        return "null"
    if isinstance(piece.value, str) and not is_json:
        return _json_text(piece.text)
    return piece.text  # It is JSON already.


def _json_text(text: str) -> str:
    return json_bytes(text).decode()


def in_form(pieces: Pieces) -> str:
    """A text such as `name={{ x }}&id={{ y }}`, with each value percent-encoded."""
    return _joined(pieces, lambda piece: form_encoded(_undone(piece, URL_ENCODED)))


def form_encoded(text: str) -> str:
    """A name or a value of a form."""
    return quote(text, safe="", errors="replace")


def in_xml(pieces: Pieces) -> str:
    """XML or HTML. In a CDATA section, a value cannot end the section."""
    is_cdata = False
    made: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            for mark in _IN_XML.finditer(piece):
                is_cdata = mark[0] != "]]>"
            made.append(piece)
        elif is_cdata:
            made.append(piece.text.replace("]]>", "]]]]><![CDATA[>"))
        else:
            made.append(html.escape(_undone(piece, _HTML_ESCAPED)))
    return "".join(made)


def in_text(pieces: Pieces) -> str:
    """A text without a syntax."""
    return _joined(pieces, lambda piece: piece.text)


def _joined(pieces: Pieces, write: Callable[[InsertedValue], str]) -> str:
    return "".join(piece if isinstance(piece, str) else write(piece) for piece in pieces)


def _undone(piece: InsertedValue, undo: Mapping[str, Escape]) -> str:
    """The text before the filter that was applied last, if that escapes for the same syntax."""
    return undo[piece.last_filter](piece.text) if piece.last_filter in undo else piece.text
