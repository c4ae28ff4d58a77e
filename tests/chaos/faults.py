"""Makes and ends the faults of a schedule."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from filas_local.servers import PostgresServer, RedisServer
from tests.chaos.links import Link, Mode
from tests.chaos.outside import Behaviour, Receiver
from tests.chaos.schedule import Fault
from tests.e2e.pipeline import Pipeline
from tests.freezing import frozen

LOCKED_TABLES: Final = ("events", "executions", "notifications")
HOSTILE_CONNECTIONS: Final = 200
_BEHAVIOURS: Final[dict[str, Behaviour]] = {
    "receiver-slow": "slow",
    "receiver-garbage": "garbage",
    "receiver-busy": "busy",
}


@dataclass(slots=True)
class Installation:
    """What faults can hit. `links` are by `process/other` (see `schedule.LINKS`)."""

    pipeline: Pipeline
    redis: RedisServer
    postgres: PostgresServer
    database: str
    links: Mapping[str, Link]
    receivers: Mapping[str, Receiver]

    @asynccontextmanager
    async def broken(self, fault: Fault) -> AsyncIterator[None]:
        """The fault lasts as long as the block."""
        family, _, what = fault.kind.partition("-")
        async with contextlib.AsyncExitStack() as stack:
            match family, what:
                case (("kill" | "stop" | "restart"), _):
                    await stack.enter_async_context(self._process(fault.kind, fault.target))
                case "link", mode:
                    modes: dict[str, Mode] = {"slow": "slow", "cut": "cut", "one-way": "one-way"}
                    stack.enter_context(_mode(self.links[fault.target], modes[mode]))
                case "receiver", "down":
                    stack.enter_context(_mode(self.links[f"outside/{fault.target}"], "cut"))
                case "receiver", _:
                    stack.enter_context(_behaviour(self.receivers[fault.target], _BEHAVIOURS[fault.kind]))
                case "hostile", _:
                    await stack.enter_async_context(_hostile_senders(self.pipeline.port))
                case _:
                    await stack.enter_async_context(self._store(fault))
            yield

    @asynccontextmanager
    async def _process(self, kind: str, name: str) -> AsyncIterator[None]:
        if kind == "stop":
            pid = self.pipeline.pids[name]
            os.kill(pid, signal.SIGSTOP)
            try:
                yield
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            return
        if kind == "kill":
            self.pipeline.kill(name)
        else:
            await asyncio.to_thread(self.pipeline.drain, name)
        try:
            yield
        finally:
            self.pipeline.start(name)

    @asynccontextmanager
    async def _store(self, fault: Fault) -> AsyncIterator[None]:
        server = self.redis if fault.target == "redis" else self.postgres
        if fault.kind == "store-kill":
            await asyncio.to_thread(server.kill)
            try:
                yield
            finally:
                await asyncio.to_thread(server.start)
        elif fault.kind == "store-stall":
            with frozen(server):
                yield
        elif fault.kind == "redis-flush":
            await asyncio.to_thread(self.redis.execute, "FLUSHALL")
            yield
        elif fault.kind == "store-full" and fault.target == "redis":
            await asyncio.to_thread(self.redis.execute, "CONFIG SET maxmemory 1mb")
            try:
                yield
            finally:
                await asyncio.to_thread(self.redis.execute, "CONFIG SET maxmemory 0")
        elif fault.kind == "store-full":
            async with self._all_connections():
                yield
        else:
            async with self._locked_tables():
                yield

    @asynccontextmanager
    async def _all_connections(self) -> AsyncIterator[None]:
        """Sessions of others use every connection that is free now."""
        dsn = self.postgres.dsn(self.database)
        sessions: list[asyncpg.Connection[asyncpg.Record]] = []
        try:
            with contextlib.suppress(asyncpg.PostgresError):
                while True:
                    sessions.append(await asyncpg.connect(dsn))
            yield
        finally:
            await asyncio.gather(*(one.close() for one in sessions), return_exceptions=True)

    @asynccontextmanager
    async def _locked_tables(self) -> AsyncIterator[None]:
        """A session that locks the busy tables against every write, as a careless migration does."""
        session = await asyncpg.connect(self.postgres.dsn(self.database))
        try:
            async with session.transaction():
                for table in LOCKED_TABLES:
                    await session.execute(f"lock table {table} in share row exclusive mode")
                yield
        finally:
            await session.close()


@contextlib.contextmanager
def _mode(link: Link, mode: Mode) -> Iterator[None]:
    link.set(mode)
    try:
        yield
    finally:
        link.set("open")


@contextlib.contextmanager
def _behaviour(receiver: Receiver, behaviour: Behaviour) -> Iterator[None]:
    receiver.behaviour = behaviour
    try:
        yield
    finally:
        receiver.behaviour = "well"


@asynccontextmanager
async def _hostile_senders(port: int) -> AsyncIterator[None]:
    """Connections that send half of a request and wait, and some that send what is no request."""
    writers: list[asyncio.StreamWriter] = []
    try:
        for number in range(HOSTILE_CONNECTIONS):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writers.append(writer)
                writer.write(_HALF if number % 4 else b"\x16\x03\x01\x02\x00garbage\r\n\r\n")
        yield
    finally:
        for writer in writers:
            writer.transport.abort()


_HALF: Final = b"POST /webhooks/order-messages-a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{"
