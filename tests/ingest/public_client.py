"""A public listener without webhooks and stores, and raw requests to it."""

import asyncio
import contextlib
import functools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

import uvloop

from filas.service.private_listener import serve_connections
from ingest.http.answers import Answer
from ingest.http.body_reading import read_body
from ingest.http.error_answers import RejectedRequest
from ingest.http.listener import PublicListener
from ingest.http.request import Request
from tests.waiting import PATIENCE_S, eventually

P = ParamSpec("P")
T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

MAX_BODY = 100_000


def on_service_loop(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Runs the test on the event loop that the service uses, which is not that of pytest."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(test(*args, **kwargs))

    return run


@dataclass
class OpenListener:
    """A listener that accepts every body, and whose time limit for each client is a minute.

    `started`: the number of requests that it has begun to answer. `seen`: target and body of each request. `headers`:
    the headers of the same requests. `before_answer`: what each request awaits after its body has arrived.
    """

    port: int = 0
    started: int = 0
    seen: list[tuple[str, bytes]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    max_connections: int = 50
    body_budget: int = 1 << 20
    body_timeout_s: float = 60.0
    request_timeout_s: float = 60.0
    answer_timeout_s: float = 60.0
    is_shared: Callable[[str], bool] = lambda _address: False
    before_answer: Callable[[], Awaitable[object]] | None = None
    listener: PublicListener = field(init=False)

    def __post_init__(self) -> None:
        self.listener = PublicListener(
            self.answer,
            max_connections=self.max_connections,
            body_budget=self.body_budget,
            request_timeout_s=self.request_timeout_s,
            answer_timeout_s=self.answer_timeout_s,
            is_shared=self.is_shared,
        )

    async def answer(self, http: Request) -> Answer:
        """Returns 404 for `/cheap` at once; 200 with the body for any other path."""
        self.started += 1
        if http.target == "/cheap":
            self.seen.append((http.target, b""))
            return Answer(404, b"")
        try:
            body = await read_body(http, MAX_BODY, self.body_timeout_s)
        except RejectedRequest as rejection:
            return rejection.answer()
        self.seen.append((http.target, body))
        self.headers.append(http.headers)
        if self.before_answer is not None:
            await self.before_answer()
        return Answer(200, body)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Streams]:
        """Opens a connection to the listener."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def has_received(self, count: int) -> None:
        """Waits until the listener has received that number of bodies."""
        await eventually(lambda: len(self.seen) == count)

    async def all_closed(self) -> None:
        """Waits until the listener has no open connection."""
        await eventually(lambda: self.listener.open_connections == 0, message="a connection is left")


@contextlib.asynccontextmanager
async def open_listener(**options: Any) -> AsyncIterator[OpenListener]:
    """Runs a listener on a free port. `options` are fields of OpenListener."""
    public = OpenListener(**options)
    watching = asyncio.create_task(public.listener.watch())
    async with serve_connections(public.listener, "127.0.0.1", 0, shutdown_s=5) as public.port:
        yield public
    watching.cancel()


async def statuses(public: OpenListener, sent: bytes) -> list[int]:
    """Returns the statuses of all answers to these bytes, until the connection ends."""
    async with public.connection() as (reader, writer):
        writer.write(sent)
        writer.write_eof()
        answers = await asyncio.wait_for(reader.read(), PATIENCE_S)
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answers)]
