"""Each kind of hostile sender sends what its name means, from its own address, with a bounded number of connections."""

import asyncio
import gzip
import sys
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest

from tests.chaos.schedule import Fault
from tests.chaos.sender_faults import ADDRESS, SENDER_FAULTS
from tests.waiting import eventually


class Recorder:
    """A listener that keeps what it is sent, and answers nothing."""

    def __init__(self) -> None:
        self.received: dict[int, bytes] = defaultdict(bytes)
        self.addresses: set[str] = set()
        self.open = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.received)
        self.received[number] = b""
        self.addresses.add(writer.get_extra_info("peername")[0])
        self.open += 1
        try:
            while data := await reader.read(65536):
                self.received[number] += data
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()


def bomb(sent: bytes) -> bool:
    """Whether a complete body was sent that is large when it is decompressed."""
    head, _, body = sent.partition(b"\r\n\r\n")
    length = int(head.rpartition(b" ")[2]) if b"gzip" in head else -1
    return len(body) == length < 1_000_000 and len(gzip.decompress(body)) > 10_000_000


EXPECTED: dict[str, tuple[int, Any]] = {
    "hostile-senders": (170, lambda sent: sent.endswith(b"\r\n\r\n{")),
    "hostile-bodies": (55, bomb),
    "hostile-heads": (55, lambda sent: len(sent) > 200_000 and b"\r\n\r\n" not in sent),
    "hostile-requests": (10, lambda sent: sent.count(b"GET /webhooks/none HTTP/1.1") >= 20),
}


def test_every_kind_is_tested() -> None:
    assert EXPECTED.keys() == SENDER_FAULTS.keys()


@pytest.mark.parametrize("kind", SENDER_FAULTS)
async def test_hostile_senders(kind: str) -> None:
    recorder = Recorder()
    server = await asyncio.start_server(recorder.handle, "127.0.0.1", 0)
    installation: Any = SimpleNamespace(pipeline=SimpleNamespace(port=server.sockets[0].getsockname()[1]))
    count, matches = EXPECTED[kind]
    async with server:
        async with SENDER_FAULTS[kind](installation, Fault(1, kind, "ingest", 0.0, 0.0)):
            await eventually(lambda: recorder.open == count)
            await eventually(lambda: any(matches(sent) for sent in recorder.received.values()))
            assert len(recorder.received) == count
        await eventually(lambda: recorder.open == 0)
    if sys.platform == "linux":
        assert recorder.addresses == {ADDRESS}
