"""Regular expressions: RE2, whose time is proportional to the text for every pattern."""

import functools
import re
from typing import Any

import re2  # type: ignore[import-untyped]

from filas.flows import step_budget
from filas.flows.value_limits import MAX_EXPRESSION_CHARS

MAX_PROGRAM_BYTES = 4 * 1024 * 1024
MAX_MATCHING = 16 * 1024 * 1024
"""Bytes of the text times instructions of the pattern. In the worst case, each product takes 10 nanoseconds."""


MAX_REPLACED = 256 * 1024
"""The longest text that the replacements of a pattern may add, in characters."""

_NOT_IN_WORDS = re.compile(r"[^\w\u0080-\U0010ffff]", re.ASCII)
_REFERENCE = re.compile(r"\\([0-9])", re.ASCII)


def problem(pattern: str) -> str | None:
    """The error of a pattern, or None."""
    try:
        _compiled(pattern)
    except ValueError as error:
        return str(error)
    return None


def search(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text. Raises ValueError for an invalid pattern, and for a text that is too
    long for the pattern."""
    return _charged(pattern, text).search(text) is not None


def find(pattern: str, text: str) -> str | None:
    """What the pattern finds first: its first group if it has one. None if it finds nothing. Raises as `search`."""
    found = _charged(pattern, text).search(text)
    if found is None:
        return None
    made = found.group(1 if groups(pattern) else 0)
    return None if made is None else str(made)


def replace(pattern: str, replacement: str, text: str) -> str:
    """The text with each match replaced; `\\1` in `replacement` is the first group. Raises as `search`."""
    compiled = _charged(pattern, text)
    pieces, position, size = [], 0, 0
    for found in compiled.finditer(text):
        made = _REFERENCE.sub(functools.partial(_group, found), replacement)
        pieces += [text[position : found.start()], made]
        position, size = found.end(), size + len(made)
        step_budget.charge(2)
        if size > MAX_REPLACED:
            raise ValueError("the replacements make too long a text")
    return "".join([*pieces, text[position:]])


def escaped(text: str) -> str:
    """The pattern that finds exactly this text."""
    return _NOT_IN_WORDS.sub(lambda found: "\\x00" if found[0] == "\0" else "\\" + found[0], text)


def groups(pattern: str) -> int:
    """The number of groups of a pattern. Raises ValueError for an invalid pattern."""
    return int(_compiled(pattern).groups)


def program_size(pattern: str) -> int:
    """The number of the pattern's instructions. Raises ValueError for an invalid pattern."""
    return int(_compiled(pattern).programsize)


def _charged(pattern: str, text: str) -> Any:
    """The compiled pattern, after the search of the text was charged. Raises ValueError."""
    compiled = _compiled(pattern)
    looks = _bytes(text) * compiled.programsize
    if looks > MAX_MATCHING:
        raise ValueError(f"a text of {len(text)} characters is too long for this pattern")
    step_budget.charge(1 + looks * step_budget.MAX_STEPS // MAX_MATCHING)
    return compiled


def _group(found: Any, reference: re.Match[str]) -> str:
    number = int(reference[1])
    return (found.group(number) or "") if number <= len(found.groups()) else reference[0]


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


@functools.lru_cache(maxsize=512)
def _compiled(pattern: str) -> Any:
    if len(pattern) > MAX_EXPRESSION_CHARS:
        raise ValueError(f"is longer than {MAX_EXPRESSION_CHARS} characters")
    options = re2.Options()
    options.max_mem = MAX_PROGRAM_BYTES
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0] if error.args else "does not parse"
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"invalid RE2 pattern: {text}") from None
