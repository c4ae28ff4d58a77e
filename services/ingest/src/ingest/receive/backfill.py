"""The write-behind backfill: writes events that were accepted while Postgres was unavailable.

The events' jobs have the same content, and the worker that processes a job writes the row too. A job may wait in its
queue for long, and until then only Redis has the event.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, Protocol

from filas.batching import in_chunks
from filas.errors import StoreBusy, StoreUnavailable
from filas.models.events import EventReceipt, NewEvent
from filas.observability.logs import get_logger

log = get_logger(__name__)

MAX_BYTES: Final = 32 * 1024 * 1024
"""How many bytes of bodies are kept. Beyond, the oldest events are left to their jobs."""

MAX_BATCH: Final = 500
PAUSE_S: Final = 0.5
DRAIN_S: Final = 5.0
"""How long a process that stops waits for Postgres to take the events."""


class EventStore(Protocol):
    """Where events are written."""

    async def insert_many(self, events: Sequence[NewEvent]) -> Sequence[EventReceipt | Exception]:
        """Writes the events that have no row yet. Raises StoreUnavailable."""

    async def wait_ready(self, timeout_s: float) -> None:
        """Waits until events can be written. Raises StoreUnavailable."""


class EventBackfill:
    """Keeps events in memory until Postgres is available, and writes them. `run()` must be running."""

    def __init__(self, events: EventStore) -> None:
        self._events = events
        self._waiting: deque[NewEvent] = deque()
        self._bytes = 0
        self._has_events = asyncio.Event()
        self._all_written = asyncio.Event()
        self._all_written.set()
        self.on_written: Callable[[], None] | None = None
        """Called after events were written."""

    def add(self, event: NewEvent) -> None:
        """Keeps the event until it is written."""
        self._waiting.append(event)
        self._bytes += len(event.body)
        while self._bytes > MAX_BYTES:
            self._bytes -= len(self._waiting.popleft().body)
        self._has_events.set()
        self._all_written.clear()

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Waits until all events are written, at most `timeout_s` seconds. This process ends, and an event that only
        Redis has is lost with Redis."""
        try:
            await asyncio.wait_for(self._all_written.wait(), timeout_s)
        except TimeoutError:
            log.warning("backfill.left_to_jobs", events=len(self._waiting))

    async def run(self) -> None:
        """Writes the events that are kept, until cancelled."""
        while True:
            await self._has_events.wait()
            try:
                await self._events.wait_ready(PAUSE_S)
                await self._write()
            except StoreUnavailable:
                await asyncio.sleep(PAUSE_S)
            except Exception as error:  # the jobs have the same content
                log.error("backfill.failed", exc_info=error)
                await asyncio.sleep(PAUSE_S)

    async def _write(self) -> None:
        written = 0
        while self._waiting:
            first = list(islice(self._waiting, MAX_BATCH))
            batch = next(in_chunks(first, _size, limit=MAX_BATCH))
            del first
            for _ in batch:
                self._waiting.popleft()
            try:
                answers = await self._events.insert_many(batch)
            except StoreUnavailable:
                self._waiting.extendleft(reversed(batch))
                raise
            left = [one for one, answer in zip(batch, answers, strict=True) if isinstance(answer, StoreBusy)]
            self._bytes -= sum(map(_size, batch)) - sum(map(_size, left))
            written += len(batch) - len(left)
            if left:
                self._waiting.extendleft(reversed(left))
                raise StoreBusy("locked", "another session holds a lock on the events")
            if self.on_written is not None:
                self.on_written()
        self._has_events.clear()
        self._all_written.set()
        log.info("backfill.written", events=written)


def _size(event: NewEvent) -> int:
    return len(event.body)
