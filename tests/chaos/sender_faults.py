"""Hostile senders beside the contacts, from another address. Their connections and requests are bounded."""

import asyncio
import contextlib
import functools
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from tests.chaos.installation import Installation, Maker
from tests.chaos.schedule import Fault

Sender = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""What one connection does until it is cancelled, or closed by the other side."""

ADDRESS: Final = "127.0.0.2"
"""Where hostile senders come from. A system that has no such address uses that of the contacts."""

AGAIN_S: Final = 0.2
"""How long a sender waits before it connects again, or sends more."""

_HEAD: Final = b"POST /webhooks/order-messages-a HTTP/1.1\r\nHost: a\r\n"
_BOMB_BYTES: Final = 50 << 20


async def half_of_a_request(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends half of a body, and nothing more."""
    writer.write(_HEAD + b"Content-Length: 100000\r\n\r\n{")
    await asyncio.Event().wait()


async def no_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends what is no HTTP."""
    writer.write(b"\x16\x03\x01\x02\x00garbage\r\n\r\n")
    await reader.read()


async def endless_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends a body in chunks that never ends."""
    writer.write(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while not reader.at_eof():
        writer.write(b"400\r\n" + b" " * 0x400 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(AGAIN_S)


async def compressed_bomb(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends a small body that is large when it is decompressed."""
    body = _bomb()
    writer.write(_HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    await reader.read()


async def large_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends headers without end: 50 KB at a time."""
    writer.write(_HEAD)
    number = 0
    while not reader.at_eof():
        writer.write(b"".join(b"X-%d: %b\r\n" % (number + one, b"a" * 1000) for one in range(50)))
        number += 50
        await writer.drain()
        await asyncio.sleep(AGAIN_S)


async def slow_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends a head byte by byte."""
    for byte in _HEAD * 100:
        if reader.at_eof():
            return
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(AGAIN_S)


async def many_requests(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends small requests before the earlier ones were answered: 50 a second."""
    reading = asyncio.create_task(reader.read())
    try:
        while not reader.at_eof():
            writer.write(b"GET /webhooks/none HTTP/1.1\r\nHost: a\r\n\r\n" * 10)
            await writer.drain()
            await asyncio.sleep(AGAIN_S)
    finally:
        reading.cancel()


async def slow_reader(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends requests and reads no answer."""
    transport: asyncio.ReadTransport = writer.transport  # type: ignore[assignment] # a socket's transport is both
    transport.pause_reading()
    for _ in range(200):
        writer.write(b"GET /webhooks/none HTTP/1.1\r\nHost: a\r\n\r\n" * 10)
        await writer.drain()
        await asyncio.sleep(AGAIN_S)
    await asyncio.Event().wait()


_SENDERS: Final[Mapping[str, Mapping[Sender, int]]] = {
    "hostile-senders": {half_of_a_request: 150, no_request: 20},
    "hostile-bodies": {endless_body: 50, compressed_bomb: 5},
    "hostile-heads": {large_head: 5, slow_head: 50},
    "hostile-requests": {many_requests: 5, slow_reader: 5},
}
"""How many connections of which senders each kind has at a time."""


def _senders(counts: Mapping[Sender, int]) -> Maker:
    @asynccontextmanager
    async def make(installation: Installation, _fault: Fault) -> AsyncIterator[None]:
        port = installation.pipeline.port
        await asyncio.to_thread(_bomb)  # made once; it would hold up the links
        tasks = [asyncio.create_task(_send(port, sender)) for sender, count in counts.items() for _ in range(count)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return make


async def _send(port: int, sender: Sender) -> None:
    """Connects, and again as soon as the connection has ended."""
    while True:
        with contextlib.suppress(OSError):
            connection = socket.socket()
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(OSError):
                connection.bind((ADDRESS, 0))
            try:
                await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
            except OSError:
                connection.close()
                raise
            reader, writer = await asyncio.open_connection(sock=connection)
            try:
                await sender(reader, writer)
            finally:
                writer.transport.abort()
        await asyncio.sleep(AGAIN_S)


@functools.cache
def _bomb() -> bytes:
    return gzip.compress(b'{"id": "' + b"0" * _BOMB_BYTES + b'"}', compresslevel=1)


SENDER_FAULTS: Final[Mapping[str, Maker]] = {kind: _senders(counts) for kind, counts in _SENDERS.items()}
"""How each kind is made."""
