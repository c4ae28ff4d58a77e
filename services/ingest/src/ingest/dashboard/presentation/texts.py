"""The texts of the pages in the language of the reader, and how that language writes numbers and times.

The catalogue has one TOML file per family of pages and language, in the form of `filas.messages.catalogue`.
"""

from dataclasses import dataclass
from datetime import tzinfo
from functools import cache
from importlib import resources
from typing import Any, Final

from babel import Locale

from filas.messages.catalogue import LANGUAGES, Language, Message, messages_in, with_parameters

_LOCALES: Final[dict[Language, str]] = {"en": "en", "pt-BR": "pt_BR"}
NAMES: Final[dict[Language, str]] = {"en": "English", "pt-BR": "Português (Brasil)"}
"""Each language in its own name."""


@cache
def page_messages(language: Language) -> dict[str, Message]:
    """Returns every text of the pages by its id. Reads the files once."""
    return messages_in(resources.files("ingest.dashboard").joinpath("messages", language))


@dataclass(frozen=True, slots=True)
class Reader:
    """What a page needs to know about its reader: the language and the time zone."""

    language: Language
    zone: tzinfo
    zone_name: str

    @property
    def locale(self) -> Locale:
        """How numbers and times are written."""
        return Locale.parse(_LOCALES[self.language])

    def text(self, message_id: str, **parameters: Any) -> str:
        """Returns a text with its parameters. Raises KeyError for an unknown id and for a missing parameter."""
        return with_parameters(page_messages(self.language)[message_id], parameters)

    def has_text(self, message_id: str) -> bool:
        """Whether the catalogue has this text."""
        return message_id in page_messages(self.language)


def choose_language(chosen: str | None, accepted: str) -> Language:
    """Returns the language chosen before (a cookie), or the first of the header Accept-Language that there is."""
    for language in LANGUAGES:
        if chosen == language:
            return language
    weighted = []
    for position, part in enumerate(accepted[:500].split(",")):
        tag, _, weight = part.partition(";")
        weighted.append((-_weight(weight), position, tag.strip().lower()))
    for _, _, tag in sorted(weighted):
        if tag == "pt" or tag.startswith("pt-"):
            return "pt-BR"
        if tag == "en" or tag.startswith("en-"):
            return "en"
    return "en"


def _weight(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
