"""Reads a contact's reply to an `input`: the value of a message, by the kind of the input."""

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from filas.flows import author_settings, regular_expressions
from filas.flows.nodes.input import InputData
from filas.flows.templates.filters.filter_failure import FilterFailure
from filas.flows.templates.filters.texts import phone_of
from filas.flows.written_numbers import decimal_sign, read_number
from flow_runner.nodes.input_choice import chosen
from flow_runner.nodes.input_date import read_date
from flow_runner.nodes.invalid_reply import InvalidReply

_EMAIL: Final = r"^[^@\s<>(),;:]+@[^@\s<>(),;:.]+(\.[^@\s<>(),;:.]+)+$"
_MAX_NUMBER: Final = 32
_MAX_EMAIL: Final = 254
"""RFC 5321, 4.5.3.1.3, less the angle brackets."""

_DIGITS: Final = re.compile(r"[+-]?[0-9]{1,15}(?:[.,][0-9]{1,15})?", re.ASCII)
_GROUPS: Final = {
    ",": re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3}){1,4},[0-9]{1,15}", re.ASCII),
    ".": re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3}){1,4}\.[0-9]{1,15}", re.ASCII),
}

Message = Mapping[str, Any]


def joined_text(messages: Sequence[Message]) -> str | None:
    """The texts of the messages, each on a line of its own. None if none has a text."""
    texts = [text for one in messages if isinstance(text := one.get("text"), str)]
    return "\n".join(texts) if texts else None


def read_messages(data: InputData, titles: Sequence[str], messages: Sequence[Message]) -> Any:
    """The value of a reply of several messages: of their joined text, otherwise of the last one that is a valid reply.
    Raises InvalidReply."""
    if len(messages) == 1:
        return read_reply(data, titles, messages[0])
    try:
        return read_reply(data, titles, {"text": joined_text(messages)})
    except InvalidReply:
        for message in messages[::-1]:
            with contextlib.suppress(InvalidReply):
                return read_reply(data, titles, message)
        raise


def read_reply(data: InputData, titles: Sequence[str], message: Message) -> Any:
    """The value of a reply, by the kind of the input. Raises InvalidReply.

    | kind       | value                                                                              |
    |------------|------------------------------------------------------------------------------------|
    | `text`     | the text without surrounding blanks                                                |
    | `number`   | the number, with the decimal sign of the locale                                    |
    | `email`, `regex` | the text                                                                     |
    | `choice`   | the id of the choice                                                               |
    | `phone`    | `+5511900000002`; also of a contact card                                           |
    | `date`     | `2026-11-05`                                                                       |
    | `file`     | the medium: `id` or `url`, `mimeType`, `filename`, `caption`, `size`               |
    | `location` | `latitude`, `longitude`, `name`, `address`                                         |
    | `form`     | the fields of the form                                                             |
    """
    if data.kind in _PARTS:
        return _PARTS[data.kind](message)
    text = message.get("text")
    reply = text.strip() if isinstance(text, str) else ""
    if data.kind == "choice":
        return chosen(data, titles, message, reply)
    if data.kind == "phone":
        return _phone(reply, message)
    if not reply:
        raise InvalidReply("the reply has no text")
    if data.kind == "number":
        return _number(reply)
    if data.kind == "date":
        return read_date(reply, author_settings.current().locale)
    if data.kind == "email" and (len(reply) > _MAX_EMAIL or not regular_expressions.search(_EMAIL, reply)):
        raise InvalidReply("the reply is not an e-mail address")
    if data.kind == "regex" and not _matches(data.pattern or "", reply):
        raise InvalidReply("the reply does not match the pattern")
    return reply


def _matches(pattern: str, reply: str) -> bool:
    try:
        return regular_expressions.search(pattern, reply)
    except ValueError as error:
        raise InvalidReply(f"the reply cannot be compared with the pattern: {error}") from None


def _number(reply: str) -> int | float:
    """A number, also with thousands separators if it has a decimal sign too: without one, `1.500` may be two numbers
    in some locales."""
    locale = author_settings.current().locale
    sign = decimal_sign(locale)
    if len(reply) <= _MAX_NUMBER:
        grouped = _GROUPS.get(sign)
        if grouped is not None and grouped.fullmatch(reply):
            reply = reply.replace("." if sign == "," else ",", "")
        number = read_number(reply, locale) if _DIGITS.fullmatch(reply) else None
        if number is not None:
            return number
    raise InvalidReply("the reply is not a number")


def _phone(reply: str, message: Message) -> str:
    if message.get("kind") == "contacts":
        cards = (message.get("data") or {}).get("contacts") or [{}]
        reply = next((phone["phone"] for phone in cards[0].get("phones") or () if phone.get("phone")), "")
    try:
        number = phone_of(reply)
    except FilterFailure:
        number = None
    if number is None:
        raise InvalidReply("the reply is not a phone number")
    return number


def _file(message: Message) -> dict[str, Any]:
    media = {name: value for name, value in (message.get("media") or {}).items() if value is not None}
    if not media:
        raise InvalidReply("the reply is not a file")
    return media


def _location(message: Message) -> dict[str, Any]:
    place = (message.get("data") if message.get("kind") == "location" else None) or {}
    if not all(isinstance(place.get(name), (int, float)) for name in ("latitude", "longitude")):
        raise InvalidReply("the reply is not a location")
    return {name: place.get(name) for name in ("latitude", "longitude", "name", "address")}


def _form(message: Message) -> dict[str, Any]:
    fields = message.get("data") if message.get("kind") == "form" else None
    if not isinstance(fields, dict):
        raise InvalidReply("the reply is not a form")
    return fields


_PARTS: Final[Mapping[str, Callable[[Message], dict[str, Any]]]] = {
    "file": _file,
    "location": _location,
    "form": _form,
}
