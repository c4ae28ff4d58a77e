"""Regular expressions: RE2, which takes time in proportion to the text whatever the pattern."""

import functools
from typing import Any

import re2  # type: ignore[import-untyped]

from filas.flows.limits import MAX_EXPRESSION_CHARS

MAX_PROGRAM_BYTES = 4 * 1024 * 1024


def problem(pattern: str) -> str | None:
    """What is wrong with a pattern, or None."""
    try:
        _compiled(pattern)
    except ValueError as error:
        return str(error)
    return None


def search(pattern: str, text: str) -> bool:
    """Whether the pattern is found anywhere in the text. Raises ValueError for a bad pattern."""
    return _compiled(pattern).search(text) is not None


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
        raise ValueError(f"is no RE2 pattern: {text}") from None
