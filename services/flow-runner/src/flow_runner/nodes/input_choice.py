"""Finds the choice of an `input` that a contact names."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

from filas.contract.comparable_text import comparable, folded_text
from filas.flows.nodes.input import InputData
from flow_runner.nodes.invalid_reply import NoChoice

_ORDINALS: Final = "\u00aa\u00ba"
_MAX_CHARS: Final = 64
_MAX_DIGITS: Final = 3


def chosen(data: InputData, titles: Sequence[str], message: Mapping[str, Any], reply: str) -> str:
    """The id of the choice that the reply names: the first of these that names a choice. Of two choices that only
    the third line would name, neither is.

    | the reply is                    | example for the choice `{"id":"yes","title":"Sim, já!"}`, the second one |
    |---------------------------------|--------------------------------------------------------------------------|
    | the id of a pressed button      | `yes`                                                                    |
    | the id, the title in any case   | `yes`, `SIM, JÁ!`                                                        |
    | the id or title, compared as in `filas.contract.comparable_text` | `Yes.`, `sim ja`                        |
    | the number of the choice from 1, alone or with the title | `2`, `2.`, `2️⃣`, `2 - Sim, já`                  |

    Raises NoChoice.
    """
    ids = [choice.id for choice in data.choices]
    pressed = _pressed(message)
    if pressed in ids:
        return str(pressed)
    if reply in ids:
        return reply
    for choice_id, title in zip(ids, titles, strict=True):
        if reply and title.strip().casefold() == reply.casefold():
            return choice_id
    numbered = [f"{number}) {title}" for number, title in enumerate(titles, 1)]
    found = _only_one(ids, ids, reply) or _only_one(ids, titles, reply) or _only_one(ids, numbered, reply)
    if found is not None:
        return found
    number = _number(reply)
    if number is not None and 1 <= number <= len(ids):
        return ids[number - 1]
    raise NoChoice("the reply is not one of the choices")


def _pressed(message: Mapping[str, Any]) -> object:
    data = message.get("data")
    return data.get("id") if message.get("kind") in ("button", "list") and isinstance(data, dict) else None


def _only_one(ids: Sequence[str], names: Sequence[str], reply: str) -> str | None:
    """The id of the choice whose name is comparable to the reply; None if no choice or several have such a name."""
    form = comparable(reply)
    if form is None:
        return None
    found = [choice_id for choice_id, name in zip(ids, names, strict=True) if comparable(name) == form]
    return found[0] if len(found) == 1 else None


def _number(reply: str) -> int | None:
    folded = folded_text(reply) if len(reply) <= _MAX_CHARS else ""
    first, last = 0, len(folded)
    while first < last and _is_around(folded[first]):
        first += 1
    while last > first and _is_around(folded[last - 1]):
        last -= 1
    digits = folded[first:last]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS else None


def _is_around(character: str) -> bool:
    return character in _ORDINALS or unicodedata.category(character)[0] in "PZSC"
