"""Texts from outside in a picture: shortened by their width, without what could disturb the text around them."""

import unicodedata
from typing import Final

_HIDDEN: Final = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Control characters, marks that change the direction of what follows, halves of characters, line ends."""

_KEPT: Final = "\u200c\u200d"
"""Joiners, which scripts and emoji need."""


_NO_CHARACTERS: Final = "\ufffe\uffff"


def shown(text: str) -> str:
    """The text on one line, without invisible characters."""
    kept = (
        "" if c in _NO_CHARACTERS or (unicodedata.category(c) in _HIDDEN and c not in _KEPT) else c
        for c in text.replace("\n", " ")
    )
    return " ".join("".join(kept).split())


def shortened(text: str, columns: int) -> str:
    """The visible text, or its beginning with an ellipsis, with at most `columns` columns. Wide characters have two."""
    text = shown(text[: 8 * columns + 64])
    used = 0
    for index, char in enumerate(text):
        used += columns_of(char)
        if used > columns:
            return _fitting(text[:index], columns - 1) + "…"
    return text


def columns_of(char: str) -> int:
    """The columns of one character: 0 for a mark on the character before it."""
    if unicodedata.combining(char) or char in _KEPT:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _fitting(text: str, columns: int) -> str:
    while text and sum(columns_of(char) for char in text) > columns:
        text = text[:-1]
    return text.rstrip()
