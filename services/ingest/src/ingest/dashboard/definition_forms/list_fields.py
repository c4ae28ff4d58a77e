"""The kinds of fields with several values: a choice of one or some of them, rows, and a list of secrets.

Without JavaScript, a form has some empty rows, and a button that shows it again with more. Empty rows are left out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from ingest.dashboard.definition_forms.form_fields import ABSENT, KEPT, Field, Inputs, WrongText
from ingest.dashboard.presentation.texts import Reader

MAX_ROWS: Final = 1000

_NO_NAMES: Final[Mapping[str, str]] = {}


def word_of(reader: Reader, words: str, names: Mapping[str, str], value: str) -> str:
    """Returns how a page names a value: `names[value]`, else the text `WORDS.VALUE`, else the value itself."""
    text_id = f"{words}.{value.lower()}"
    return names.get(value) or (reader.text(text_id) if words and reader.has_text(text_id) else value)


@dataclass(frozen=True, slots=True)
class Choice(Field):
    """One of `options`. A stored value that is none of them can be kept. `words` is a section of the catalogue.

    `may_be_blank`: nothing can be chosen; its word is the text `blank` of the catalogue. `renews`: another choice shows
    the form again at once, because other fields depend on it.
    """

    kind: ClassVar[str] = "choice"
    options: tuple[str, ...] = ()
    words: str = field(default="", kw_only=True)
    names: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    may_be_blank: bool = field(default=False, kw_only=True)
    blank: str = field(default="forms.none", kw_only=True)
    renews: bool = field(default=False, kw_only=True)

    def shown_options(self, reader: Reader, chosen: str) -> Iterator[tuple[str, str]]:
        """The values that can be chosen, with their words."""
        if self.may_be_blank or not (chosen or self.options):
            yield "", reader.text(self.blank)
        for value in (*self.options, *((chosen,) if chosen and chosen not in self.options else ())):
            yield value, word_of(reader, self.words, self.names, value)

    def is_typed(self, name: str, inputs: Inputs) -> bool:
        return self.may_be_blank and bool(inputs.get(name))


@dataclass(frozen=True, slots=True)
class Choices(Field):
    """Some of `options`, as a list in their order. `numbers`: the body has numbers."""

    kind: ClassVar[str] = "choices"
    options: tuple[str, ...] = ()
    words: str = field(default="", kw_only=True)
    names: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    numbers: bool = field(default=False, kw_only=True)

    def shown_options(self, reader: Reader, name: str, inputs: Inputs) -> Iterator[tuple[str, str]]:
        """The values that can be chosen, with their words. A value that is stored and unknown can be kept."""
        known = {f"{name}.{value}": value for value in self.options}
        kept = {key: key.removeprefix(f"{name}.") for key in inputs if key.startswith(f"{name}.") and key not in known}
        for value in (*known.values(), *kept.values()):
            yield value, word_of(reader, self.words, self.names, value)

    def write(self, _reader: Reader, name: str, value: Any) -> dict[str, str]:
        given = self.default if value is ABSENT or value is None else value
        return {f"{name}.{one}": "on" for one in (() if given is ABSENT else given)}

    def read(self, reader: Reader, name: str, inputs: Inputs, _stored: Any) -> Any:
        options = [value for value, _ in self.shown_options(reader, name, inputs)]
        chosen = [value for value in options if f"{name}.{value}" in inputs]
        try:
            values = [int(value) for value in chosen] if self.numbers else chosen
        except ValueError:
            raise WrongText("forms.not-whole") from None
        return self.without_default(values) if values or "." not in self.path or self.default else ABSENT

    def is_typed(self, _name: str, _inputs: Inputs) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Rows(Field):
    """Rows of `columns`, the paths of which are relative to a row.

    `shape` is what the body has: a list of objects; an object with the first column as names and the second as values
    (`map`); or a list of the values of the only column (`values`).
    """

    kind: ClassVar[str] = "rows"
    columns: tuple[Field, ...] = ()
    shape: Literal["objects", "map", "values"] = field(default="objects", kw_only=True)
    empty: int = field(default=1, kw_only=True)

    def write(self, reader: Reader, name: str, value: Any) -> dict[str, str]:
        given = self.default if value is ABSENT or value is None else value
        written: dict[str, str] = {}
        for index, row in enumerate(self._rows(() if given is ABSENT else given)):
            for column in self.columns:
                part = row if isinstance(row, _Cells) else {"": row}
                written |= column.write(reader, f"{name}[{index}].{column.path}", part.get(column.path, ABSENT))
        return written

    def _rows(self, value: Any) -> Iterator[Any]:
        if self.shape == "map" and isinstance(value, Mapping):
            first, second = self.columns
            yield from (_Cells({first.path: name, second.path: one}) for name, one in value.items())
        elif not isinstance(value, Mapping):
            for row in value:
                yield (
                    _Cells(row)
                    if self.shape == "objects" and isinstance(row, Mapping)
                    else _Cells({self.columns[0].path: row})
                )

    def count(self, name: str, inputs: Inputs) -> int:
        """The number of rows that the inputs have, empty ones included."""
        found = re.compile(re.escape(name) + r"\[(\d{1,4})\]\.")
        numbers = [int(match[1]) for key in inputs if (match := found.match(key))]
        return min(max(numbers, default=-1) + 1, MAX_ROWS)

    def row_names(self, name: str, index: int) -> list[tuple[Field, str]]:
        """The columns of a row with the names of their inputs."""
        return [(column, f"{name}[{index}].{column.path}") for column in self.columns]

    def compacted(self, name: str, inputs: Inputs) -> dict[str, str]:
        """Returns the inputs of the rows that are not empty, numbered without a gap: as in the body."""
        kept: dict[str, str] = {}
        rows = 0
        for index in range(self.count(name, inputs)):
            if any(column.is_typed(cell, inputs) for column, cell in self.row_names(name, index)):
                start = f"{name}[{index}]."
                own = {key: text for key, text in inputs.items() if key.startswith(start)}
                kept |= {f"{name}[{rows}].{key.removeprefix(start)}": text for key, text in own.items()}
                rows += 1
        return kept

    def read(self, reader: Reader, name: str, inputs: Inputs, stored: Any) -> Any:
        """Returns the list or the object; ABSENT if every row is empty and the field is within an object.

        `inputs` are compacted. Unknown fields of a stored row are kept while the row stays where it is.
        """
        before = list(stored) if isinstance(stored, (list, tuple)) else []
        rows = []
        for index in range(self.count(name, inputs)):
            known = before[index] if index < len(before) and isinstance(before[index], Mapping) else {}
            row = {key: one for key, one in known.items() if self.shape == "objects"}
            for column, cell in self.row_names(name, index):
                try:
                    value = column.read(reader, cell, inputs, row.pop(column.path, ABSENT))
                except WrongText as wrong:
                    raise WrongText(wrong.message_id, cell, **wrong.parameters) from None
                if value is not ABSENT:
                    row[column.path] = value
            rows.append(row)
        if not rows and ("." in self.path or self.default is ABSENT):
            return ABSENT
        return self._body(name, rows)

    def _body(self, name: str, rows: list[dict[str, Any]]) -> Any:
        if self.shape == "objects":
            return rows
        if self.shape == "values":
            return [row.get(self.columns[0].path) for row in rows]
        first, second = self.columns
        found: dict[str, Any] = {}
        for index, row in enumerate(rows):
            key = row.get(first.path, ABSENT)
            place = f"{name}[{index}].{first.path}"
            if key is ABSENT:
                raise WrongText("forms.no-name", place)
            if key in found:
                raise WrongText("forms.twice", place)
            found[key] = row.get(second.path, "")
        return found


class _Cells(dict[str, Any]):
    """The values of a row by the paths of its columns."""


@dataclass(frozen=True, slots=True)
class Secrets(Field):
    """A list of secrets. They are never shown. A blank one keeps the stored one; new ones are added at the end."""

    kind: ClassVar[str] = "secrets"

    def write(self, _reader: Reader, name: str, value: Any) -> dict[str, str]:
        stored = value if isinstance(value, (list, tuple)) else ()
        return {f"{name}[{index}]": "" for index in range(max(len(stored), 1))}

    def count(self, name: str, inputs: Inputs) -> int:
        """The number of inputs."""
        found = re.compile(re.escape(name) + r"\[(\d{1,4})\]$")
        return min(max((int(match[1]) for key in inputs if (match := found.match(key))), default=0) + 1, MAX_ROWS)

    def read(self, _reader: Reader, name: str, inputs: Inputs, stored: Any) -> Any:
        kept = len(stored) if isinstance(stored, (list, tuple)) else 0
        typed = [inputs.get(f"{name}[{index}]", "").strip() for index in range(max(self.count(name, inputs), kept))]
        secrets = [text or KEPT for text in typed[:kept]] + [text for text in typed[kept:] if text]
        return secrets or ABSENT
