"""Hostile senders beside the contacts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from tests.chaos.installation import Installation, Maker
from tests.chaos.schedule import Fault

CONNECTIONS: Final = 200
_HALF: Final = b"POST /webhooks/order-messages-a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{"


@asynccontextmanager
async def _hostile_senders(installation: Installation, _fault: Fault) -> AsyncIterator[None]:
    """Connections that send half of a request and wait, and some that send what is no request."""
    writers: list[asyncio.StreamWriter] = []
    try:
        for number in range(CONNECTIONS):
            with contextlib.suppress(OSError):
                _reader, writer = await asyncio.open_connection("127.0.0.1", installation.pipeline.port)
                writers.append(writer)
                writer.write(_HALF if number % 4 else b"\x16\x03\x01\x02\x00garbage\r\n\r\n")
        yield
    finally:
        for writer in writers:
            writer.transport.abort()


SENDER_FAULTS: Final[Mapping[str, Maker]] = {"hostile-senders": _hostile_senders}
"""How each kind is made."""
