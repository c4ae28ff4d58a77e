"""Brings a database to the schema that this code needs.

Migrations are the numbered `.sql` files of `migrations/`: `0002_name.pre.sql` must run before the code that
needs it, `0002_name.post.sql` after the last process of the older code has gone (a dropped column, say). Code
requires the newest `pre` one, and runs with or without the `post` ones. pogo-core reads and records them;
it is imported only when something is to be migrated, so that a service stays small.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import asyncpg

Phase = Literal["pre", "all"]

MIGRATIONS = Path(__file__).parent / "migrations"

_NAME = re.compile(r"(?P<number>\d{4})_\w+\.(?P<phase>pre|post)")

# Any number will do, as long as nothing else of the database uses it: "filas" in ASCII.
_LOCK = 0x66696C6173
_LOCK_POLL_S = 0.1

_TRY_LOCK = "select pg_try_advisory_lock($1)"
_UNLOCK = "select pg_advisory_unlock($1)"
_HAS_RECORD = "select to_regclass('public._pogo_migration') is not null"
_APPLIED = "select migration_id from public._pogo_migration where schema_name = 'public'"


def required_version() -> int:
    """The number of the newest `pre` migration: what a database must have for this code to run."""
    return max(_number(path.stem, "pre") for path in MIGRATIONS.glob("*.sql"))


async def current_version(connection: asyncpg.Connection) -> int:
    """The number of the newest `pre` migration that the database has had, 0 if none."""
    if not await connection.fetchval(_HAS_RECORD):
        return 0
    rows = await connection.fetch(_APPLIED)
    return max((_number(row["migration_id"], "pre") for row in rows), default=0)


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
async def _alone(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Hold the lock that only one migrating session has.

    Polled, not waited for: a waiting statement holds a snapshot, for which `create index concurrently` in
    the session that has the lock would wait in turn, for ever.
    """
    while not await connection.fetchval(_TRY_LOCK, _LOCK):
        await asyncio.sleep(_LOCK_POLL_S)
    try:
        yield
    finally:
        await connection.execute(_UNLOCK, _LOCK)


async def _apply(connection: asyncpg.Connection, phase: Phase) -> None:
    from pogo_core.migration import topological_sort
    from pogo_core.util import migrate as pogo
    from pogo_core.util import sql

    await sql.ensure_pogo_sync(connection)
    found = await sql.read_migrations(MIGRATIONS, connection, schema_name="public")
    for migration in topological_sort([one.load() for one in sorted(found, key=lambda one: one.id)]):
        if migration.applied or (phase == "pre" and not _number(migration.id, "pre")):
            continue
        async with pogo.transaction(connection, migration):
            await migration.apply(connection)
            await sql.migration_applied(connection, migration.id, migration.hash, schema_name="public")


def _number(migration_id: str, phase: str) -> int:
    """The number of a migration of that phase; 0 for one of the other."""
    match = _NAME.fullmatch(migration_id)
    return int(match["number"]) if match and match["phase"] == phase else 0
