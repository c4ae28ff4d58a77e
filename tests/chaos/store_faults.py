"""Faults of the stores."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from filas_local.launching import LocalRunError
from filas_local.servers import EmbeddedServer
from tests.chaos.installation import Installation, Maker
from tests.chaos.postgres_faults import all_connections, failed_over, locked_tables
from tests.chaos.redis_stores import WatchedRedis
from tests.chaos.schedule import Fault
from tests.freezing import frozen

LOOK_S: Final = 0.2
"""How often it is checked whether a server on a full disk still runs."""


@asynccontextmanager
async def _killed(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    server = _server(installation, fault)
    await asyncio.to_thread(server.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)
        await _whole(installation, fault)


@asynccontextmanager
async def _stalled(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    with frozen(_server(installation, fault)):
        yield
    await _whole(installation, fault)


@asynccontextmanager
async def _flushed(installation: Installation, _: Fault) -> AsyncIterator[None]:
    await asyncio.to_thread(installation.redis.execute, "FLUSHALL")
    yield


@asynccontextmanager
async def _full(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    if fault.target == "postgres":
        async with all_connections(installation):
            yield
        return
    redis = installation.redis
    await asyncio.to_thread(redis.execute, "CONFIG SET maxmemory 1")
    try:
        yield
    finally:
        await asyncio.to_thread(redis.execute, "CONFIG SET maxmemory 0")


@asynccontextmanager
async def _disk_full(installation: Installation, fault: Fault) -> AsyncIterator[None]:
    """A server that ends meanwhile is started again, as a supervisor does, until it stays."""
    server, disk = _server(installation, fault), installation.stores.disks[fault.target]
    room = asyncio.Event()
    await asyncio.to_thread(disk.fill)
    supervisor = asyncio.create_task(_supervise(server, room))
    try:
        yield
    finally:
        await asyncio.to_thread(disk.free)
        room.set()
        await supervisor
        if server.pid is None:
            await asyncio.to_thread(server.start)
        await _whole(installation, fault)


async def _supervise(server: EmbeddedServer, room: asyncio.Event) -> None:
    while not room.is_set():
        if server.pid is None:
            # It cannot start without room.
            with contextlib.suppress(LocalRunError):
                await asyncio.to_thread(server.start)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(room.wait(), LOOK_S)


@asynccontextmanager
async def _failed_over(installation: Installation, _: Fault) -> AsyncIterator[None]:
    """The master is killed. When its replica was promoted, and after the block, it comes back and becomes the
    replica."""
    redis = installation.stores.redis
    assert isinstance(redis, WatchedRedis)
    master = redis.current
    await asyncio.to_thread(master.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(redis.wait_promoted, master)
        await asyncio.to_thread(master.start)
        await asyncio.to_thread(redis.wait_whole)


async def _whole(installation: Installation, fault: Fault) -> None:
    """Returns when the store works again, with its replica if it has one."""
    redis = fault.target == "redis"
    await asyncio.to_thread(installation.stores.redis.wait_whole if redis else installation.postgres.wait_ready)


def _server(installation: Installation, fault: Fault) -> EmbeddedServer:
    return installation.redis if fault.target == "redis" else installation.postgres


STORE_FAULTS: Final[Mapping[str, Maker]] = {
    "store-kill": _killed,
    "store-stall": _stalled,
    "store-full": _full,
    "store-disk-full": _disk_full,
    "redis-flush": _flushed,
    "redis-failover": _failed_over,
    "postgres-lock": locked_tables,
    "postgres-failover": failed_over,
}
"""How each kind is made."""
