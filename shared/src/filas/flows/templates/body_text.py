"""Texts with templates in the syntax of a body other than JSON: a form, XML or a plain text."""

import html
import re
from collections.abc import Iterable

from filas.flows.templates import form_text
from filas.flows.templates.marked_text import InsertedValue

Pieces = Iterable[str | InsertedValue]

_HTML_ESCAPED = {"escape": html.unescape, "escape_once": html.unescape}
_IN_XML = re.compile(r"<!\[CDATA\[|\]\]>")


def in_form(pieces: Pieces) -> str:
    """A text such as `name={{ x }}&id={{ y }}`, with each value percent-encoded."""
    return "".join(form_text.in_fields(each if isinstance(each, str) else form_text.undone(each) for each in pieces))


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
            undo = _HTML_ESCAPED.get(piece.last_filter, str)
            made.append(html.escape(undo(piece.text)))
    return "".join(made)


def in_text(pieces: Pieces) -> str:
    """A text without a syntax."""
    return "".join(piece if isinstance(piece, str) else piece.text for piece in pieces)
