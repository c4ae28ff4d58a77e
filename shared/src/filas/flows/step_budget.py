"""The step budget: how much one visit of a node may compute, so that no flow delays the others of its process.

Templates, rules, JMESPath and CEL run without a cooperative yield, so their work is counted in steps. A step costs
about as much as one look-up of a name: two to five microseconds. All computations of a visit share one budget, which
lasts a tenth to a quarter of a second: a hundred assignments can do no more than one.
"""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any, NamedTuple

MAX_STEPS = 50_000


class TooMuchWork(ValueError):
    """The step budget is used up."""

    def __init__(self) -> None:
        super().__init__("does too much work")


class StepBudget:
    """The number of steps that are left."""

    __slots__ = ("left",)

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.left = steps

    def charge(self, steps: int) -> None:
        """Subtracts `steps` from the budget. Raises TooMuchWork if it is used up."""
        self.left -= steps
        if self.left < 0:
            raise TooMuchWork


_shared: ContextVar[StepBudget | None] = ContextVar("step_budget", default=None)


class shared_budget:  # noqa: N801 (used like a function, as `contextlib.suppress`)
    """All computations in the block share one budget of `steps`. (Each visit enters one, so it is no generator.)"""

    __slots__ = ("_steps", "_token")

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self._steps = steps

    def __enter__(self) -> None:
        self._token: Token[StepBudget | None] = _shared.set(StepBudget(self._steps))

    def __exit__(self, *_: object) -> None:
        _shared.reset(self._token)


def current() -> StepBudget:
    """The shared budget; a new one outside of `shared_budget`."""
    return _shared.get() or StepBudget()


def charge(steps: int) -> None:
    """Subtracts `steps` from the current budget. Raises TooMuchWork if it is used up."""
    current().charge(steps)


class Measured(NamedTuple):
    """`size`: characters of the texts and keys of a value, plus 8 for each of its `values`. `longest`: its longest list
    or object."""

    size: int
    values: int
    longest: int


_SCALARS = frozenset({int, float, bool, type(None)})
"""The types of most values. To find out that they are not mappings takes ten times as long."""


def measure(value: Any, max_size: int, max_values: int = 2**31) -> Measured:
    """The size of a value. Stops counting as soon as a limit is exceeded."""
    size, values, longest, pending = 0, 0, 0, [value]
    while pending and size <= max_size and values <= max_values:
        item = pending.pop()
        size, values = size + 8, values + 1
        if type(item) in _SCALARS:
            continue
        if isinstance(item, str):
            size += len(item)
        elif isinstance(item, (list, tuple, dict, Mapping)):
            longest = max(longest, len(item))
            pending += item if isinstance(item, (list, tuple)) else [*item, *item.values()]
    return Measured(size, values, longest)
