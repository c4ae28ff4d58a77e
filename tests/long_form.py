"""The two forms of the tests. Both run every case with the same assertions; the long form uses more load and more time.

`make test` and `.ci/run` run the short form. `make test-long` sets FILAS_TEST_LONG, which selects the long form.
"""

import os
from typing import TypeVar

T = TypeVar("T")

LONG = bool(os.environ.get("FILAS_TEST_LONG"))


def by_form(short: T, long: T) -> T:
    """`long` in the long form, else `short`."""
    return long if LONG else short


def examples(long: int) -> int:
    """How many examples Hypothesis tries: `long` in the long form, else a third of it."""
    return by_form(-(-long // 3), long)
