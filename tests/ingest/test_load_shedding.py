"""Load shedding: hostile clients that use up connections or memory do not prevent answers to other senders."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Sequence
from typing import cast

import pytest

from filas.observability.metrics import REGISTRY
from ingest.http.load_shedding import Phase, address_key
from tests.ingest.public_client import OpenListener, Streams, on_service_loop, open_listener, statuses
from tests.long_form import by_form
from tests.waiting import PATIENCE_S, eventually

HONEST_WAIT_S = by_form(4.0, 1.0)
"""The promise is one second. The short form runs beside other tests, which may delay an answer by seconds; without the
shedding, an honest sender waits for the body timeout of 10 s."""

REQUEST = b"POST /honest HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
NO_BODY = b"POST /hostile HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"


async def connect(public: OpenListener, address: str = "127.0.0.1") -> Streams:
    """Opens a connection from one of the addresses of loopback."""
    return await asyncio.open_connection("127.0.0.1", public.port, local_addr=(address, 0))


@contextlib.asynccontextmanager
async def clients(
    public: OpenListener, count: int, *, sent: bytes = b"", address: str = "127.0.0.1"
) -> AsyncIterator[list[Streams]]:
    """Opens `count` connections, each of which has sent `sent`."""
    found: list[Streams] = []
    try:
        for _ in range(count):
            reader, writer = await connect(public, address)
            writer.write(sent)
            found.append((reader, writer))
        yield found
    finally:
        for _, writer in found:
            writer.transport.abort()


async def answer(streams: Streams, sent: bytes = REQUEST) -> bytes:
    """Returns the status line of the answer; empty if the connection was closed."""
    reader, writer = streams
    try:
        writer.write(sent)
        line = await asyncio.wait_for(reader.readline(), PATIENCE_S)
        await reader.readuntil(b"{}")
    except (OSError, asyncio.IncompleteReadError):
        return b""
    return line


async def answers(public: OpenListener, count: int, address: str = "127.0.0.1") -> tuple[list[bytes], float]:
    """Returns the answers to honest senders that connect at once, and the seconds until the last answer."""

    async def one() -> bytes:
        streams = await connect(public, address)
        try:
            return await answer(streams)
        finally:
            streams[1].close()

    began = time.monotonic()
    found = await asyncio.gather(*(one() for _ in range(count)))
    return found, time.monotonic() - began


Watched = Sequence["asyncio.Task[bytes]"]


def watched(streams: Sequence[Streams]) -> Watched:
    """Returns a task for each connection. The task is done when the listener has ended the connection."""
    return [asyncio.create_task(reader.read()) for reader, _ in streams]


def closed(connections: Watched) -> list[int]:
    """Returns the indexes of the connections that the listener has ended."""
    return [place for place, task in enumerate(connections) if task.done()]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"], ids=["same address", "another address"])
@on_service_loop
async def test_incomplete_bodies_make_room_for_honest_senders(address: str) -> None:
    """2,100 connections from one address have sent a complete head and no body. Ten honest senders get their answers
    within a second, also from the same address.
    """
    async with open_listener(max_connections=2000, body_timeout_s=60) as public, contextlib.AsyncExitStack() as opened:
        hostile: list[Streams] = []

        async def all_begun() -> bool:
            return public.started == len(hostile)

        # A request whose connection is shed before the listener has read its head would never be counted.
        for count in (2000, *[10] * 10):
            hostile += await opened.enter_async_context(clients(public, count, sent=NO_BODY))
            await eventually(all_begun)
        ended = watched(hostile)
        found, seconds = await answers(public, 10, address)
        assert found == [b"HTTP/1.1 200 OK\r\n"] * 10
        assert seconds < HONEST_WAIT_S
        await eventually(lambda: len(closed(ended)) > 100)
        assert closed(ended) == list(range(len(closed(ended)))), "not the oldest were closed"


@on_service_loop
async def test_a_shed_request_is_answered_with_503() -> None:
    """With Retry-After, so the sender can repeat the request. The metric counts it once."""
    before = _counted("connection-limit")
    async with (
        open_listener(max_connections=4, body_timeout_s=60) as public,
        clients(public, 4, sent=NO_BODY) as hostile,
    ):
        await eventually(lambda: public.started == 4)
        async with clients(public, 1):
            text = await asyncio.wait_for(hostile[0][0].read(), PATIENCE_S)
        assert text.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 5\r\n" in text
    assert _counted("connection-limit") - before == 1


def _counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("filas_webhooks_total", {"outcome": outcome}) or 0.0


@on_service_loop
async def test_one_address_holds_a_quarter_when_connections_are_short() -> None:
    """Regardless of the age and phase of the connections of other addresses."""
    async with (
        open_listener(max_connections=40, request_timeout_s=60, body_timeout_s=60) as public,
        clients(public, 4, sent=NO_BODY, address="127.0.0.2") as slow,
        clients(public, 4, address="127.0.0.3") as idle,
    ):
        for streams in idle:
            assert await answer(streams) == b"HTTP/1.1 200 OK\r\n"
        others = watched([*slow, *idle])
        async with clients(public, 60, address="127.0.0.9") as hostile:
            ended = watched(hostile)
            await eventually(lambda: closed(ended) == list(range(28)))
            assert public.listener.open_connections == 40
            async with clients(public, 22, address="127.0.0.4") as more:
                await eventually(lambda: closed(ended) == list(range(50)))
                assert closed([*others, *watched(more)]) == []


@on_service_loop
async def test_the_connections_of_a_proxy_are_not_limited_to_a_quarter() -> None:
    """They belong to many clients. The connection that has waited longest is closed."""
    async with (
        open_listener(
            max_connections=8, request_timeout_s=60, is_shared=lambda address: address == "127.0.0.9"
        ) as public,
        clients(public, 1, address="127.0.0.2") as oldest,
        clients(public, 7, address="127.0.0.9") as proxied,
        clients(public, 1, address="127.0.0.3"),
    ):
        ended = watched([*oldest, *proxied])
        await eventually(lambda: closed(ended) == [0])


@on_service_loop
async def test_clients_that_have_their_last_answer_make_room() -> None:
    """A client that got a 400 and keeps its connection open is closed before other clients."""
    async with (
        open_listener(max_connections=20, answer_timeout_s=60) as public,
        clients(public, 20, sent=b"nonsense\r\n\r\n") as hostile,
    ):
        for reader, _ in hostile:
            assert (await asyncio.wait_for(reader.readline(), PATIENCE_S)).startswith(b"HTTP/1.1 400")
        assert (await answers(public, 10))[0] == [b"HTTP/1.1 200 OK\r\n"] * 10


@on_service_loop
async def test_clients_that_do_not_read_make_room() -> None:
    """Their answers fill our buffers. Their connections are closed before an honest sender has to wait."""
    body = b"a" * 50_000
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with open_listener(max_connections=4, answer_timeout_s=60, body_budget=64 << 20) as public:
        loop = asyncio.get_running_loop()
        hostile = [socket.socket() for _ in range(4)]

        async def flood(client: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while True:
                    await loop.sock_sendall(client, request)

        for client in hostile:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", public.port))
        floods = [asyncio.create_task(flood(client)) for client in hostile]
        await eventually(lambda: [one.phase for one in public.listener.connections] == [Phase.UNREAD] * 4)
        assert (await answers(public, 2))[0] == [b"HTTP/1.1 200 OK\r\n"] * 2
        for client in hostile:
            client.close()
        for task in floods:
            task.cancel()


def test_an_ipv6_client_is_counted_by_its_network() -> None:
    """A client has a whole /64 and can use a new address for each connection. An IPv4 address is one client."""
    assert address_key("2001:db8:1:2::1") == address_key("2001:db8:1:2:ffff::9") != address_key("2001:db8:1:3::1")
    assert address_key("fe80::1%eth0") == "fe80::/64"
    assert address_key("::ffff:192.0.2.7") == address_key("192.0.2.7") == "192.0.2.7"
    assert address_key(None) == ""


# ---- the body budget --------------------------------------------------------------------------------------


def post(body: bytes, *, missing: int = 0) -> bytes:
    """Returns a request without its last bytes."""
    return b"POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body) + missing, body)


@on_service_loop
async def test_bodies_beyond_the_budget_are_answered_with_503() -> None:
    """The oldest incomplete bodies first, so that slow senders cannot use up the budget."""
    async with (
        open_listener(body_budget=200_000, body_timeout_s=60) as public,
        clients(public, 2, sent=post(b"a" * 80_000, missing=1)) as slow,
    ):
        await eventually(lambda: public.listener.bodies.held > 160_000)
        async with clients(public, 1) as (honest,):
            honest[1].write(post(b"b" * 60_000 + b"{}"))
            assert (await asyncio.wait_for(honest[0].readuntil(b"{}"), PATIENCE_S)).startswith(b"HTTP/1.1 200")
        text = await asyncio.wait_for(slow[0][0].read(), PATIENCE_S)
        assert text.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 5\r\n" in text
        assert closed(watched(slow[1:])) == []


@on_service_loop
async def test_bodies_count_until_their_request_is_answered() -> None:
    """A body that waits for its acceptance counts in the budget. A complete body beyond the budget is answered with
    503, and the connection is kept.
    """
    release = asyncio.Event()
    async with open_listener(body_budget=100_000, request_timeout_s=60, before_answer=release.wait) as public:
        async with clients(public, 2) as (first, second):
            first[1].write(post(b"a" * 60_000 + b"{}"))
            await eventually(lambda: len(public.seen) == 1)
            second[1].write(post(b"b" * 30_000) + post(b"c" * 30_000))
            await eventually(lambda: len(public.seen) == 2)
            assert 90_000 < public.listener.bodies.held < 100_000
            release.set()
            assert (await asyncio.wait_for(first[0].readuntil(b"{}"), PATIENCE_S)).startswith(b"HTTP/1.1 200")
            await eventually(lambda: public.started == 3)
            second[1].write(REQUEST)
            text = await asyncio.wait_for(second[0].readuntil(b"{}"), PATIENCE_S)
            assert (text.count(b"HTTP/1.1 200"), text.count(b"HTTP/1.1 503")) == (2, 1)
        await public.all_closed()
        assert public.listener.bodies.held == 0


@on_service_loop
async def test_incomplete_heads_count_in_the_budget() -> None:
    """They are held until they are complete, so they could fill the memory too."""
    async with open_listener(body_budget=100_000, request_timeout_s=60) as public:
        async with clients(public, 3, sent=b"POST / HTTP/1.1\r\nA: " + b"a" * 40_000):
            await eventually(lambda: public.listener.bodies.held > 80_000)
            assert (await answers(public, 5))[0] == [b"HTTP/1.1 200 OK\r\n"] * 5
            assert public.listener.bodies.held < 100_000
        await public.all_closed()
        assert public.listener.bodies.held == 0


@on_service_loop
async def test_many_incomplete_requests_make_room_for_one_body() -> None:
    """However many have to be dropped for it, and although each one holds only a few bytes."""
    head = b"POST / HTTP/1.1\r\nA: " + b"a" * 80
    async with open_listener(max_connections=900, body_budget=140_000, request_timeout_s=60) as public:
        async with clients(public, 850, sent=head, address="127.0.0.2"):
            await eventually(lambda: public.listener.bodies.held == 850 * len(head))
            async with clients(public, 1) as (honest,):
                honest[1].write(post(b"a" * 99_000))
                assert await asyncio.wait_for(honest[0].readline(), PATIENCE_S) == b"HTTP/1.1 200 OK\r\n"
        await public.all_closed()
        assert public.listener.bodies.held == 0


@on_service_loop
async def test_the_bytes_of_pipelined_requests_are_bounded() -> None:
    """While the first request is answered, the process holds about one read of what the client sends after it."""
    release = asyncio.Event()
    async with (
        open_listener(body_budget=10 << 20, before_answer=release.wait) as public,
        public.connection() as (reader, writer),
    ):
        writer.write(post(b"a" * 30_000) * 31)
        await eventually(lambda: public.started == 1)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.2)
        assert public.listener.bodies.held < 500_000
        release.set()
        for _ in range(31):
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).startswith(b"HTTP/1.1 200")
            await reader.readexactly(30_000)


@on_service_loop
async def test_a_shed_connection_releases_its_bytes_at_once() -> None:
    """Bytes that were released only when its task ends would let the budget shed more connections than necessary."""
    async with open_listener(body_budget=10 << 20, answer_timeout_s=60) as public, public.connection() as (_, writer):
        cast("asyncio.ReadTransport", writer.transport).pause_reading()
        for _ in range(200):
            writer.write(post(b"a" * 50_000))
        await eventually(lambda: [one.phase for one in public.listener.connections] == [Phase.UNREAD])
        (connection,) = public.listener.connections
        await eventually(lambda: public.listener.bodies.held > 0)
        connection.shed()
        assert public.listener.bodies.held == 0


@on_service_loop
async def test_a_body_beyond_the_whole_budget_is_too_large() -> None:
    """It is answered with 413, because a repeated request would fail too."""
    async with open_listener(body_budget=50_000) as public:
        assert await statuses(public, post(b"a" * 90_000)) == [413]
