"""Text that a template made, with the places where values were inserted. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

Escape = Callable[[str], str]
"""Returns a value as the syntax that it is inserted into writes it."""

Insert = Callable[[object, str, str], str]
"""Returns what is written for an inserted value: the value, its text, and the name of the last filter (or empty)."""

NOTHING_UNDONE: Mapping[str, Escape] = {}
_PLACE = re.compile("\0([0-9]{1,9})\0")


class InsertedValue(NamedTuple):
    """A value, its text, and the name of the filter that was applied last (or empty)."""

    value: object
    text: str
    last_filter: str


class MarkedText(NamedTuple):
    """`values` are the first and the last-plus-one character of each inserted value, in order. A value that is written
    with the filter `raw` is not among them: it counts as part of the template."""

    text: str
    values: list[tuple[int, int]]

    def escaped(self, escape: Escape) -> str:
        """The text with `escape` applied to each inserted value."""
        return "".join(escape(piece) if is_value else piece for piece, is_value in self.pieces())

    def pieces(self) -> Iterator[tuple[str, bool]]:
        """Each piece of the text, with True for an inserted value. A piece may be empty."""
        position = 0
        for begin, end in self.values:
            yield self.text[position:begin], False
            yield self.text[begin:end], True
            position = end
        yield self.text[position:], False


class ValueMarks:
    """Writes a placeholder for each inserted value while a template is rendered, and then the values in their place."""

    def __init__(self) -> None:
        self._values: list[InsertedValue] = []

    def placeholder(self, value: object, text: str, last_filter: str) -> str:
        """Keeps a value. A NUL cannot be in the template: its definition is stored as JSON in Postgres."""
        self._values.append(InsertedValue(value, text, last_filter))
        return f"\0{len(self._values) - 1}\0"

    def pieces(self, rendered: str) -> list[str | InsertedValue]:
        """The rendered text and the values in their places, beginning and ending with a text, which may be empty."""
        pieces: list[str | InsertedValue] = []
        for index, part in enumerate(_PLACE.split(rendered)):
            # A placeholder that no value has is text: a raw value may contain anything.
            is_value = index % 2 == 1 and int(part) < len(self._values)
            pieces.append(self._values[int(part)] if is_value else part)
        return pieces

    def marked(self, rendered: str) -> MarkedText:
        """The rendered text with each value in the place of its placeholder."""
        parts: list[str] = []
        spans: list[tuple[int, int]] = []
        size = 0
        for piece in self.pieces(rendered):
            text = piece if isinstance(piece, str) else piece.text
            if not isinstance(piece, str):
                spans.append((size, size + len(text)))
            parts.append(text)
            size += len(text)
        return MarkedText("".join(parts), spans)
