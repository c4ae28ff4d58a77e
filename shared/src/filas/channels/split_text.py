"""Splits a text that is too long for one message. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final

_PARAGRAPH: Final = re.compile(r"\n[ \t]*\n\s*")
_LINE: Final = re.compile(r"\n\s*")
_CLOSING: Final = "\"')]*_~\u201d\u2019\xbb"
_SENTENCE: Final = re.compile(
    rf"(?<=[.!?\u2026])[{re.escape(_CLOSING)}]{{0,3}}\s+|(?<=[\u3002\uff01\uff1f])"  # with and without spaces
)
_WORD: Final = re.compile(r"\s+")
_BREAKS: Final = (_PARAGRAPH, _LINE, _SENTENCE, _WORD)
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(])(?:[^\W\d_]|sr|sra|srs|dr|dra|prof|profa|av|ex|p[áa]g|nro|tel|mr|mrs|st)\.$", re.IGNORECASE
)
_JOINER: Final = "\u200d"
_ENTITY: Final = re.compile(r"&#?\w{1,10};|<[^<>\s][^<>]{0,2000}>")

CanCut = Callable[[int], bool]
"""Whether the text may be cut before the character at this position."""


def split_text(text: str, limit: int, can_cut: CanCut | None = None) -> list[str]:
    """The text in parts of at most `limit` characters, in order: together they have all of its words.

    A part ends at the end of a sentence or a line. If none fits, it ends after a word, and inside a word only if the
    word alone is too long. White space where the text is cut is left out. An entity such as `&amp;`, a tag such as
    `<b>`, and an emoji of several characters are never cut. `can_cut` excludes further positions. Raises ValueError if
    no position remains.
    """
    allowed = can_cut or (lambda _: True)
    parts: list[str] = []
    begin = 0
    text = text.rstrip()
    while len(text) - begin > limit:
        end, begin_next = _cut(text, begin, limit, allowed)
        part = text[begin:end].rstrip()
        if part:
            parts.append(part)
        begin = begin_next
    rest = text[begin:]
    return [*parts, rest] if rest or not parts else parts


def _cut(text: str, begin: int, limit: int, allowed: CanCut) -> tuple[int, int]:
    """Where the part that begins at `begin` ends, and where the next one begins."""
    protected = [found.span() for found in _ENTITY.finditer(text, begin, min(len(text), begin + limit + 2048))]

    def is_free(position: int) -> bool:
        return allowed(position) and not any(start < position < end for start, end in protected)

    for breaks in ((_PARAGRAPH,), (_LINE, _SENTENCE), (_WORD,)):
        # A paragraph's end is preferred to a sentence's only if it leaves the part at least half full.
        least = begin + limit // 2 if breaks == (_PARAGRAPH,) else begin
        best: tuple[int, int] | None = None
        for pattern in breaks:
            for end, following in _candidates(pattern, text, begin, limit):
                if end > least and is_free(following) and (best is None or end > best[0]):
                    best = end, following
        if best is not None:
            return best
    free = [position for position in range(begin + limit, begin, -1) if is_free(position)]
    for position in [*(one for one in free if _is_character_start(text, one)), *free]:
        return position, position
    raise ValueError(f"there is no place where the text can be divided into messages of {limit} characters")


def _candidates(pattern: re.Pattern[str], text: str, begin: int, limit: int) -> Iterator[tuple[int, int]]:
    """The ends of parts of at most `limit` characters, each with the beginning of the next part."""
    last = begin + limit
    for found in pattern.finditer(text, begin, min(len(text), last + 200)):
        end = found.start()
        if pattern is _SENTENCE:
            # Closing quotes belong to the sentence.
            end += len(found.group()) - len(found.group().lstrip(_CLOSING))
            if _ABBREVIATION.search(text, max(begin, end - 8), found.start()):
                continue
        if end > last:
            return
        if end > begin:
            yield end, found.end()


def _is_character_start(text: str, position: int) -> bool:
    """Whether no accent, modifier or joiner connects the characters around the position."""
    after = text[position]
    joined = unicodedata.combining(after) or after == _JOINER or text[position - 1] == _JOINER
    return not joined and not _is_modifier(after)


def _is_modifier(character: str) -> bool:
    """Whether it is a variation selector, a skin tone or an enclosing mark, or the second half of a flag."""
    code = ord(character)
    return 0xFE00 <= code <= 0xFE0F or 0x1F3FB <= code <= 0x1F3FF or code == 0x20E3 or 0x1F1E6 <= code <= 0x1F1FF
