"""How much one visit of a node may compute, so that no flow holds up the others of its process.

Templates, rules, JMESPath and CEL are computed without a pause, so their work is counted in steps. A step is about what
a look-up of one name costs: two to five microseconds. All of a visit share one allowance, a tenth to a quarter of a
second's worth: a hundred assignments can do no more than one.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

MAX_STEPS = 50_000


class TooMuchWork(ValueError):
    """The allowance is used up."""

    def __init__(self) -> None:
        super().__init__("does too much work")


class Allowance:
    """The steps that are left."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Raises TooMuchWork."""
        self.left -= steps
        if self.left < 0:
            raise TooMuchWork


_shared: ContextVar[Allowance | None] = ContextVar("allowance", default=None)


@contextmanager
def one_allowance() -> Iterator[None]:
    """All that is computed within has one allowance together."""
    token = _shared.set(Allowance())
    try:
        yield
    finally:
        _shared.reset(token)


def allowance() -> Allowance:
    """The one that is shared; a new one where none is."""
    return _shared.get() or Allowance()


def spend(steps: int) -> None:
    """Raises TooMuchWork."""
    allowance().spend(steps)


class Measured(NamedTuple):
    """`size`: characters of the texts and keys of a value, plus 8 for each of its `values`. `longest`: its longest list
    or object."""

    size: int
    values: int
    longest: int


def measure(value: Any, max_size: int, max_values: int = 2**31) -> Measured:
    """How large a value is. Counts no further than just beyond the limits."""
    size, values, longest, pending = 0, 0, 0, [value]
    while pending and size <= max_size and values <= max_values:
        item = pending.pop()
        size, values = size + 8, values + 1
        if isinstance(item, str):
            size += len(item)
        elif isinstance(item, (list, tuple, dict, Mapping)):
            longest = max(longest, len(item))
            pending += item if isinstance(item, (list, tuple)) else [*item, *item.values()]
    return Measured(size, values, longest)
