"""The kinds of fields with one value. Each writes the value as the texts of its inputs, and reads them.

The name of an input is the path of its field in the body (`rateLimit.max`), with an ending if a field has several
inputs (`rateLimit.windowMs.unit`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Final, Literal

import msgspec

from filas.contract.storable_text import json_bytes
from ingest.dashboard.presentation.payload_text import document_text
from ingest.dashboard.presentation.texts import Reader
from ingest.dashboard.presentation.time_filters import local_time, with_zone

ABSENT: Final = msgspec.UNSET
"""The value of a field that the body does not have."""

KEPT: Final = "***"
"""What the API takes as "the secret that is stored"."""

LARGEST_DURATION: Final = 10**15

Inputs = Mapping[str, str]
"""The texts of inputs by their names. An unchecked box is missing."""


class WrongText(Exception):
    """What was typed cannot be read. `message_id` is a text of the catalogue, `place` the path of the field."""

    def __init__(self, message_id: str, place: str = "", **parameters: str | int) -> None:
        super().__init__(message_id)
        self.message_id = message_id
        self.place = place
        self.parameters = parameters


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form. `path` is its place in the body. `default` is its value if it is absent.

    `hint` is an example, in the empty input. `lines` is its height. `mono`: the text is code. `suggestions` can be
    chosen instead of typed.
    """

    kind: ClassVar[str] = "text"
    path: str
    default: Any = field(default=ABSENT, kw_only=True)
    hint: str = field(default="", kw_only=True)
    lines: int = field(default=1, kw_only=True)
    mono: bool = field(default=False, kw_only=True)
    suggestions: tuple[str, ...] = field(default=(), kw_only=True)

    def write(self, reader: Reader, name: str, value: Any) -> dict[str, str]:
        """Returns the texts of the inputs for a value of a definition, or for ABSENT."""
        given = self.default if value is ABSENT or value is None else value
        return {name: "" if given is ABSENT or given is None else self.text_of(reader, given)}

    def read(self, reader: Reader, name: str, inputs: Inputs, _stored: Any) -> Any:
        """Returns the value for the body, ABSENT for none. `_stored` is the present one. Raises WrongText."""
        typed = inputs.get(name, "").replace("\r\n", "\n")
        return self.without_default(self.value_of(reader, typed) if typed.strip() else ABSENT)

    def without_default(self, value: Any) -> Any:
        """Returns ABSENT for the default within an object, which then keeps no object alive."""
        return ABSENT if "." in self.path and value == self.default else value

    def is_typed(self, name: str, inputs: Inputs) -> bool:
        """Whether something was typed, so that a row is not empty."""
        return bool(inputs.get(name, "").strip())

    def text_of(self, _reader: Reader, value: Any) -> str:
        """Returns the text of the input for a value."""
        return value if isinstance(value, str) else json_bytes(value).decode("utf-8", "replace")

    def value_of(self, _reader: Reader, typed: str) -> Any:
        """Returns the value of a text that is not blank. Raises WrongText."""
        return typed if self.lines > 1 else typed.strip()


@dataclass(frozen=True, slots=True)
class Text(Field):
    """A text, of one line or several."""


@dataclass(frozen=True, slots=True)
class Template(Field):
    """A template (Liquid) or an expression, as code."""

    mono: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, slots=True)
class Number(Field):
    """A number. `unit` is a text of the catalogue that is shown after it."""

    kind: ClassVar[str] = "number"
    whole: bool = field(default=True, kw_only=True)
    unit: str = field(default="", kw_only=True)

    def text_of(self, _reader: Reader, value: Any) -> str:
        return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)

    def value_of(self, _reader: Reader, typed: str) -> Any:
        text = typed.strip().replace(",", ".")
        try:
            number: int | float = int(text) if self.whole else float(text)
        except ValueError:
            raise WrongText("forms.not-whole" if self.whole else "forms.not-a-number") from None
        if not math.isfinite(number):
            raise WrongText("forms.not-a-number")
        return int(number) if isinstance(number, float) and number.is_integer() else number


