"""Regular expressions: RE2, whose time is proportional to the text for every pattern."""

import functools
from typing import Any

import re2  # type: ignore[import-untyped]

from filas.flows import step_budget
from filas.flows.value_limits import MAX_EXPRESSION_CHARS

MAX_PROGRAM_BYTES = 4 * 1024 * 1024
MAX_MATCHING = 16 * 1024 * 1024
"""Bytes of the text times instructions of the pattern. In the worst case, each product takes 10 nanoseconds."""


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
    compiled = _compiled(pattern)
    looks = _bytes(text) * compiled.programsize
    if looks > MAX_MATCHING:
        raise ValueError(f"a text of {len(text)} characters is too long for this pattern")
    step_budget.charge(1 + looks * step_budget.MAX_STEPS // MAX_MATCHING)
    return compiled.search(text) is not None


def program_size(pattern: str) -> int:
    """The number of the pattern's instructions. Raises ValueError for an invalid pattern."""
    return int(_compiled(pattern).programsize)


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
