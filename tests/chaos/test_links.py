"""The links that faults change: what passes, what does not, and that the order of the data stays."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.chaos.links import SLOW_S, Link
from tests.waiting import eventually


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    """A link to a server that sends back each line."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            received.append(line)
            writer.write(line)
        writer.close()

    received.clear()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Link(server.sockets[0].getsockname()) as link:
        yield link


received: list[bytes] = []


async def test_an_open_link_passes_everything(link: Link) -> None:
    """Also the end of what one side sends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    writer.write(b"one\n")
    assert await reader.readline() == b"one\n"
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def test_a_cut_link_closes_connections_and_refuses_new_ones(link: Link) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    writer.write(b"one\n")
    assert await reader.readline() == b"one\n"
    link.set("cut")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    other, late = await asyncio.open_connection("127.0.0.1", link.port)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await other.readexactly(1)
    link.set("open")
    reader, again = await asyncio.open_connection("127.0.0.1", link.port)
    again.write(b"two\n")
    assert await reader.readline() == b"two\n"
    for one in (writer, late, again):
        one.close()


async def test_a_one_way_link_holds_back_the_answers(link: Link) -> None:
    """They arrive, in order, when the link is open again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    writer.write(b"first\n")
    assert await reader.readline() == b"first\n"
    link.set("one-way")
    writer.write(b"one\ntwo\n")
    await eventually(lambda: received == [b"first\n", b"one\n", b"two\n"])
    answer = asyncio.create_task(reader.readline())
    await asyncio.wait([answer], timeout=0.1)
    assert not answer.done()
    link.set("open")
    assert await answer == b"one\n"
    assert await reader.readline() == b"two\n"
    writer.close()


async def test_a_slow_link_delays_each_direction(link: Link) -> None:
    """What is sent after it is fast again does not overtake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    link.set("slow")
    begun = time.monotonic()
    writer.write(b"one\n")
    await writer.drain()
    await asyncio.sleep(0)
    link.set("open")
    writer.write(b"two\n")
    lines = [await reader.readline(), await reader.readline()]
    assert sorted(lines) == [b"one\n", b"two\n"]
    link.set("slow")
    writer.write(b"three\n")
    assert await reader.readline() == b"three\n"
    assert time.monotonic() - begun >= 2 * SLOW_S
    writer.close()
