"""The words by which an event is found, and the words of what a user has typed.

A word is a run of letters and digits without case and accents, in UTF-8. Everything else separates words, so
`wamid.HBg=` has two and `pedido_1042` has two. The words of an event are those of its body (the values of JSON strings
without their escapes), of its query parameters, of its duplicate key and of its contact. A phone number is a word too,
in its canonical form, however the body writes it. The webhook is a word that no user can type.

A typed word finds the words that begin with it; one of fewer than three characters only finds itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import unquote_plus

from filas.contacts.phone_numbers import number_of
from filas.contract.comparable_text import folded_text

TEXT_BYTES: Final = 64 * 1024
"""The beginning of a body that is searched."""

MAX_WORDS: Final = 1000
"""The words of one event; the first ones of its text."""

WORD_CHARS: Final = 64
"""A longer word is several words."""

PREFIX_CHARS: Final = 3
MIN_NUMBER: Final = 8

_WORD: Final = re.compile(r"[^\W_]{1,64}")
_ASCII_WORD: Final = re.compile(rb"[a-z0-9]{1,64}")
_FOREIGN: Final = re.compile(r"[^\x00-\x7f]+")
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_BLANK_ESCAPES: Final = frozenset("ntrbf")
_NUMBER: Final = re.compile(rb"[0-9][0-9 ()./-]{6,24}[0-9]")
_DATE: Final = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ALPHANUMERIC: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz")
_JSON: Final = ("{", "[", '"')
_FORM: Final = "application/x-www-form-urlencoded"


class Term(NamedTuple):
    """A word that is searched: `exact`, or the beginning of a word."""

    word: bytes
    exact: bool = False

    def is_in(self, words: Iterable[bytes]) -> bool:
        """Whether one of the words is found."""
        if self.exact:
            return self.word in words
        return any(one.startswith(self.word) for one in words)


Clause: TypeAlias = tuple[tuple[Term, ...], ...]
"""Alternatives. Each is a list of terms that are all found."""

Query: TypeAlias = tuple[Clause, ...]
"""An event matches if it matches each clause."""


def matches(query: Query, words: frozenset[bytes]) -> bool:
    """Whether an event with these words matches."""
    return all(
        any(all(term.is_in(words) for term in alternative) for alternative in alternatives) for alternatives in query
    )


def words_of(row: Mapping[str, Any]) -> frozenset[bytes]:
    """The words of an event. `row` has the columns of `search_sql.WORD_COLUMNS`."""
    further = (row["query_params"], row["duplicate_key"], _contact_of(row["group_key"]))
    others = "\n".join(one for one in further if one)
    body, content_type = row["body"], row["content_type"]
    if body.isascii() and others.isascii() and b"\\" not in body and not content_type.startswith(_FORM):
        words = _ascii_words(b"\n".join((body, others.encode())).lower())
    else:
        words = _words("\n".join((_text_of(body, content_type), others)).lower())
    return frozenset((webhook_word(row["webhook_id"]), *words))


def _text_of(body: bytes, content_type: str) -> str:
    text = body.decode("utf-8", "replace")
    if "\\" in text and text.lstrip().startswith(_JSON):
        text = _ESCAPE.sub(_unescaped, text)
    return unquote_plus(text) if content_type.startswith(_FORM) else text


def webhook_word(webhook_id: str) -> bytes:
    """The word of the events of a webhook."""
    return b"\0" + webhook_id.encode()


def terms_of(typed: str) -> tuple[Term, ...]:
    """The terms for what a user has typed."""
    return tuple(Term(word, exact=len(word) < PREFIX_CHARS) for word in _words(typed.lower(), numbers=False))


def address_terms(alias: str) -> tuple[Term, ...]:
    """The terms for the canonical address of a contact."""
    return tuple(Term(word, exact=True) for word in _words(alias.lower(), numbers=False))


def _words(text: str, *, numbers: bool = True) -> list[bytes]:
    """The first words of a text in lower case, and its numbers."""
    if not text.isascii():
        text = _FOREIGN.sub(_folded_match, unicodedata.normalize("NFC", text))
    data = text.encode("utf-8", "surrogatepass")
    if text.isascii():
        return _ascii_words(data, numbers=numbers)
    found = dict.fromkeys(word.encode("utf-8", "surrogatepass") for word in _WORD.findall(text))
    return [*(_numbers(data) if numbers else ()), *islice(found, MAX_WORDS)]


def _ascii_words(data: bytes, *, numbers: bool = True) -> list[bytes]:
    found = dict.fromkeys(_ASCII_WORD.findall(data))
    return [*(_numbers(data) if numbers else ()), *islice(found, MAX_WORDS)]


def _numbers(data: bytes) -> Iterable[bytes]:
    """The canonical forms of the phone numbers in a text."""
    for found in islice(_NUMBER.finditer(data), MAX_WORDS):
        written = found[0]
        if _continues(data, found.start() - 1) or _continues(data, found.end()) or _DATE.match(written):
            continue
        number = number_of(written.decode())
        if number is not None and len(number) >= MIN_NUMBER:
            yield number.encode()


def _continues(data: bytes, place: int) -> bool:
    """Whether a letter or a digit is at this place."""
    return 0 <= place < len(data) and data[place] in _ALPHANUMERIC


def _folded_match(found: re.Match[str]) -> str:
    return _folded(found[0])


@lru_cache(maxsize=4096)
def _folded(characters: str) -> str:
    return folded_text(characters)


def _contact_of(group_key: str | None) -> str | None:
    if group_key is None or group_key.startswith("webhook:"):
        return None
    return group_key.partition(":")[2]


def _unescaped(found: re.Match[str]) -> str:
    escape = found[1]
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    return " " if escape in _BLANK_ESCAPES else escape
