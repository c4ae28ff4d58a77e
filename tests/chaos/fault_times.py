"""When each fault of a run really began and ended."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.chaos.schedule import STORE_PAUSE_S, Fault


class FaultTimes:
    """Keeps the rules of the schedule although a store may need longer than planned until it works again.

    `made` has each fault with its real times. `began` is the run's beginning by the monotonic clock, in seconds.
    `sentinels`: whether they watch Redis.
    """

    def __init__(self, began: float, *, sentinels: bool = False, pause_s: float = STORE_PAUSE_S) -> None:
        self._began = began
        self._sentinels = sentinels
        self._pause_s = pause_s
        self._one_store = asyncio.Lock()
        self._last: Fault | None = None
        self.made: list[Fault] = []

    @asynccontextmanager
    async def recorded(self, fault: Fault) -> AsyncIterator[None]:
        """Begins when the fault may begin, and records when the block begins and ends. Faults of stores wait until the
        one before is over; if that was of the other store, they wait for the pause too."""
        if fault.store is None:
            async with self._recorded(fault):
                yield
            return
        async with self._one_store:
            if self._last is not None and self._last.store != fault.store:
                await asyncio.sleep(max(0.0, self._last.ends_s + self._pause_s - self._now()))
            async with self._recorded(fault):
                yield

    @asynccontextmanager
    async def _recorded(self, fault: Fault) -> AsyncIterator[None]:
        at_s = self._now()
        try:
            yield
        finally:
            may_promote = self._sentinels and fault.target == "redis" and fault.kind in ("store-kill", "store-stall")
            made = replace(fault, at_s=at_s, lasts_s=self._now() - at_s, may_promote=may_promote)
            self.made.append(made)
            if made.store is not None:
                self._last = made

    def _now(self) -> float:
        return time.monotonic() - self._began
