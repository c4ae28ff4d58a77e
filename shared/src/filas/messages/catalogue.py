"""Reads the message catalogue: TOML files per language, with the same ids and parameters in each language.

An id is a section and a name: `[scaling]` with `idle = "…"` is `scaling.idle`. A message is a format string whose
parameters have names (`{busy:.0%}`). A message that depends on a number is a table with the forms `one` and `other`,
and has the parameter `count`.

TOML, because a translator edits it without a tool and Python reads it without a dependency. Plain format strings,
because our two languages differ in no plural form but `one` and `other`.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final, Literal

Language = Literal["en", "pt-BR"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "pt-BR")

Message = str | dict[str, str]
"""A format string, or the forms `one` and `other` of one."""


@cache
def messages(language: Language) -> dict[str, Message]:
    """Returns every message of a language by its id. Reads the files once."""
    folder = resources.files("filas.messages")
    return _messages_of(folder / f"{language}.toml") | _messages_of(folder / f"doctor_{language}.toml")


def messages_in(folder: Traversable) -> dict[str, Message]:
    """Returns the messages of all TOML files of a folder by their ids. Raises ValueError for an id in two files."""
    found: dict[str, Message] = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            added = _messages_of(file)
            if twice := found.keys() & added.keys():
                raise ValueError(f"{file.name}: {sorted(twice)[0]} is in another file too")
            found |= added
    return found


def text(language: Language, message_id: str, **parameters: Any) -> str:
    """Returns a message with its parameters. Raises KeyError for an unknown id and for a missing parameter."""
    return with_parameters(messages(language)[message_id], parameters)


def with_parameters(message: Message, parameters: Mapping[str, Any]) -> str:
    """Returns a message with its parameters. Raises KeyError for a missing parameter."""
    if isinstance(message, dict):
        message = message["one" if parameters["count"] == 1 else "other"]
    return message.format(**parameters)


def _messages_of(source: Traversable) -> dict[str, Message]:
    sections: dict[str, dict[str, Message]] = tomllib.loads(source.read_text(encoding="utf-8"))
    return {f"{section}.{name}": text for section, names in sections.items() for name, text in names.items()}
