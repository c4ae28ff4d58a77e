"""Faults of the stores."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from filas_local.servers import PostgresServer, RedisServer
from tests.chaos.installation import Installation, Maker
from tests.chaos.schedule import Fault
from tests.freezing import frozen

LOCKED_TABLES: Final = ("events", "executions", "notifications")


@asynccontextmanager
async def _killed(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    server = _server(installation, fault)
    await asyncio.to_thread(server.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)


@asynccontextmanager
async def _stalled(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    with frozen(_server(installation, fault)):
        yield


@asynccontextmanager
async def _flushed(installation: Installation, _: Fault) -> AsyncIterator[None]:
    await asyncio.to_thread(installation.redis.execute, "FLUSHALL")
    yield


@asynccontextmanager
async def _full(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    if fault.target == "postgres":
        async with _all_connections(installation):
            yield
        return
    await asyncio.to_thread(installation.redis.execute, "CONFIG SET maxmemory 1mb")
    try:
        yield
    finally:
        await asyncio.to_thread(installation.redis.execute, "CONFIG SET maxmemory 0")


@asynccontextmanager
async def _all_connections(installation: Installation) -> AsyncIterator[None]:
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
async def _locked_tables(installation: Installation, _: Fault) -> AsyncIterator[None]:
    """A session that locks the busy tables against every write, as a careless migration does."""
    session = await asyncpg.connect(installation.postgres.dsn(installation.database))
    try:
        async with session.transaction():
            for table in LOCKED_TABLES:
                await session.execute(f"lock table {table} in share row exclusive mode")
            yield
    finally:
        await session.close()


def _server(installation: Installation, fault: Fault) -> RedisServer | PostgresServer:
    return installation.redis if fault.target == "redis" else installation.postgres


STORE_FAULTS: Final[Mapping[str, Maker]] = {
    "store-kill": _killed,
    "store-stall": _stalled,
    "store-full": _full,
    "redis-flush": _flushed,
    "postgres-lock": _locked_tables,
}
"""How each kind is made."""
