"""JSON texts with templates: a value stays one value, and the document has the fields that its author wrote."""

import functools
import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from filas.contract import bounded_json
from filas.contract.storable_text import json_bytes
from filas.flows.templates import template
from filas.flows.templates.marked_text import NOTHING_UNDONE, Escape, InsertedValue

Pieces = Iterable[str | InsertedValue]

_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_MARK = re.compile(r'\\.|"', re.DOTALL)
_BEGIN = re.compile(r'\s*(?:\{\s*"|\[\s*[\[{"])')
"""How a JSON object or list begins that other texts hardly begin with."""

_WRITTEN_AS_JSON = (bool, int, float, Decimal, list, tuple, range, dict)
"""The types of values whose text is JSON."""


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


class JsonPosition:
    """The position in a JSON text: `is_inside` a text in quotation marks, `is_opened` right behind its first one."""

    def __init__(self) -> None:
        self.is_inside = False
        self.is_opened = False

    def feed(self, text: str) -> None:
        """Moves over `text`, a part of the document."""
        self.is_opened = False
        for mark in _MARK.finditer(text):
            if mark[0] == '"':
                self.is_inside = not self.is_inside
                self.is_opened = self.is_inside and mark.end() == len(text)


def begins_json(text: str) -> bool:
    """Whether a text looks like a JSON object or list."""
    return _BEGIN.match(text) is not None


def in_json(pieces: Pieces, *, keep_types: bool = True) -> str:
    """The JSON that results if a JSON text is parsed first, and its templates are filled in afterwards.

    A value in quotation marks of its own, or without any, keeps its type: a text is written in quotation marks, null as
    `null`. In a longer text and in a name it is written as a text; without `keep_types` also in quotation marks of its
    own. The result of the filter `json` without quotation marks is JSON already.
    """
    made: list[str] = []
    position = JsonPosition()
    todo = list(pieces)
    for index, piece in enumerate(todo):
        if isinstance(piece, str):
            position.feed(piece)
            made.append(piece)
            continue
        after = todo[index + 1] if index + 1 < len(todo) else ""
        if keep_types and position.is_opened and isinstance(after, str) and _ends_value(after):
            made[-1] = made[-1][:-1]
            made.append(in_document(piece._replace(last_filter="")))
            todo[index + 1], position.is_inside = after[1:], False
        else:
            made.append(in_json_text(piece.text) if position.is_inside else in_document(piece))
        position.is_opened = False
    return "".join(made)


def _ends_value(after: str) -> bool:
    """Whether the text behind a value ends its quotation marks, and they are not those of a name."""
    return after.startswith('"') and not after[1:].lstrip().startswith(":")


def in_document(piece: InsertedValue) -> str:
    """A value outside of quotation marks."""
    if piece.value is None:
        return "null"
    if isinstance(piece.value, _WRITTEN_AS_JSON) or piece.last_filter == "json":
        return piece.text
    return json_bytes(piece.text).decode()


def in_json_text(text: str) -> str:
    """A value inside of quotation marks."""
    return json_bytes(text).decode()[1:-1]


def render_nested(value: Any, scope: template.Scope, undo: Mapping[str, Escape] = NOTHING_UNDONE) -> Any:
    """Like `template.render`. In a text that is itself a JSON object or list, a value can neither break it nor add a
    field; a value in quotation marks stays a text. Raises TemplateError."""

    def change(text: str) -> Any:
        begin = text.lstrip()[:2]
        # A text that begins with a template is not JSON itself; its value keeps its type, however large it is.
        if begin[:1] in ("{", "[") and begin not in ("{{", "{%") and ("{{" in text or "{%" in text):
            pieces = template.render_pieces(text, scope)
            made = in_json(pieces, keep_types=False) if begins_json(str(pieces[0])) else ""
            if made and is_json(made):
                return made
        return template.render(text, scope, str, undo) if undo else template.parse(text).evaluate(scope)

    return template.map_texts(value, change)


def is_json(text: str) -> bool:
    """Whether a text is JSON, or may be JSON and is too complex to find out."""
    try:
        bounded_json.decode(text.encode(errors="replace"))
    except bounded_json.TooComplex:
        return True
    except bounded_json.InvalidJson:
        return False
    return True
