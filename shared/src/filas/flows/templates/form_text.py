"""Fields of a form or of the query of an address, written as text: a value stays in its field."""

from collections.abc import Iterable
from urllib.parse import quote, unquote_plus

from filas.flows.templates.json_text import JsonPosition, begins_json, in_document, in_json_text
from filas.flows.templates.marked_text import Escape, InsertedValue

URL_ENCODED: dict[str, Escape] = {"url_encode": unquote_plus}
"""The filter that encodes for an address or a form, and the function that undoes it."""


def encoded(text: str) -> str:
    """Everything but letters, digits and `-._~` percent-encoded, in UTF-8."""
    return quote(text, safe="", errors="replace")


def in_fields(pieces: Iterable[str | InsertedValue]) -> list[str]:
    """The pieces of a text such as `name={{ x }}&where={"id":"{{ y }}"}`, each value percent-encoded. In a field that
    is a JSON object or list, it is written as JSON before."""
    made: list[str] = []
    field, position = "", JsonPosition()
    for piece in pieces:
        if isinstance(piece, str):
            made.append(piece)
            *ended, last = piece.split("&")
            if ended:
                field, position = "", JsonPosition()
            field += last
            position.feed(unquote_plus(last))
            continue
        text = piece.text
        if begins_json(unquote_plus(field.partition("=")[2])):
            text = in_json_text(text) if position.is_inside else in_document(piece)
        made.append(encoded(text))
    return made


def undone(piece: InsertedValue) -> InsertedValue:
    """The value before the filter `url_encode`, if that was applied last."""
    undo = URL_ENCODED.get(piece.last_filter)
    return piece if undo is None else InsertedValue(undo(piece.text), undo(piece.text), "")
