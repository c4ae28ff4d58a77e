"""An HTTP receiver on this machine. The test sets its behaviour, and it records what it received."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from filas.service.private_listener import serve_app

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Received:
    """One request: its path, its headers with lower-case names, its raw body."""

    headers: dict[str, str]
    body: bytes
    path: str = ""

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """`behaviour` answers each request. A test can replace it."""

    url: str
    behaviour: Behaviour
    received: list[Received] = field(default_factory=list)

    def keys(self) -> list[str]:
        """The idempotency key of each request, in the order of arrival."""
        return [request.headers["idempotency-key"] for request in self.received]


def answer(status: int, headers: dict[str, str] | None = None) -> Behaviour:
    """Answers every request with `status`."""

    async def behave(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    return behave


async def never(_request: web.Request) -> web.StreamResponse:
    """Takes the request and never answers."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


class Flood:
    """Answers 200 with a gigabyte, as far as it is taken; `pieces` of a megabyte have been."""

    PIECES = 1024

    def __init__(self) -> None:
        self.pieces = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        piece = b"0" * 1024 * 1024
        while self.pieces < self.PIECES:
            await response.write(piece)
            self.pieces += 1
        return response


async def reset(request: web.Request) -> web.StreamResponse:
    """Takes the request and breaks the connection."""
    assert request.transport is not None
    request.transport.abort()
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


@asynccontextmanager
async def raw_receiver(*pieces: bytes, endless: bool = False) -> AsyncIterator[str]:
    """Its address while the block runs. It answers each request with these bytes, whatever they are, and hangs up;
    with `endless` the last piece comes again and again, for as long as it is taken."""
    connections: set[asyncio.StreamWriter] = set()

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.writelines(pieces)
            while endless:
                writer.write(pieces[-1])
                await writer.drain()
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in connections:
            writer.transport.abort()


@asynccontextmanager
async def receiver(behaviour: Behaviour) -> AsyncIterator[Receiver]:
    """Serves on a port of its own while the block runs."""
    app = web.Application()

    async def take(request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        this.received.append(Received(headers, await request.read(), request.path))
        return await this.behaviour(request)

    app.router.add_route("*", "/{path:.*}", take)
    async with serve_app(app, "127.0.0.1", 0, shutdown_s=0.1) as port:
        this = Receiver(f"http://127.0.0.1:{port}", behaviour)
        yield this
