"""Which destination may use how many of this process's handlers, so that one that is slow delays only itself."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GENEROSITY = 1.0
"""How many places a destination may have for each that is free.

With 100 handlers and this 1, one destination that never answers holds 50 at most, the next one 25, then 13, 6, 3: it
takes many of them at a time to leave nothing, and after their first time-outs their circuits are open.
"""

SLOW_S = 0.1
"""A destination whose calls take longer than this is slow. So is one that has been asked for so long, and has
answered nobody in that time."""

CHECK_S = 0.05
"""How often who waits looks whether its destination has become slow."""

SMOOTHING = 0.1
"""How much each call changes what is believed of its destination's speed."""


class FairShare:
    """Counts the messages under way to each destination. `slots`: how many handlers there are in all.

    A destination may have `GENEROSITY` times as many under way as are free in all (at least one). Whoever is beyond
    that waits in its handler for a quick destination, and is sent away by a slow one. Only the calls themselves tell
    slow from quick: our own stores are none of the destination's faults.
    """

    def __init__(self, slots: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._clock = clock
        self._under_way: dict[str, int] = defaultdict(int)
        self._total = 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._calls: dict[str, _Calls] = defaultdict(_Calls)

    async def enter(self, destination: str) -> bool:
        """Take a place, which must be left again; False if the destination has its share and is slow."""
        if self._has_room(destination):
            self._take(destination)
            return True
        if self.is_slow(destination):
            return False
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(destination, deque()).append(place)
        try:
            while not place.done() and not self.is_slow(destination):
                await asyncio.wait([place], timeout=CHECK_S)
        except asyncio.CancelledError:
            if place.done():
                self.leave(destination)
            raise
        finally:
            # Given up: whoever leaves next passes it over.
            granted = place.done()
            place.cancel()
        return granted

    def leave(self, destination: str) -> None:
        """Give the place back."""
        self._total -= 1
        self._under_way[destination] -= 1
        if not self._under_way[destination]:
            del self._under_way[destination]
        for other in list(self._waiting):
            self._grant(other)

    @contextmanager
    def calling(self, destination: str) -> Iterator[None]:
        """The block is a call to the destination: how long it takes says how quick that is."""
        calls, begun = self._calls[destination], self._clock()
        number = calls.begin(begun)
        try:
            yield
        finally:
            calls.end(number, begun, self._clock())

    def is_slow(self, destination: str) -> bool:
        """Whether its calls take long, or have begun to."""
        calls, now = self._calls[destination], self._clock()
        stalled = calls.oldest() < now - SLOW_S and calls.ended_at < now - SLOW_S
        return stalled or calls.takes_s > SLOW_S

    def gap_s(self, destination: str) -> float:
        """The seconds between two of its messages at its present speed."""
        return self._calls[destination].takes_s / max(self._under_way.get(destination, 0), 1)

    def _grant(self, destination: str) -> None:
        waiting = self._waiting[destination]
        while waiting and self._has_room(destination):
            place = waiting.popleft()
            if not place.done():
                self._take(destination)
                place.set_result(None)
        if not waiting:
            del self._waiting[destination]

    def _has_room(self, destination: str) -> bool:
        free = self._slots - self._total
        return self._under_way.get(destination, 0) < max(1.0, GENEROSITY * free)

    def _take(self, destination: str) -> None:
        self._under_way[destination] += 1
        self._total += 1


class _Calls:
    """A destination's calls: those that run, when the last one ended, and how long one takes."""

    __slots__ = ("_numbers", "_running", "ended_at", "takes_s")

    def __init__(self) -> None:
        self._numbers = 0
        self._running: dict[int, float] = {}
        self.ended_at = float("-inf")
        self.takes_s = 0.0

    def begin(self, now: float) -> int:
        self._numbers += 1
        self._running[self._numbers] = now
        return self._numbers

    def end(self, number: int, begun: float, now: float) -> None:
        del self._running[number]
        self.ended_at = now
        self.takes_s += SMOOTHING * (now - begun - self.takes_s)

    def oldest(self) -> float:
        """When the longest running call began; never, when there is none."""
        return next(iter(self._running.values()), float("inf"))
