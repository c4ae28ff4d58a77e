"""A form for a definition: its groups of fields, what it shows, and what was submitted."""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.definition_forms.definition_paths import first_within, nearest, put_at, text_name, value_at
from ingest.dashboard.definition_forms.form_fields import ABSENT, Field, Inputs, Secret, WrongText
from ingest.dashboard.definition_forms.list_fields import Rows, Secrets
from ingest.dashboard.presentation.texts import Reader

ADDED_ROWS: Final = 3
"""The empty rows that the button "add a row" adds."""

BUTTON: Final = "_do"
"""The name of the buttons. Its value is what to do."""


@dataclass(frozen=True, slots=True)
class Group:
    """Fields under one heading. `path`: the object that they form, where errors about it are shown. `advanced`: closed
    until it has an error or a value that is not a default."""

    name: str
    fields: tuple[Field, ...]
    path: str = field(default="", kw_only=True)
    advanced: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class DefinitionForm:
    """The description of a form. `texts` is the section of the catalogue with its labels."""

    texts: str
    groups: tuple[Group, ...]

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields of all groups."""
        return tuple(one for group in self.groups for one in group.fields)

    def show(self, reader: Reader, stored: Any = None) -> "FormView":
        """Returns the form with the values of a definition, or with the defaults."""
        definition = _plain(stored)
        inputs: dict[str, str] = {}
        for one in self.fields:
            inputs |= one.write(reader, one.path, value_at(definition, one.path))
        return FormView(self, reader, definition, inputs)

    def read(self, reader: Reader, submitted: Mapping[str, str], stored: Any = None) -> "FormView":
        """Returns the form with what was typed, and the body that it makes. `stored` is the definition that it changes:
        its fields that the form does not know are kept, and its secrets."""
        definition = _plain(stored)
        inputs = {name: text for name, text in submitted.items() if name != BUTTON}
        for one in self.fields:
            if isinstance(one, Rows):
                inputs = _compacted(one, inputs)
        body, errors = copy.deepcopy(definition), dict[str, list[str]]()
        for one in self.fields:
            try:
                value = one.read(reader, one.path, inputs, value_at(definition, one.path))
            except WrongText as wrong:
                errors[wrong.place or one.path] = [reader.text(wrong.message_id, **wrong.parameters)]
                continue
            put_at(body, one.path, value)
        view = FormView(
            self, reader, definition, inputs, body=body, errors=errors, choice=submitted.get(BUTTON, "save")
        )
        return view.with_more_rows()


def _plain(stored: Any) -> dict[str, Any]:
    plain = {} if stored is None else msgspec.to_builtins(stored)
    return plain if isinstance(plain, dict) else {}


def _compacted(rows: Rows, inputs: Mapping[str, str]) -> dict[str, str]:
    others = {name: text for name, text in inputs.items() if not name.startswith(f"{rows.path}[")}
    return others | rows.compacted(rows.path, inputs)


@dataclass(frozen=True, slots=True)
class FormView:
    """A form as a page shows it. `inputs` are the texts of its inputs, `errors` those of a field or group by its path.

    `body` is the definition that was read. `top` are the errors that belong to no field. `choice` is the button
    that was pressed.
    """

    form: DefinitionForm
    reader: Reader
    stored: dict[str, Any]
    inputs: Inputs
    body: dict[str, Any] = field(default_factory=dict)
    errors: Mapping[str, list[str]] = field(default_factory=dict)
    top: tuple[str, ...] = ()
    choice: str = ""
    more: Mapping[str, int] = field(default_factory=dict)
    was_refused: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether the body can be sent to the API."""
        return not self.errors and not self.is_unfinished

    @property
    def is_unfinished(self) -> bool:
        """Whether the form only has to be shown again."""
        return self.choice == "again" or self.choice.startswith("add:")

    @property
    def status(self) -> int:
        """The status of the page that shows the form again."""
        return 422 if self.errors and not self.is_unfinished else 200

    def pressed(self, choice: str) -> bool:
        """Whether the button with this value was pressed."""
        return self.choice == choice

    def with_more_rows(self) -> "FormView":
        """Returns the form with more rows, for the button that asks for them."""
        path = self.choice.removeprefix("add:")
        more = {path: ADDED_ROWS} if path != self.choice else {}
        # What is not yet finished shows no errors.
        return replace(self, more=more, errors={} if self.is_unfinished else self.errors)

    def with_errors(self, errors: Mapping[str, list[str]]) -> "FormView":
        """Returns the form with errors that the page has found, each at its field."""
        return replace(self, errors={**self.errors, **errors})

    def with_problem(self, problem: ApiProblem) -> "FormView":
        """Returns the form with the errors of the API, each at its field."""
        errors = {path: list(texts) for path, texts in self.errors.items()}
        top: list[str] = []
        for error in problem.extra.get("errors") or [{"message": problem.detail}]:
            place, message = str(error.get("field", "")), str(error.get("message", ""))
            found = self.place_of(place)
            if found is None:
                top.append(f"{place}: {message}" if place else message)
            else:
                errors.setdefault(found, []).append(message)
        return replace(self, errors=errors, top=tuple(top), was_refused=True)

    def place_of(self, path: str) -> str | None:
        """Returns the path of the field or group that shows an error about `path`; None if none does."""
        fields = [one.path for one in self.form.fields]
        groups = [group.path for group in self.form.groups if group.path]
        cells = [
            name
            for one in self.form.fields
            if isinstance(one, Rows)
            for index in range(one.count(one.path, self.inputs))
            for _, name in one.row_names(one.path, index)
        ]
        secrets = [
            f"{one.path}[{index}]"
            for one in self.form.fields
            if isinstance(one, Secrets)
            for index in range(one.count(one.path, self.inputs))
        ]
        values = [name.removesuffix(".value") for name in cells if name.endswith(".value")]
        known = nearest(path, [*fields, *groups, *cells, *secrets, *values]) or first_within(path, fields)
        return f"{known}.value" if known in values else known

    # What the macros of `forms.html` ask for.

    def text(self, name: str) -> str:
        """The text of an input."""
        return self.inputs.get(name, "")

    def label(self, one: Field, row_of: Rows | None = None) -> str:
        """The label of a field, or of a column of rows."""
        return self.reader.text(self._text_id(one, row_of))

    def help(self, one: Field, row_of: Rows | None = None) -> str:
        """The sentence below a field; empty if it has none."""
        text_id = f"{self._text_id(one, row_of)}-help"
        return self.reader.text(text_id) if self.reader.has_text(text_id) else ""

    def _text_id(self, one: Field, row_of: Rows | None) -> str:
        path = one.path if row_of is None else f"{row_of.path}.{one.path}"
        return f"{self.form.texts}.{text_name(path)}"

    def group_text(self, group: Group, ending: str = "") -> str:
        """The heading of a group, or the sentence below it."""
        text_id = f"{self.form.texts}.group-{group.name}{ending}"
        return self.reader.text(text_id) if not ending or self.reader.has_text(text_id) else ""

    def row_count(self, rows: Rows | Secrets) -> int:
        """The number of rows to show, empty ones included."""
        count = rows.count(rows.path, self.inputs)
        return count + self.more.get(rows.path, rows.empty if isinstance(rows, Rows) else 0)

    def is_open(self, group: Group) -> bool:
        """Whether an advanced group is open: it has an error, a value, or a button in it was pressed."""
        for one in group.fields:
            usual = one.write(self.reader, one.path, ABSENT)
            names = {name for name in (*self.inputs, *usual) if nearest(name, [one.path])}
            if any(self.text(name) != usual.get(name, "") for name in names) or one.path in self.more:
                return True
            if any(nearest(place, [one.path]) for place in self.errors):
                return True
            if isinstance(one, Secret) and self.state_of_secret(one.path):
                return True
        return group.path in self.errors

    def state_of_secret(self, path: str) -> str:
        """What is stored: `stored`, the name of an environment variable (`env:NAME`), or nothing."""
        value: Any = self.stored
        for part in re.findall(r"[^.\[\]]+", path):
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            else:
                return ""
        if not isinstance(value, str) or not value:
            return ""
        return value if value.startswith("env:") else "stored"

    def was_typed(self, name: str) -> bool:
        """Whether a secret was typed, which the form does not show again."""
        return bool(self.text(name))

    @property
    def error_list(self) -> list[tuple[str, str, str]]:
        """The errors at fields: the place, the label, the message. In the order of the fields."""
        return [(place, self._label_at(place), message) for place, found in self.errors.items() for message in found]

    def _label_at(self, place: str) -> str:
        for group in self.form.groups:
            for one in group.fields:
                if isinstance(one, Rows):
                    for index in range(one.count(one.path, self.inputs)):
                        for column, name in one.row_names(one.path, index):
                            if name == place:
                                return f"{self.label(one)} {index + 1}, {self.label(column, one)}"
                if nearest(place, [one.path]):
                    return self.label(one)
            if group.path == place:
                return self.group_text(group)
        return place
