"""The words by which an event is found, and the words of what somebody has typed.

A word is a run of letters and digits without case and accents, in UTF-8. Everything else separates words, so
`wamid.HBg=` has two and `pedido_1042` has two. The words of an event are those of its body (the values of JSON strings
without their escapes), of its query parameters, of its duplicate key and of its contact. A phone number is a word too,
in its canonical form, however the body writes it. The webhook is a word that nobody can type.

A typed word finds the words that begin with it; one of fewer than three characters only finds itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import unquote_plus

from filas.contacts.phone_numbers import MAX_DIGITS, number_of
from filas.contract.comparable_text import folded_text

TEXT_BYTES: Final = 64 * 1024
"""The beginning of a body that is searched."""

MAX_WORDS: Final = 1000
"""The words of one event; the first ones of its text."""

WORD_BYTES: Final = 64
"""The rest of a longer word is not compared."""

PREFIX_CHARS: Final = 3
MIN_NUMBER: Final = 8

_WORD: Final = re.compile(r"[^\W_]+")
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_BLANK_ESCAPES: Final = frozenset("ntrbf")
_WRITTEN_NUMBER: Final = re.compile(r"(?<![0-9a-z])[+(]*[0-9][0-9 ()./-]{6,24}[0-9](?![0-9a-z])")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER_SIGNS: Final = frozenset("+( -")
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


def words_of(row: Mapping[str, object]) -> frozenset[bytes]:
    """The words of an event. `row` has the columns of `search_sql.WORD_COLUMNS`."""
    body, content_type = row["body"], row["content_type"]
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else ""
    if "\\" in text and text.lstrip().startswith(_JSON):
        text = _ESCAPE.sub(_unescaped, text)
    if isinstance(content_type, str) and content_type.startswith(_FORM):
        text = unquote_plus(text)
    further = (row["query_params"], row["duplicate_key"], _contact_of(row["group_key"]))
    text = "\n".join((text, *(one for one in further if isinstance(one, str))))
    return frozenset((webhook_word(str(row["webhook_id"])), *_words(text)))


def webhook_word(webhook_id: str) -> bytes:
    """The word of the events of a webhook."""
    return b"\0" + webhook_id.encode()[:WORD_BYTES]


def terms_of(typed: str) -> tuple[Term, ...]:
    """The terms for what somebody has typed."""
    return tuple(
        Term(word.encode("utf-8", "surrogatepass")[:WORD_BYTES], exact=len(word) < PREFIX_CHARS)
        for word in dict.fromkeys(_split(typed))
    )


def address_terms(alias: str) -> tuple[Term, ...]:
    """The terms for the canonical address of a contact."""
    return tuple(Term(word.encode("utf-8", "surrogatepass")[:WORD_BYTES], exact=True) for word in _split(alias))


def _words(text: str) -> Iterable[bytes]:
    words = dict.fromkeys(_split(text))
    numbers = {
        number
        for number in (*map(_number_of_word, words), *map(_number_as_written, _WRITTEN_NUMBER.finditer(text)))
        if number is not None
    }
    kept = [*numbers, *words][: MAX_WORDS + len(numbers)]
    return (word.encode("utf-8", "surrogatepass")[:WORD_BYTES] for word in kept)


def _split(text: str) -> Iterable[str]:
    if text.isascii():
        return _WORD.findall(text.lower())
    found = _WORD.findall(unicodedata.normalize("NFC", text.lower()))
    return (word if word.isascii() else _folded(word) for word in found)


@lru_cache(maxsize=4096)
def _folded(word: str) -> str:
    return folded_text(word)


def _number_of_word(word: str) -> str | None:
    if not word.isdigit() or not MIN_NUMBER <= len(word) <= MAX_DIGITS:
        return None
    number = number_of(word)
    return None if number == word else number


def _number_as_written(found: re.Match[str]) -> str | None:
    written = found[0]
    if _NUMBER_SIGNS.isdisjoint(written) or _DATE.match(written):
        return None
    number = number_of(written)
    return number if number is not None and len(number) >= MIN_NUMBER else None


def _contact_of(group_key: object) -> str | None:
    if not isinstance(group_key, str) or group_key.startswith("webhook:"):
        return None
    return group_key.partition(":")[2]


def _unescaped(found: re.Match[str]) -> str:
    escape = found[1]
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    return " " if escape in _BLANK_ESCAPES else escape
