"""Faults of Postgres alone: connections, locks, and the failover to a restored backup."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from filas_local.launching import LocalRunError
from tests.chaos.archived_postgres import ArchivedPostgres
from tests.chaos.installation import Installation
from tests.chaos.schedule import Fault

LOCKED_TABLES: Final = ("events", "executions", "notifications")
LOOK_S: Final = 1.0
"""How often it is checked whether a new backup is needed."""


@asynccontextmanager
async def all_connections(installation: Installation) -> AsyncIterator[None]:
    """Sessions of others use every connection that is free now."""
    dsn = installation.postgres.dsn(installation.database)
    sessions: list[asyncpg.Connection[asyncpg.Record]] = []
    try:
        with contextlib.suppress(asyncpg.PostgresError):
            while True:
                sessions.append(await asyncpg.connect(dsn))
        yield
    finally:
        await asyncio.gather(*(one.close() for one in sessions), return_exceptions=True)


@asynccontextmanager
async def locked_tables(installation: Installation, _: Fault) -> AsyncIterator[None]:
    """A session that locks the busy tables against every write, as a careless migration does."""
    session = await asyncpg.connect(installation.postgres.dsn(installation.database))
    try:
        async with session.transaction():
            for table in LOCKED_TABLES:
                await session.execute(f"lock table {table} in share row exclusive mode")
            yield
    finally:
        await session.close()


@asynccontextmanager
async def failed_over(installation: Installation, _: Fault) -> AsyncIterator[None]:
    """The server is killed and its data directory is lost. After the block, a new server takes its address over. It has
    the backup and the log."""
    postgres = installation.postgres
    await asyncio.to_thread(postgres.kill_all)
    try:
        yield
    finally:
        await asyncio.to_thread(_restore, postgres)


def _restore(postgres: ArchivedPostgres) -> None:
    postgres.give_up_data()
    postgres.start()
    postgres.wait_promoted()


@asynccontextmanager
async def backed_up(postgres: ArchivedPostgres) -> AsyncIterator[None]:
    """There is a base backup before the block begins, and soon after each failover a new one."""
    await asyncio.to_thread(postgres.back_up)
    over = asyncio.Event()
    task = asyncio.create_task(_keep_backed_up(postgres, over))
    try:
        yield
    finally:
        over.set()
        await task


async def _keep_backed_up(postgres: ArchivedPostgres, over: asyncio.Event) -> None:
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), LOOK_S)
        if not over.is_set() and not postgres.is_backed_up and postgres.pid is not None:
            # A server that fails meanwhile breaks the backup off; the one before is still there.
            with contextlib.suppress(LocalRunError):
                await asyncio.to_thread(postgres.back_up)