UNITS: Final = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
"""The units of durations, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Duration(Field):
    """A length of time with a choice of its unit. The body has a whole number of milliseconds, or of seconds."""

    kind: ClassVar[str] = "duration"
    stored_in: Literal["ms", "s"] = field(default="ms", kw_only=True)

    @property
    def units(self) -> tuple[str, ...]:
        """The units that can be chosen."""
        return tuple(unit for unit, size in UNITS.items() if size >= UNITS[self.stored_in])

    def write(self, _reader: Reader, name: str, value: Any) -> dict[str, str]:
        given = self.default if value is ABSENT or value is None else value
        if not isinstance(given, int):
            return {name: "" if given is ABSENT or given is None else str(given), f"{name}.unit": "s"}
        length = given * UNITS[self.stored_in]
        unit = next(one for one in reversed(self.units) if length % UNITS[one] == 0) if length else "s"
        return {name: str(length // UNITS[unit]), f"{name}.unit": unit}

    def read(self, _reader: Reader, name: str, inputs: Inputs, _stored: Any) -> Any:
        typed = inputs.get(name, "").strip().replace(",", ".")
        if not typed:
            return ABSENT
        try:
            length = Decimal(typed) * UNITS.get(inputs.get(f"{name}.unit", ""), 1000) / UNITS[self.stored_in]
        except InvalidOperation:
            raise WrongText("forms.not-a-number") from None
        if not length.is_finite() or abs(length) > LARGEST_DURATION or length != length.to_integral_value():
            raise WrongText("forms.not-a-duration")
        return self.without_default(int(length))


@dataclass(frozen=True, slots=True)
class Moment(Field):
    """A date and time, in the zone of the reader."""

    kind: ClassVar[str] = "moment"

    def text_of(self, reader: Reader, value: Any) -> str:
        return local_time(reader, value.isoformat() if isinstance(value, datetime) else str(value))

    def value_of(self, reader: Reader, typed: str) -> Any:
        moment = with_zone(reader, typed.strip())
        try:
            datetime.fromisoformat(moment)
        except ValueError:
            raise WrongText("forms.not-a-time") from None
        return moment


@dataclass(frozen=True, slots=True)
class Checkbox(Field):
    """Yes or no. `default` is a boolean."""

    kind: ClassVar[str] = "checkbox"

    def write(self, _reader: Reader, name: str, value: Any) -> dict[str, str]:
        given = self.default if value is ABSENT or value is None else value
        return {name: "on"} if given is True else {}

    def read(self, _reader: Reader, name: str, inputs: Inputs, _stored: Any) -> Any:
        return self.without_default(name in inputs)

    def is_typed(self, _name: str, _inputs: Inputs) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Json(Field):
    """A JSON value. `is_object`: only an object. `may_be_text`: what is not JSON is a text, so that quotes are needed
    only around a text that looks like a number."""

    kind: ClassVar[str] = "json"
    lines: int = field(default=6, kw_only=True)
    mono: bool = field(default=True, kw_only=True)
    is_object: bool = field(default=False, kw_only=True)
    may_be_text: bool = field(default=False, kw_only=True)

    def write(self, reader: Reader, name: str, value: Any) -> dict[str, str]:
        return (
            {name: ""}
            if value in (ABSENT, None) or (self.is_object and value == {})
            else {name: self.text_of(reader, value)}
        )

    def text_of(self, _reader: Reader, value: Any) -> str:
        if self.may_be_text and isinstance(value, str) and not _is_json(value):
            return value
        return document_text(value) if self.lines > 1 else json_bytes(value).decode("utf-8", "replace")

    def value_of(self, _reader: Reader, typed: str) -> Any:
        try:
            value = msgspec.json.decode(typed.strip().encode("utf-8", "surrogatepass"))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if self.may_be_text:
                return typed if self.lines > 1 else typed.strip()
            raise WrongText("forms.not-json", reason=str(error)) from None
        if self.is_object and not isinstance(value, dict):
            raise WrongText("forms.not-an-object")
        return value


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text.strip().encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class Secret(Field):
    """A secret. It is never shown. A blank one keeps the stored one; `may_be_removed` offers a box that removes it."""

    kind: ClassVar[str] = "secret"
    may_be_removed: bool = field(default=False, kw_only=True)

    def write(self, _reader: Reader, name: str, _value: Any) -> dict[str, str]:
        return {name: ""}

    def read(self, reader: Reader, name: str, inputs: Inputs, stored: Any) -> Any:
        typed = Field.read(self, reader, name, inputs, ABSENT)
        if typed is not ABSENT:
            return typed
        return KEPT if stored not in (ABSENT, None) and f"{name}.remove" not in inputs else ABSENT
