"""Brings a database to the schema that this code needs (see `filas.repository.schema`).

pogo-core reads the migrations, `filas.repository.migration_runs` runs them. The services do not import this module, so
they do not load pogo-core.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Literal

import asyncpg
from pogo_core.migration import topological_sort
from pogo_core.util import sql

from filas.models.access import MIGRATE_DATABASE
from filas.repository import roles, schema
from filas.repository.access import audit
from filas.repository.migration_runs import REPORT_EVERY_S, MigrationRun, Report
from filas.repository.postgres.lock_watch import LockWatch

Phase = Literal["pre", "all"]

# Any number that no other program uses as a lock in the database. This one is "filas" in ASCII.
_LOCK: Final = 0x66696C6173
_LOCK_POLL_S: Final = 0.1

_TRY_LOCK = "select pg_try_advisory_lock($1)"
_UNLOCK = "select pg_advisory_unlock($1)"
_LOCK_HOLDER = """
select l.pid, nullif(a.application_name, '') as application
from pg_locks l left join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
    and l.database = (select oid from pg_database where datname = current_database())
    and l.classid::bigint << 32 | l.objid::bigint = $1
"""

# The user of the migrations may have time limits that would end a session while it waits or builds an index. Which of
# them exist depends on the version of Postgres.
_NO_LIMITS = """
select set_config(name, '0', false) from pg_settings
where name in ('statement_timeout', 'lock_timeout', 'transaction_timeout', 'idle_session_timeout',
    'idle_in_transaction_session_timeout')
"""


def _report_nothing(_line: str) -> None:
    """The default: the lines are not read."""


async def migrate(dsn: str, *, phase: Phase = "all", report: Report = _report_nothing) -> int:
    """Applies the missing migrations in order, each in a transaction of its own. Returns the version of the schema.

    `phase="pre"` applies no `post` migration. Any number of processes may call this at the same time: one applies the
    migrations, the others wait for it and find none missing. No other session waits longer than two seconds for a
    migration; `report` receives a line when a migration has to wait. If the database has the roles of
    `filas.repository.roles`, the tables belong to `filas_migrate`, and the other roles get their rights.

    Raises MigrationBlocked if waiting takes minutes, the driver's error if the database cannot be reached or a
    statement fails, and pogo_core's BadMigrationError for a migration that cannot be read.
    """
    connection = await asyncpg.connect(
        dsn, timeout=schema.CONNECT_TIMEOUT_S, server_settings={"application_name": "filas migrate"}
    )
    try:
        await connection.execute(_NO_LIMITS)
        async with _migration_lock(connection, report):
            await roles.act_as_owner(connection)
            before = await schema.current_version(connection)
            applied = await _apply(connection, dsn, phase, report)
            await roles.grant(connection)
            if applied and before:
                after = {"schema": await schema.current_version(connection), "applied": applied}
                await audit.record_command(connection, MIGRATE_DATABASE, "database", {"schema": before}, after)
        return await schema.current_version(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def _migration_lock(connection: asyncpg.Connection[Any], report: Report) -> AsyncIterator[None]:
    """Holds the lock that only one migrating session can hold.

    The lock is polled. A statement that waits for the lock would hold a snapshot, and `create index concurrently` in
    the session that holds the lock would wait for that snapshot: a deadlock.
    """
    reported_at = time.monotonic()
    while not await connection.fetchval(_TRY_LOCK, _LOCK):
        await asyncio.sleep(_LOCK_POLL_S)
        if time.monotonic() - reported_at >= REPORT_EVERY_S:
            reported_at = time.monotonic()
            holder = await connection.fetchrow(_LOCK_HOLDER, _LOCK)
            if holder:
                report(f"waits for another migration: pid {holder['pid']} ({holder['application']})")
    try:
        yield
    finally:
        # The end of a session releases its locks too. An error of a session that is lost would hide the cause.
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
            await connection.execute(_UNLOCK, _LOCK)


async def _apply(connection: asyncpg.Connection[Any], dsn: str, phase: Phase, report: Report) -> list[str]:
    """Returns the ids of the migrations that it has applied."""
    is_new = await schema.current_version(connection) == 0
    await sql.ensure_pogo_sync(connection)
    found = await sql.read_migrations(schema.MIGRATIONS, connection, schema_name="public")
    missing = [
        one
        for one in topological_sort([one.load() for one in sorted(found, key=lambda one: one.id)])
        if not one.applied and (phase == "all" or schema.pre_number(one.id))
    ]
    if not missing:
        return []
    async with LockWatch.open(dsn, connection.get_server_pid()) as watch:
        run = MigrationRun(connection, watch, report=report, limited=not is_new)
        for migration in missing:
            await run.apply(migration.id, migration.hash, migration.path)
    return [migration.id for migration in missing]
