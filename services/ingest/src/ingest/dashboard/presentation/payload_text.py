"""Shows payloads as text. A payload is never parsed and written again, so 64-bit integers keep their value."""

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from filas.contract.storable_text import json_bytes

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')

SHOWN_CHARACTERS: Final = 16_000
"""What a page shows of a payload. The rest is in the download."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The beginning of a payload, and how many characters the whole has."""

    text: str
    characters: int

    @property
    def is_cut(self) -> bool:
        """Whether the page shows only the beginning."""
        return self.characters > len(self.text)


def shown(text: str, most: int = SHOWN_CHARACTERS) -> Shown:
    """Returns the beginning of a text. A lone surrogate, which no page can contain, is shown as its escape."""
    beginning = text[:most]
    return Shown(beginning.encode("utf-8", "backslashreplace").decode("utf-8"), len(text))


def document_text(value: Any) -> str:
    """Returns the JSON of a value that a store has returned, indented.

    Only white space is added: the tokens are those of the encoder, so every number keeps its digits.
    """
    raw = bytes(value) if isinstance(value, msgspec.Raw) else json_bytes(value)
    try:
        return msgspec.json.format(raw, indent=2).decode("utf-8", "replace")
    except msgspec.DecodeError:  # It reads no lone surrogate.
        return _indented(raw.decode("utf-8", "replace"))


def _indented(text: str) -> str:
    depth, parts = 0, list[str]()
    for part in _TOKEN.findall(text):
        if part in ("}", "]"):
            depth -= 1
            parts.append("\n" + "  " * depth)
        parts.append(": " if part == ":" else part)
        if part in ("{", "["):
            depth += 1
        if part in ("{", "[", ","):
            parts.append("\n" + "  " * depth)
    return re.sub(r"([{\[])\n\s*\n\s*([}\]])", r"\1\2", "".join(parts))
