"""Runs one migration such that no other session waits for it longer than two seconds.

A statement that waits for a table lock also delays every later statement on that table. Therefore:

- A migration runs in one transaction that ends within `MAX_TRANSACTION_S`, or is rolled back and run again after a
  pause. In the pause, the other sessions continue.
- A migration whose file contains `-- transaction: false` has only statements that let others read and write the table
  while they run, and that may be run again (`_CONCURRENT`). They may take hours.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import asyncpg
from pogo_core.error import BadMigrationError
from pogo_core.migration import read_sql_migration, strip_comments

from filas.backoff import exponential
from filas.errors import FilasError
from filas.repository.postgres.lock_watch import LockWait, LockWatch

MAX_TRANSACTION_S: Final = 2.0
LOCK_TIMEOUT_S: Final = 1.5
"""More than a second: then Postgres cancels an autovacuum that holds the lock. Less than the whole transaction."""

FURTHER_LOCK_TIMEOUT_S: Final = 0.5
"""The limit while the transaction holds locks already. It is shorter than the second after which Postgres looks for
deadlocks, so that the migration gives up and not a statement of a service."""

MAX_ATTEMPTS: Final = 40
PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 10.0
"""The pauses are 1, 2, 4, 8, 10, 10, … s: 40 attempts take about seven minutes."""

CONCURRENT_LOCK_TIMEOUT_S: Final = 600.0
REPORT_EVERY_S: Final = 10.0

# The transaction of a migrating process that is frozen must end too.
_BEGIN = f"set local idle_in_transaction_session_timeout = {int(MAX_TRANSACTION_S * 1000)}"
_LIMITS = "select set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)"
_LONG_LIMIT = f"set lock_timeout = {int(CONCURRENT_LOCK_TIMEOUT_S * 1000)}"
_RECORD = (
    "insert into public._pogo_migration (migration_hash, migration_id, schema_name, applied)"
    " values ($1, $2, 'public', now())"
)
_INDEX_IS_VALID = "select indisvalid and indisready from pg_index where indexrelid = to_regclass($1)"

_CREATE_INDEX = re.compile(
    r"create\s+(?:unique\s+)?index\s+concurrently\s+(?:if\s+not\s+exists\s+)?(?P<name>\w+)\s", re.I
)
_CONCURRENT = re.compile(
    _CREATE_INDEX.pattern
    + r"|drop\s+index\s+concurrently\s+if\s+exists\s|alter\s+table\s+\w+\s+validate\s+constraint\s",
    re.I,
)

_RUN_AGAIN: Final = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.DeadlockDetectedError)

Report = Callable[[str], None]


class MigrationBlocked(FilasError):
    """In every attempt, other sessions held locks that a migration needs. The message names them and the table."""


class MigrationRun:
    """Applies migrations over `connection`. `watch` watches its session. `report` receives lines about long waits.

    With `limited=False`, the time of a transaction is not limited: the database is new, and no process uses it.
    """

    def __init__(
        self, connection: asyncpg.Connection[Any], watch: LockWatch, *, report: Report, limited: bool = True
    ) -> None:
        self._connection = connection
        self._watch = watch
        self._report = report
        self._limited = limited
        self._wait: LockWait | None = None

    async def apply(self, migration_id: str, migration_hash: str, path: Path) -> None:
        """Applies the migration in the file `path` and records it.

        Raises MigrationBlocked if a lock is held for too long, BadMigrationError for a statement that may not run
        outside of a transaction, and the driver's error for a statement that fails.
        """
        _, _, _, _, in_transaction, found, _ = read_sql_migration(path)
        statements = [statement for one in found if (statement := strip_comments(one).strip())]
        record = (migration_hash, migration_id)
        if in_transaction:
            await self._apply_with_retries(migration_id, statements, record)
        else:
            check_concurrent(migration_id, statements)
            await self._apply_concurrently(migration_id, statements)
            await self._connection.execute(_RECORD, *record)

    async def _apply_with_retries(self, migration_id: str, statements: list[str], record: tuple[str, str]) -> None:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            self._wait = None
            try:
                async with self._watch.watching(self._note):
                    await self._apply_in_transaction(statements, record)
                return
            except _RUN_AGAIN as error:
                reason = self._reason(error)
            if attempt < MAX_ATTEMPTS:
                pause_s = exponential(attempt, base_s=PAUSE_S, cap_s=MAX_PAUSE_S)
                self._report(
                    f"{migration_id} {reason}; attempt {attempt} was rolled back, the next is in {pause_s:g} s"
                )
                await asyncio.sleep(pause_s)
        raise MigrationBlocked(f"{migration_id} {reason}; all {MAX_ATTEMPTS} attempts were rolled back")

    async def _apply_in_transaction(self, statements: list[str], record: tuple[str, str]) -> None:
        deadline = time.monotonic() + MAX_TRANSACTION_S
        async with self._connection.transaction():
            if self._limited:
                await self._connection.execute(_BEGIN)
            for number, statement in enumerate(statements):
                if self._limited:
                    lock_timeout_s = FURTHER_LOCK_TIMEOUT_S if number else LOCK_TIMEOUT_S
                    await self._limit(deadline - time.monotonic(), lock_timeout_s)
                await self._connection.execute(statement)
            await self._connection.execute(_RECORD, *record)

    async def _limit(self, left_s: float, lock_timeout_s: float) -> None:
        left_ms = max(1, int(left_s * 1000))
        lock_ms = min(left_ms, int(lock_timeout_s * 1000))
        await self._connection.execute(_LIMITS, f"{lock_ms}ms", f"{left_ms}ms")

    async def _apply_concurrently(self, migration_id: str, statements: list[str]) -> None:
        await self._connection.execute(_LONG_LIMIT)
        for statement in statements:
            self._wait = None
            reported_at = time.monotonic()

            def note(wait: LockWait) -> None:
                nonlocal reported_at
                self._note(wait)
                if time.monotonic() - reported_at >= REPORT_EVERY_S:
                    reported_at = time.monotonic()
                    self._report(f"{migration_id} waits for {wait}; the services continue meanwhile")

            try:
                async with self._watch.watching(note):
                    await self._run_concurrently(statement)
            except asyncpg.LockNotAvailableError as error:
                raise MigrationBlocked(f"{migration_id} {self._reason(error)}") from None

    async def _run_concurrently(self, statement: str) -> None:
        """Runs a statement. A failed build leaves an invalid index that slows writes, so it is dropped."""
        created = _CREATE_INDEX.match(statement)
        if created is None:
            await self._connection.execute(statement)
            return
        if await self._connection.fetchval(_INDEX_IS_VALID, created["name"]):
            return
        await self._drop_index(created["name"])
        try:
            await self._connection.execute(statement)
        except asyncpg.PostgresError:
            await self._drop_index(created["name"])
            raise

    async def _drop_index(self, name: str) -> None:
        if await self._connection.fetchval(_INDEX_IS_VALID, name) is False:
            await self._connection.execute(f"drop index concurrently if exists {name}")

    def _note(self, wait: LockWait) -> None:
        self._wait = wait

    def _reason(self, error: asyncpg.PostgresError) -> str:
        if self._wait is not None:
            return f"waits for {self._wait}"
        if isinstance(error, asyncpg.QueryCanceledError):
            return f"takes longer than {MAX_TRANSACTION_S:g} s, for which it would hold its locks"
        return f"was refused: {error}"


def check_concurrent(migration_id: str, statements: list[str]) -> None:
    """Raises BadMigrationError if a statement must not run outside of a transaction: it could not be repeated."""
    for statement in statements:
        if not _CONCURRENT.match(statement):
            raise BadMigrationError(
                f"{migration_id}: a file with `-- transaction: false` may only contain `create index concurrently`,"
                f" `drop index concurrently if exists` and `validate constraint`, not: {statement.splitlines()[0]}"
            )
