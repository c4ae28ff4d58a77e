"""The bulkhead: how many of this process's slots one channel may use, so that a slow channel delays only itself."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

SLOTS_PER_FREE_SLOT: Final = 1.0
"""How many slots a channel may use for each slot that is free.

With 100 slots and the value 1, one channel that never answers uses at most 50 slots, the next one 25, then 13, 6, 3.
Many such channels at a time are needed to use all slots, and after their first timeouts their circuits are open.
"""

SLOW_S: Final = 0.1
"""A channel is slow if its calls take longer than this, or if it has running calls and answered none for this long."""

CHECK_S: Final = 0.05
"""How often a waiting message checks whether its channel has become slow."""

SMOOTHING: Final = 0.1
"""The weight of each new call in the moving average of a channel's call time."""


class Bulkhead:
    """Counts the slots in use by each channel. `slots` is the number of slots of the process.

    A channel may use `SLOTS_PER_FREE_SLOT` times as many slots as are free (at least one). A message beyond that waits
    in its slot if the channel is quick, and is refused if the channel is slow. Only calls to the provider count as the
    channel's time, and the time of our own stores does not.
    """

    def __init__(self, slots: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._clock = clock
        self._in_use: dict[str, int] = defaultdict(int)
        self._total = 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._calls: dict[str, _Calls] = defaultdict(_Calls)

    async def acquire(self, channel_id: str) -> bool:
        """Takes a slot for the channel, which the caller must release. Returns False if the channel is over its limit
        and slow."""
        if self._has_room(channel_id):
            self._count(channel_id)
            return True
        if self.is_slow(channel_id):
            return False
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(channel_id, deque()).append(slot)
        try:
            while not slot.done() and not self.is_slow(channel_id):
                await asyncio.wait([slot], timeout=CHECK_S)
        except asyncio.CancelledError:
            if slot.done():
                self.release(channel_id)
            raise
        finally:
            # A cancelled future is passed over by the next release.
            granted = slot.done()
            slot.cancel()
        return granted

    def release(self, channel_id: str) -> None:
        """Releases a slot of the channel."""
        self._total -= 1
        self._in_use[channel_id] -= 1
        if not self._in_use[channel_id]:
            del self._in_use[channel_id]
        for other in list(self._waiting):
            self._grant(other)

    @contextmanager
    def measured_call(self, channel_id: str) -> Iterator[None]:
        """Measures the block, which is one call to the channel's provider."""
        calls, begun = self._calls[channel_id], self._clock()
        number = calls.begin(begun)
        try:
            yield
        finally:
            calls.end(number, begun, self._clock())

    def is_slow(self, channel_id: str) -> bool:
        """Whether the channel is slow (see SLOW_S)."""
        calls, now = self._calls[channel_id], self._clock()
        stalled = calls.oldest() < now - SLOW_S and calls.ended_at < now - SLOW_S
        return stalled or calls.average_s > SLOW_S

    def interval_s(self, channel_id: str) -> float:
        """Returns the seconds between two messages of the channel at its present speed."""
        return self._calls[channel_id].average_s / max(self._in_use.get(channel_id, 0), 1)

    def _grant(self, channel_id: str) -> None:
        waiting = self._waiting[channel_id]
        while waiting and self._has_room(channel_id):
            slot = waiting.popleft()
            if not slot.done():
                self._count(channel_id)
                slot.set_result(None)
        if not waiting:
            del self._waiting[channel_id]

    def _has_room(self, channel_id: str) -> bool:
        free = self._slots - self._total
        return self._in_use.get(channel_id, 0) < max(1.0, SLOTS_PER_FREE_SLOT * free)

    def _count(self, channel_id: str) -> None:
        self._in_use[channel_id] += 1
        self._total += 1


class _Calls:
    """The calls of one channel: those that run, the end of the last one, and the average time of a call."""

    __slots__ = ("_numbers", "_running", "average_s", "ended_at")

    def __init__(self) -> None:
        self._numbers = 0
        self._running: dict[int, float] = {}
        self.ended_at = float("-inf")
        self.average_s = 0.0

    def begin(self, now: float) -> int:
        self._numbers += 1
        self._running[self._numbers] = now
        return self._numbers

    def end(self, number: int, begun: float, now: float) -> None:
        del self._running[number]
        self.ended_at = now
        self.average_s += SMOOTHING * (now - begun - self.average_s)

    def oldest(self) -> float:
        """Returns the start of the oldest running call, or infinity if none runs."""
        return next(iter(self._running.values()), float("inf"))
