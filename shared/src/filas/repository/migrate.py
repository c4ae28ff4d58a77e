"""Brings a database to the schema that this code needs (see `filas.repository.schema`).

pogo-core reads and records the migrations. The services do not import this module, so they do not load pogo-core.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

import asyncpg
from pogo_core.migration import topological_sort
from pogo_core.util import migrate as pogo
from pogo_core.util import sql

from filas.repository.schema import MIGRATIONS, current_version, pre_number

Phase = Literal["pre", "all"]

# Any number that no other program uses as a lock in the database. This one is "filas" in ASCII.
_LOCK: Final = 0x66696C6173
_LOCK_POLL_S: Final = 0.1

_TRY_LOCK = "select pg_try_advisory_lock($1)"
_UNLOCK = "select pg_advisory_unlock($1)"


async def migrate(dsn: str, *, phase: Phase = "all") -> int:
    """Applies the missing migrations in order, each in a transaction of its own. Returns the version of the schema.

    `phase="pre"` applies no `post` migration. Any number of processes may call this at the same time: one applies the
    migrations, the others wait for it and find none missing. Raises the driver's error if the database cannot be
    reached, and pogo_core's BadMigrationError for a migration that fails.
    """
    connection = await asyncpg.connect(dsn)
    try:
        async with _migration_lock(connection):
            await _apply(connection, phase)
        return await current_version(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def _migration_lock(connection: asyncpg.Connection[Any]) -> AsyncIterator[None]:
    """Holds the lock that only one migrating session can hold.

    The lock is polled. A statement that waits for the lock would hold a snapshot, and `create index concurrently` in
    the session that holds the lock would wait for that snapshot: a deadlock.
    """
    while True:
        if await connection.fetchval(_TRY_LOCK, _LOCK):
            break
        await asyncio.sleep(_LOCK_POLL_S)
    try:
        yield
    finally:
        await connection.execute(_UNLOCK, _LOCK)


async def _apply(connection: asyncpg.Connection[Any], phase: Phase) -> None:
    await sql.ensure_pogo_sync(connection)
    found = await sql.read_migrations(MIGRATIONS, connection, schema_name="public")
    for migration in topological_sort([one.load() for one in sorted(found, key=lambda one: one.id)]):
        if migration.applied or (phase == "pre" and not pre_number(migration.id)):
            continue
        async with pogo.transaction(connection, migration):
            await migration.apply(connection)
            await sql.migration_applied(connection, migration.id, migration.hash, schema_name="public")
