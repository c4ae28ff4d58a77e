"""Writes the audit: in the transaction of a change, right after a command, and failed sign-ins once a second."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, TypeVar

from filas.errors import StoreUnavailable
from filas.models.access import NewAuditEntry
from filas.observability.logs import get_logger
from filas.periodic import periodic
from filas.repository.access.audit import AuditRepository
from filas.repository.postgres.database import Database
from filas.repository.postgres.joined_transaction import in_transaction
from ingest.access.sign_in_failures import FailedSignIns

log = get_logger(__name__)

WRITE_EVERY_S: Final = 1.0
CLOSE_S: Final = 1.0
MAX_WAITING: Final = 1000
"""How many entries wait in memory while Postgres is unavailable. A command that needs only Redis works then."""

T = TypeVar("T")


class AuditLog:
    """The audit of one process. `run` must be running; `close` writes the last entries."""

    def __init__(self, database: Database, failed_sign_ins: FailedSignIns) -> None:
        self._database = database
        self._store = AuditRepository(database)
        self._failed_sign_ins = failed_sign_ins
        self._waiting: deque[tuple[NewAuditEntry, datetime]] = deque()

    async def write_with(self, subject: str, change: Callable[[], Awaitable[tuple[T, NewAuditEntry | None]]]) -> T:
        """Runs `change` and stores the entry that it returns, in one transaction that holds the lock of the subject.

        `change` returns its result and the entry, None if it has changed nothing. See `in_transaction` for what it may
        do. Raises what it raises, and StoreUnavailable; then nothing is changed.
        """

        async def work() -> T:
            await self._store.lock(subject)
            result, entry = await change()
            if entry is not None:
                await self._store.insert(entry)
            return result

        return await in_transaction(self._database, work)

    async def add(self, entry: NewAuditEntry) -> None:
        """Stores the entry of a command that was carried out. While Postgres is unavailable, it waits in memory."""
        if self._waiting:
            self._wait(entry)
            return
        try:
            await self._store.insert(entry)
        except StoreUnavailable:
            self._wait(entry)
        except Exception as error:  # the command was carried out, and its answer must say so
            log.error("audit.not_recorded", action=entry.action, who=entry.who, exc_info=error)

    def add_later(self, entry: NewAuditEntry) -> None:
        """Stores the entry within about a second, so that the caller does not wait for Postgres."""
        self._wait(entry)

    def _wait(self, entry: NewAuditEntry) -> None:
        if len(self._waiting) >= MAX_WAITING:
            log.error("audit.not_recorded", action=entry.action, who=entry.who, reason="too many entries wait")
            return
        self._waiting.append((entry, datetime.now(UTC)))

    async def run(self) -> None:
        """Stores what waits, until cancelled."""
        await periodic("write-audit", self._write, WRITE_EVERY_S, on_error="log")

    async def close(self) -> None:
        """Stores what waits, within a second."""
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._write()

    async def _write(self) -> None:
        while self._waiting:
            entry, at = self._waiting[0]
            await self._store.insert(entry, at)
            self._waiting.popleft()
        failures = self._failed_sign_ins.unwritten()
        if failures:
            try:
                await self._store.add_failures(failures)
            except BaseException:
                self._failed_sign_ins.restore(failures)
                raise
