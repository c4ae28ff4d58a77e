"""The texts of messages as they are stored: the triggers of executions and the payloads of notifications."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from filas.contract.comparable_text import folded_text

_NOT_ASCII: Final = re.compile(r"[^\x20-\x7f]+")
_TEXT_FIELDS: Final = ("text", "caption", "body", "title")


def decoded(content: str | None) -> dict[str, Any] | None:
    """The object of a JSON text, None if there is none."""
    if content is None:
        return None
    try:
        value = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, dict) else None


def incoming_message(trigger: str | None) -> dict[str, Any] | None:
    """The message in the trigger of an execution."""
    document = decoded(trigger)
    message = None if document is None else document.get("message")
    return message if isinstance(message, dict) else None


def text_of(message: dict[str, Any] | None) -> str | None:
    """The text that a person reads in a message, None without one."""
    if message is None:
        return None
    for name in _TEXT_FIELDS:
        if isinstance(message.get(name), str):
            text: str = message[name]
            return text
    return None


def json_part_of(word: str) -> str:
    """The longest part of a word that every text with this word has when it is written as JSON, without accents and in
    lower case: only ASCII, because a database may not know the lower case of other letters."""
    part = max(_NOT_ASCII.split(folded_text(word)), key=len)
    return msgspec.json.encode(part).decode()[1:-1]


def has_words(text: str | None, words: list[str]) -> bool:
    """Whether the text contains each word, in any order; case and accents are ignored."""
    if text is None:
        return False
    folded = folded_text(text)
    return all(folded_text(word) in folded for word in words)
