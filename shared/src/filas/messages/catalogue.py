"""Reads the message catalogue: one TOML file per language, with the same ids and parameters in each.

An id is a section and a name: `[scaling]` with `idle = "…"` is `scaling.idle`. A message is a format string whose
parameters have names (`{busy:.0%}`). A message that depends on a number is a table with the forms `one` and `other`,
and has the parameter `count`.

TOML, because a translator edits it without a tool and Python reads it without a dependency. Plain format strings,
because our two languages differ in no plural form but `one` and `other`.
"""

import tomllib
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

Language = Literal["en", "pt-BR"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "pt-BR")

Message = str | dict[str, str]
"""A format string, or the forms `one` and `other` of one."""


@cache
def messages(language: Language) -> dict[str, Message]:
    """Returns every message of a language by its id. Reads the file once."""
    source = resources.files("filas.messages").joinpath(f"{language}.toml")
    sections: dict[str, dict[str, Message]] = tomllib.loads(source.read_text(encoding="utf-8"))
    return {f"{section}.{name}": text for section, names in sections.items() for name, text in names.items()}


def text(language: Language, message_id: str, **parameters: Any) -> str:
    """Returns a message with its parameters. Raises KeyError for an unknown id and for a missing parameter."""
    message = messages(language)[message_id]
    if isinstance(message, dict):
        message = message["one" if parameters["count"] == 1 else "other"]
    return message.format(**parameters)
