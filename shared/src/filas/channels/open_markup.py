"""Where a text with markup may be divided: outside of every element, so that each part is complete."""

import re
from bisect import bisect_right
from itertools import accumulate
from typing import Final

from filas.channels.split_text import CanCut

_TAG: Final = re.compile(r"<(/?)([a-zA-Z][\w-]*)[^>]*>")
_MARKDOWN: Final = re.compile(r"\\.|```|\|\||__|[*_~`\[\]()]", re.DOTALL)


def can_cut(text: str, parse_mode: object) -> CanCut | None:
    """Telegram's `parseMode` of a text. None: the text may be divided anywhere."""
    if parse_mode == "HTML":
        return _outside_of([(found.end(), -1 if found.group(1) else 1) for found in _TAG.finditer(text)])
    if parse_mode in ("MarkdownV2", "Markdown"):
        return _outside_of(_markdown_changes(text))
    return None


def _outside_of(changes: list[tuple[int, int]]) -> CanCut:
    positions = [position for position, _ in changes]
    depths = [0, *accumulate(change for _, change in changes)]
    return lambda position: depths[bisect_right(positions, position)] <= 0


def _markdown_changes(text: str) -> list[tuple[int, int]]:
    """The positions where an element begins (1) or ends (-1)."""
    open_marks: set[str] = set()
    changes: list[tuple[int, int]] = []
    for found in _MARKDOWN.finditer(text):
        mark = found.group()
        if mark.startswith("\\"):
            continue
        if mark in "[(":
            changes.append((found.end(), 1))
        elif mark in "])":
            changes.append((found.end(), -1))
        elif mark in open_marks:
            open_marks.remove(mark)
            changes.append((found.end(), -1))
        else:
            open_marks.add(mark)
            changes.append((found.end(), 1))
    return changes
