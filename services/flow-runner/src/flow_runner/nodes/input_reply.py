"""Reads a contact's reply to an `input`."""

from collections.abc import Sequence

from filas.flows import regular_expressions
from filas.flows.nodes.input import InputData

_NUMBER = "^[+-]?[0-9]{1,15}([.,][0-9]{1,15})?$"
_EMAIL = r"^[^@\s<>(),;:]+@[^@\s<>(),;:.]+(\.[^@\s<>(),;:.]+)+$"
_MAX_NUMBER = 32
_MAX_EMAIL = 254
"""RFC 5321, 4.5.3.1.3, less the angle brackets."""


class InvalidReply(ValueError):
    """The reply is not of the kind that the input asks for."""


def read_reply(data: InputData, titles: Sequence[str], text: str) -> str | int | float:
    """The value of a reply: the text without surrounding space, the number (a comma counts as the decimal point), or
    the id of the choice. Raises InvalidReply.

    A choice is named by its id (which a button sends), by its title in any case, or by its number from 1.
    """
    reply = text.strip()
    if not reply:
        raise InvalidReply("the reply has no text")
    if data.kind == "number" and len(reply) > _MAX_NUMBER:
        raise InvalidReply("the reply is not a number")
    if data.kind == "choice":
        return _choice(data, titles, reply)
    if data.kind == "number":
        return _number(reply)
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


def _choice(data: InputData, titles: Sequence[str], reply: str) -> str:
    ids = [choice.id for choice in data.choices]
    if reply in ids:
        return reply
    for choice_id, title in zip(ids, titles, strict=True):
        if title.strip().casefold() == reply.casefold():
            return choice_id
    number = reply.rstrip(".)")
    if number.isascii() and number.isdigit() and len(number) < 4 and 1 <= int(number) <= len(ids):
        return ids[int(number) - 1]
    raise InvalidReply("the reply is not one of the choices")


def _number(reply: str) -> int | float:
    if not regular_expressions.search(_NUMBER, reply):
        raise InvalidReply("the reply is not a number")
    text = reply.replace(",", ".").lstrip("+")

    return float(text) if "." in text else int(text)
