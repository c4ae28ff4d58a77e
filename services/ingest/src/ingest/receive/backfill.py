"""Rows of events that were accepted while Postgres was away, written as soon as it is back.

Their jobs hold the same, and whoever processes them writes the row too; but that may take its time behind a queue, and
until then Redis alone has the event.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from filas.errors import StoreUnavailable
from filas.models.events import EventReceipt, NewEvent
from filas.observability.logs import get_logger

log = get_logger(__name__)

MAX_BYTES: Final = 64 * 1024 * 1024
"""How much of the bodies is kept; beyond, the oldest are left to their jobs."""

MAX_BATCH: Final = 500
PAUSE_S: Final = 0.5


class EventStore(Protocol):
    """Where events are written."""

    async def insert_many(self, events: Sequence[NewEvent]) -> Sequence[EventReceipt | Exception]:
        """Write those that are not there. Raises StoreUnavailable."""

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until events can be written. Raises StoreUnavailable."""


class EventBackfill:
    """Keeps events and writes them. `run()` is to be kept running."""

    def __init__(self, events: EventStore) -> None:
        self._events = events
        self._waiting: deque[NewEvent] = deque()
        self._bytes = 0
        self._some = asyncio.Event()

    def add(self, event: NewEvent) -> None:
        """Write this one when it can be done."""
        self._waiting.append(event)
        self._bytes += len(event.body)
        while self._bytes > MAX_BYTES:
            self._bytes -= len(self._waiting.popleft().body)
        self._some.set()

    async def run(self) -> None:
        """Write what there is, until cancelled."""
        while True:
            await self._some.wait()
            try:
                await self._events.wait_ready(PAUSE_S)
                await self._write()
            except StoreUnavailable:
                await asyncio.sleep(PAUSE_S)
            except Exception as error:  # the jobs hold them all the same
                log.error("events.late_failed", exc_info=error)
                await asyncio.sleep(PAUSE_S)

    async def _write(self) -> None:
        written = 0
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
            try:
                await self._events.insert_many(batch)
            except StoreUnavailable:
                self._waiting.extendleft(reversed(batch))
                raise
            self._bytes -= sum(len(event.body) for event in batch)
            written += len(batch)
        self._some.clear()
        log.info("events.recorded_late", events=written)
