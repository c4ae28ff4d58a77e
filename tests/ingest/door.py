"""A listener for tests of what stands before every handler, on the loop that the service runs on."""

import asyncio
import contextlib
import functools
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

import uvloop

from filas.service.private_listener import serve_connections
from ingest.http.answers import Answer
from ingest.http.body_reading import read_body
from ingest.http.error_answers import Refusal
from ingest.http.listener import Listener
from ingest.http.request import Request
from tests.waiting import eventually

P = ParamSpec("P")
T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

MAX_BODY = 100_000


def on_its_loop(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """The test on the loop that the service runs on, which isn't pytest's."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(test(*args, **kwargs))

    return run


@dataclass
class Door:
    """A listener that takes every body, and gives everybody half a second. `asked`: how many requests it has begun to
    answer; `seen`: what it took, as target and body."""

    port: int = 0
    asked: int = 0
    seen: list[tuple[str, bytes]] = field(default_factory=list)
    listener: Listener = field(init=False)

    def __post_init__(self) -> None:
        self.listener = Listener(self.answer, max_connections=50, request_timeout_s=0.5, answer_timeout_s=0.5)

    async def answer(self, http: Request) -> Answer:
        """Nothing for `/cheap`, without a turn of the loop; 200 with the body for the rest."""
        self.asked += 1
        if http.target == "/cheap":
            self.seen.append((http.target, b""))
            return Answer(404, b"")
        try:
            body = await read_body(http, MAX_BODY, 0.5)
        except Refusal as refusal:
            return refusal.answer()
        self.seen.append((http.target, body))
        return Answer(200, body)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Streams]:
        """A connection to it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    def unsent(self) -> int:
        """How many bytes of answers wait for a caller to read."""
        transports = [connection.transport for connection in self.listener._open]
        return sum(transport.get_write_buffer_size() for transport in transports if transport is not None)

    async def has_taken(self, count: int) -> None:
        """Wait until it has taken so many bodies."""
        await eventually(lambda: len(self.seen) == count)

    async def all_gone(self) -> None:
        """Wait until it has no connection any more."""
        await eventually(lambda: self.listener.connections == 0, message="a connection is left")


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Door]:
    """A door."""
    door = Door()
    watching = asyncio.create_task(door.listener.watch())
    async with serve_connections(door.listener, "127.0.0.1", 0, shutdown_s=5) as door.port:
        yield door
    watching.cancel()


async def statuses(door: Door, sent: bytes) -> list[int]:
    """The statuses of all that is answered to these bytes, until the connection ends or is silent for a while."""
    async with door.connection() as (reader, writer):
        writer.write(sent)
        writer.write_eof()
        answers = await asyncio.wait_for(reader.read(), 10)
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answers)]
