"""Brings a database to the schema that this code needs (`filas.repository.schema` says which that is).

pogo-core reads and records the migrations. Only what migrates imports this module, so that a service does
not carry the libraries that it needs.
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

# Any number will do that nothing else in the database uses: this one is "filas" in ASCII.
_LOCK: Final = 0x66696C6173
_LOCK_POLL_S: Final = 0.1

_TRY_LOCK = "select pg_try_advisory_lock($1)"
_UNLOCK = "select pg_advisory_unlock($1)"


async def migrate(dsn: str, *, phase: Phase = "all") -> int:
    """Apply what is missing, in order, each migration in a transaction of its own; give the version reached.

    `phase="pre"` leaves the `post` ones for later. Any number of processes may call this at once: one works,
    the others wait for it and then find nothing to do. Raises the driver's error if the database can't be
    reached, and pogo_core's BadMigrationError for a migration that fails.
    """
    connection = await asyncpg.connect(dsn)
    try:
        async with _alone(connection):
            await _apply(connection, phase)
        return await current_version(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def _alone(connection: asyncpg.Connection[Any]) -> AsyncIterator[None]:
    """Hold the lock that only one migrating session has.

    Polled, not waited for: a waiting statement holds a snapshot, for which `create index concurrently` in
    the session that has the lock would wait in turn, for ever.
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
