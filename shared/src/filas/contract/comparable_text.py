"""The form in which a contact's words are compared with the texts that an author has written.

Letter case, accents, punctuation, symbols and blanks make no difference: `Não!` and `nao`, `guarda-chuva` and `Guarda
chuva`, `✅ Sim` and `sim`, `2️⃣` and `2` have the same form. Punctuation between digits does: `1,5` is not `15`. Ingest
writes this form of a message (`executions.said`), and the repository that of the texts that restart a conversation, so
that one statement compares both.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

MAX_CHARS: Final = 200
"""A longer text is a message to read, and not the name of something."""

_MAX_FORM: Final = 400
_TEN: Final = "\U0001f51f"
_BETWEEN_DIGITS: Final = re.compile(r"(?<=[0-9])[.,:/-](?=[0-9])", re.ASCII)
_MARKS: Final = ((0x300, 0x36F), (0x483, 0x489), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE00, 0xFE2F))
_COMPATIBLE: Final = ("<wide>", "<narrow>", "<circle>", "<compat>", "<font>", "<noBreak>")


def comparable(text: str) -> str | None:
    """The form of `text`. None for a text without any character, and for one of more than MAX_CHARS characters.

    A text that has only symbols, such as an emoji, is its own form.
    """
    text = text.strip()
    if not text or len(text) > MAX_CHARS:
        return None
    folded = folded_text(text)
    if _BETWEEN_DIGITS.search(folded):
        folded = _BETWEEN_DIGITS.sub("\x00", folded)
    form = folded.translate(_ASCII_FORM) if folded.isascii() else "".join(map(_counted, folded))
    form = form or "".join(one for one in folded if unicodedata.category(one)[0] not in "ZC")
    return form if form and len(form) <= _MAX_FORM else None


def folded_text(text: str) -> str:
    """`text` without case, accents and NULs, and with the digits of other scripts, of circles and of keycaps as
    ASCII."""
    if text.isascii():
        return text.lower().replace("\x00", "")
    return "".join(map(_folded, text))


@lru_cache(maxsize=4096)
def _folded(character: str) -> str:
    if character in ("\x00", _TEN):
        return "10" if character == _TEN else ""
    decomposed = unicodedata.normalize("NFD", _plain(character).casefold())
    return "".join(one for one in decomposed if not _is_mark(one))


def _plain(character: str) -> str:
    decomposition = unicodedata.decomposition(character)
    if decomposition.startswith(_COMPATIBLE):
        return unicodedata.normalize("NFKC", character)
    return str(unicodedata.decimal(character)) if unicodedata.category(character) == "Nd" else character


def _is_mark(character: str) -> bool:
    code = ord(character)
    return any(first <= code <= last for first, last in _MARKS)


@lru_cache(maxsize=4096)
def _counted(character: str) -> str:
    """The character if it makes a difference, a decimal point for punctuation between digits, otherwise nothing."""
    if character == "\x00":
        return "."
    category = unicodedata.category(character)
    return character if category[0] in "LNM" or category in ("Sm", "Sc") else ""


_ASCII_FORM: Final = {code: _counted(chr(code)) for code in range(128)}
