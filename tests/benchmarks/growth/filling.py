"""Fills a database in chunks. It may stop after each chunk and continue later, in another process."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, TypeAlias

import asyncpg

from filas.repository import migrate
from filas.repository.analytics.rollup_sources import SOURCES
from filas_local.servers import PostgresServer
from tests.benchmarks.growth.rows import SKIP_HISTORY, TABLES

DATABASE: Final = "filas"
CHUNK: Final = 50_000
FIRST_ID: Final = "00000000-0000-0000-0000-000000000000"

Connection: TypeAlias = "asyncpg.Connection[Any]"

PROGRESS: Final = """
create table growth_progress (step text primary key, place serial, statement text, next bigint not null default 0);
create table growth_of (events bigint not null, newest timestamptz not null default now())"""
IS_STARTED: Final = "select to_regclass('growth_progress') is not null"
IS_MIGRATED: Final = "select to_regclass('events') is not null"
CONSTRAINTS: Final = """
select conname as name, format('alter table %s drop constraint %I', conrelid::regclass, conname) as dropped,
    format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as made
from pg_constraint where contype in ('p', 'u') and conrelid = $1::regclass"""
INDEXES: Final = """
select indexrelid::regclass::text as name, format('drop index %s', indexrelid::regclass) as dropped,
    pg_get_indexdef(indexrelid) as made
from pg_index where indrelid = $1::regclass"""
ADD_STEP: Final = "insert into growth_progress (step, statement) values ($1, $2)"
NEXT_STEP: Final = "select step, statement, next from growth_progress order by place limit 1"


class Filling:
    """The filling of one database with the rows of `events` events."""

    def __init__(self, server: PostgresServer, events: int) -> None:
        self._server = server
        self._events = events

    async def run(self, within_s: float) -> bool:
        """Fills for about `within_s` seconds. Returns whether everything is filled. Does nothing if it is."""
        until = time.monotonic() + within_s
        self._server.ensure_database(DATABASE)
        connection = await asyncpg.connect(self._server.dsn(DATABASE))
        try:
            if not await connection.fetchval(IS_MIGRATED):
                await migrate.migrate(self._server.dsn(DATABASE))
                await self._begin(connection)
            if not await connection.fetchval(IS_STARTED):
                # It may have been filled by an older version.
                await migrate.migrate(self._server.dsn(DATABASE))
                return True
            await connection.execute("set synchronous_commit = off; set maintenance_work_mem = '512MB'")
            while (step := await connection.fetchrow(NEXT_STEP)) is not None:
                if time.monotonic() >= until:
                    return False
                await self._run_step(connection, step)
            await connection.execute("drop table growth_progress, growth_of")
        finally:
            await connection.close()
        return True

    async def _begin(self, connection: Connection) -> None:
        """Drops the indexes: making them afterwards takes a fraction of the time."""
        async with connection.transaction():
            await connection.execute(PROGRESS)
            await connection.execute("insert into growth_of (events) values ($1)", self._events)
            for table in TABLES:
                await connection.execute(ADD_STEP, table, None)
            for table in TABLES:
                # An index of a constraint is dropped with it.
                for kind in (CONSTRAINTS, INDEXES):
                    for one in await connection.fetch(kind, table):
                        await connection.execute(one["dropped"])
                        await connection.execute(ADD_STEP, one["name"], one["made"])
            for table in TABLES:
                await connection.execute(ADD_STEP, f"vacuum {table}", f"vacuum (analyze) {table}")
            await connection.execute(SKIP_HISTORY[0], [source.name for source in SOURCES])
            await connection.execute(SKIP_HISTORY[1], FIRST_ID)

    async def _run_step(self, connection: Connection, step: asyncpg.Record) -> None:
        if step["statement"] is not None:
            await connection.execute(step["statement"])
            await connection.execute("delete from growth_progress where step = $1", step["step"])
            return
        newest = await connection.fetchval("select newest from growth_of")
        end = min(step["next"] + CHUNK, self._events)
        async with connection.transaction():
            await connection.execute(TABLES[step["step"]], step["next"], end, self._events, newest)
            if end < self._events:
                await connection.execute("update growth_progress set next = $2 where step = $1", step["step"], end)
            else:
                await connection.execute("delete from growth_progress where step = $1", step["step"])


def fill(server: PostgresServer, events: int, within_s: float) -> bool:
    """Fills the running server for about `within_s` seconds. Returns whether everything is filled."""
    server.execute("alter system set max_wal_size = '4GB'", "select pg_reload_conf()")
    try:
        return asyncio.run(Filling(server, events).run(within_s))
    finally:
        server.execute("alter system reset all", "select pg_reload_conf()")
