"""Records how many duplicates of each event were received: counted in memory, written in the background once a second.

A sender that repeats one request a thousand times a second costs one row and one write a second.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID

from filas.errors import StoreUnavailable
from filas.models.events import SeenDuplicates
from filas.observability.logs import get_logger

log = get_logger(__name__)

MAX_EVENTS: Final = 10_000
"""Of how many events duplicates are counted while Postgres is unavailable. Those of further events are not counted."""

MAX_BATCH: Final = 500
PAUSE_S: Final = 1.0
RETRY_S: Final = 5.0
CLOSE_S: Final = 1.0


class DuplicateStore(Protocol):
    """The table of duplicates (`EventDuplicateRepository`)."""

    async def add_many(self, seen: Sequence[SeenDuplicates]) -> None:
        """Adds duplicates to those that are stored. Raises StoreUnavailable."""


@dataclass(slots=True)
class _Counted:
    first_at: datetime
    last_at: datetime
    count: int = 0
    conflicts: int = 0


class DuplicateRecorder:
    """Counts duplicates until they are stored. `run()` must be running; `close()` stores the last ones."""

    def __init__(self, store: DuplicateStore) -> None:
        self._store = store
        self._counted: dict[UUID, _Counted] = {}
        self._has_counted = asyncio.Event()

    def add(self, event_id: UUID, *, conflict: bool) -> None:
        """Counts a duplicate of the event, received now. `conflict`: it has another content."""
        now = datetime.now(UTC)
        counted = self._counted.get(event_id)
        if counted is None:
            if len(self._counted) >= MAX_EVENTS:
                return
            counted = self._counted[event_id] = _Counted(now, now)
            self._has_counted.set()
        counted.count += 1
        counted.conflicts += conflict
        counted.last_at = now

    async def run(self) -> None:
        """Stores what was counted, until cancelled."""
        while True:
            await self._has_counted.wait()
            await asyncio.sleep(PAUSE_S)
            try:
                await self._write_all()
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
            except Exception as error:  # the requests were answered
                log.error("duplicates.not_recorded", exc_info=error)
                await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """Stores what was counted, within a second."""
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._write_all()

    async def _write_all(self) -> None:
        while self._counted:
            batch = {event_id: self._counted.pop(event_id) for event_id in list(self._counted)[:MAX_BATCH]}
            try:
                await self._store.add_many([_seen(event_id, one) for event_id, one in batch.items()])
            except (StoreUnavailable, asyncio.CancelledError):
                self._restore(batch)
                raise
        self._has_counted.clear()

    def _restore(self, batch: dict[UUID, _Counted]) -> None:
        """Adds what could not be stored to what was counted meanwhile."""
        for event_id, one in batch.items():
            newer = self._counted.get(event_id)
            if newer is not None:
                one.count += newer.count
                one.conflicts += newer.conflicts
                one.last_at = newer.last_at
            self._counted[event_id] = one


def _seen(event_id: UUID, counted: _Counted) -> SeenDuplicates:
    return SeenDuplicates(
        event_id=event_id,
        count=counted.count,
        conflicts=counted.conflicts,
        first_at=counted.first_at,
        last_at=counted.last_at,
    )
