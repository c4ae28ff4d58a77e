"""How long a turn may go on in its job."""

from collections.abc import Callable

YIELD_AFTER_S = 45.0
"""A turn that has run this long saves and goes on in a new job: well before its own job's 60 s are up."""

LAST_END_S = 57.0
"""A call that might last beyond this moment of the job is left to the next one."""


class Budget:
    """The wall clock of one turn. `stopping` says whether the process is about to end: then, too, the turn
    ends at the next node, and goes on elsewhere."""

    def __init__(self, monotonic: Callable[[], float], stopping: Callable[[], bool] = lambda: False) -> None:
        self._monotonic = monotonic
        self._start = monotonic()
        self._stopping = stopping

    def allows(self, call_s: float) -> bool:
        """Whether a node that may spend `call_s` seconds outside may begin now."""
        elapsed = self._monotonic() - self._start
        return not self._stopping() and elapsed < YIELD_AFTER_S and elapsed + call_s < LAST_END_S
