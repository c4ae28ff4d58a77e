"""Which destination may use how many of this process's handlers, so that one that is slow delays only itself."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable

GENEROSITY = 1.0
"""How many places a destination may have for each that is free.

With 100 handlers and this 1, one destination that never answers holds 50 at most, the next one 25, then 13, 6, 3: it
takes many of them at a time to leave nothing, and after their first time-outs their circuits are open.
"""

PATIENCE_S = 0.05
"""How long a message may wait here, in its handler, for others of its destination to end."""

STALLED_S = 0.1
"""A destination that uses its share and has ended nothing for so long isn't waited for at all."""


class FairShare:
    """Counts the messages under way to each destination. `slots`: how many handlers there are in all.

    A destination may have `GENEROSITY` times as many under way as are free in all (at least one).
    """

    def __init__(self, slots: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._clock = clock
        self._under_way: dict[str, int] = defaultdict(int)
        self._total = 0
        self._moved_at: dict[str, float] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def enter(self, destination: str) -> bool:
        """Take a place, which must be left again; False if the destination has its share and none gets free soon."""
        if self._has_room(destination):
            self._take(destination)
            return True
        if self._clock() - self._moved_at.get(destination, 0.0) > STALLED_S:
            return False
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(destination, deque()).append(place)
        try:
            await asyncio.wait([place], timeout=PATIENCE_S)
        except asyncio.CancelledError:
            if place.done():
                self.leave(destination)
            raise
        finally:
            # Too late: whoever leaves next passes it over.
            granted = place.done()
            place.cancel()
        return granted

    def leave(self, destination: str) -> None:
        """Give the place back."""
        self._total -= 1
        self._under_way[destination] -= 1
        self._moved_at[destination] = self._clock()
        if not self._under_way[destination]:
            del self._under_way[destination], self._moved_at[destination]
        for other in list(self._waiting):
            self._grant(other)

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
        if not self._under_way[destination]:
            self._moved_at[destination] = self._clock()
        self._under_way[destination] += 1
        self._total += 1
