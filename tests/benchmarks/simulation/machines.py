"""Simulated time, machines whose cores are shared, and threads that run one piece of work at a time."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable
from typing import Final

Then = Callable[[], None]


class Clock:
    """The events to come, in the order of their time and, at one time, in the order in which they were added."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Then]] = []
        self._numbers = itertools.count()

    def after(self, delay_s: float, then: Then) -> None:
        """Calls `then` after `delay_s` seconds."""
        heapq.heappush(self._events, (self.now + delay_s, next(self._numbers), then))

    def run(self, until: float) -> None:
        """Runs the events up to the time `until`."""
        while self._events and self._events[0][0] <= until:
            self.now, _, then = heapq.heappop(self._events)
            then()
        self.now = until


class Machine:
    """Cores that all running threads share: each gets one core, or an equal share if there are more threads than cores.

    `_work` is the work that each running thread has received since the beginning, in seconds of a core. A thread ends
    when this has grown by what it needs, so the thread that ends next is always the first of `_ends`.
    """

    def __init__(self, clock: Clock, cores: float) -> None:
        self.cores = cores
        self.used_s = 0.0
        self._clock = clock
        self._ends: list[tuple[float, int, Then]] = []
        self._numbers = itertools.count()
        self._work = 0.0
        self._updated = 0.0
        self._plan = 0

    def run(self, seconds: float, then: Then) -> None:
        """Runs a thread that needs `seconds` of a core, and calls `then` at its end."""
        self._advance()
        heapq.heappush(self._ends, (self._work + seconds, next(self._numbers), then))
        self._plan_next()

    def settle(self) -> None:
        """Counts the work up to now."""
        self._advance()
        self._plan_next()

    def _advance(self) -> None:
        elapsed = self._clock.now - self._updated
        self._work += elapsed * self._share()
        self.used_s += elapsed * min(self.cores, len(self._ends))
        self._updated = self._clock.now

    def _share(self) -> float:
        """The part of a core that each running thread has."""
        return min(1.0, self.cores / len(self._ends)) if self._ends else 0.0

    def _plan_next(self) -> None:
        self._plan += 1
        if self._ends:
            plan, delay_s = self._plan, max(0.0, self._ends[0][0] - self._work) / self._share()
            self._clock.after(delay_s, lambda: self._end_first(plan))

    def _end_first(self, plan: int) -> None:
        if plan != self._plan:
            return  # threads have begun or ended since
        self._advance()
        end, _, then = heapq.heappop(self._ends)
        self._work = max(self._work, end)
        self._plan_next()
        then()


class Part:
    """A process or a server: pieces of work that run at most `threads` at a time, in the order of their arrival."""

    def __init__(self, machine: Machine, threads: float = 1) -> None:
        self.busy_s = 0.0  # what its work needs, not how long it waits for a core
        self._machine = machine
        self._free = threads
        self._waiting: deque[tuple[float, Then]] = deque()

    def run(self, seconds: float, then: Then) -> None:
        """Runs a piece of work that needs `seconds` of a core, and calls `then` at its end."""
        if self._free <= 0:
            self._waiting.append((seconds, then))
            return
        self._free -= 1
        self._begin(seconds, then)

    def _begin(self, seconds: float, then: Then) -> None:
        self.busy_s += seconds
        self._machine.run(seconds, lambda: self._end(then))

    def _end(self, then: Then) -> None:
        if self._waiting:
            self._begin(*self._waiting.popleft())
        else:
            self._free += 1
        then()


UNLIMITED: Final = math.inf
