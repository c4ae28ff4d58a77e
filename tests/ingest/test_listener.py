"""The public listener's connections: slow clients, the connection limit, and requests in every form of HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.ingest.serving import Serving, raw, serving, webhook
from tests.long_form import by_form
from tests.waiting import PATIENCE_S, eventually

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HEAD = b"POST /webhooks/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
REQUEST = HEAD + b"Content-Length: 2\r\n\r\n{}"


@contextlib.asynccontextmanager
async def connections(app: Serving, count: int) -> AsyncIterator[list[Streams]]:
    """Opens `count` connections."""
    streams = [await asyncio.open_connection("127.0.0.1", app.port) for _ in range(count)]
    try:
        yield streams
    finally:
        for _, writer in streams:
            writer.close()


async def asked(streams: Streams, request: bytes = REQUEST) -> bytes:
    """Returns the head of the answer to a request on a connection that is kept; empty if the connection was closed."""
    reader, writer = streams
    try:
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
    except (OSError, asyncio.IncompleteReadError):
        return b""
    return head


async def is_closed(streams: Streams) -> bool:
    """Whether the listener has ended the connection."""
    reader, _ = streams
    try:
        return await asyncio.wait_for(reader.read(1), PATIENCE_S) == b""
    except OSError:
        return True


async def test_a_slow_client_is_closed(redis_url: str, postgres_dsn: str) -> None:
    """A client that sends nothing, or an incomplete head. A client that has its answers may stay idle."""
    async with (
        serving(redis_url, postgres_dsn, webhook(), request_timeout_s=2.0) as app,
        connections(app, 3) as (waiting, slow, proper),
    ):
        slow[1].write(HEAD)
        assert (await asked(proper)).startswith(b"HTTP/1.1 200")
        assert await is_closed(waiting)
        assert await is_closed(slow)
        assert (await asked(proper)).startswith(b"HTTP/1.1 200")


async def test_beyond_the_limit_clients_with_requests_are_served(redis_url: str, postgres_dsn: str) -> None:
    """Connections without a request are closed first, then idle ones, the oldest first."""
    async with (
        serving(redis_url, postgres_dsn, webhook(), max_connections=5) as app,
        connections(app, 2) as idle,
        contextlib.AsyncExitStack() as stack,
    ):
        for streams in idle:
            assert (await asked(streams)).startswith(b"HTTP/1.1 200")
        waiting = await stack.enter_async_context(connections(app, 3))
        (newest,) = await stack.enter_async_context(connections(app, 1))
        assert (await asked(newest)).startswith(b"HTTP/1.1 200")
        assert await is_closed(waiting[0])
        for streams in (*idle, *await stack.enter_async_context(connections(app, 1))):
            assert (await asked(streams)).startswith(b"HTTP/1.1 200")
        more = await stack.enter_async_context(connections(app, 4))

        async def served() -> bool:
            return (await asked(more[-1])).startswith(b"HTTP/1.1 200")

        await eventually(served)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"A%d: b\r\n" % number for number in range(200)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
    ids=["long line", "long header", "many headers", "TLS", "two lengths"],
)
async def test_heads_are_bounded(redis_url: str, postgres_dsn: str, request_bytes: bytes) -> None:
    """A head beyond the bounds, or bytes that are not HTTP, are answered with 400, and the connection ends."""
    async with serving(redis_url, postgres_dsn, webhook()) as app:
        assert (await raw(app.port, request_bytes)).startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/webhooks/orders", b"200"),
        (b"/webhooks/orders?a=1", b"200"),
        (b"/webhooks/%6Frders", b"200"),
        (b"http://filas.example/webhooks/orders", b"200"),
        (b"/webhooks/orders/", b"200"),
        (b"/webhooks/orders//", b"404"),
        (b"/webhooks/", b"404"),
        (b"/webhooks", b"404"),
        (b"/", b"404"),
        (b"/api/queue/stats", b"404"),
        (b"/webhooks/../webhooks/orders", b"404"),
    ],
)
async def test_only_the_paths_of_webhooks_are_served(
    redis_url: str, postgres_dsn: str, target: bytes, status: bytes
) -> None:
    """In each form of the request target. Any other path is answered with 404."""
    async with serving(redis_url, postgres_dsn, webhook()) as app:
        assert (await raw(app.port, REQUEST.replace(b"/webhooks/orders", target))).split(b" ")[1] == status


async def test_a_connection_is_kept_as_its_client_requests(redis_url: str, postgres_dsn: str) -> None:
    """HTTP/1.1 keeps it unless the client sends `close`; HTTP/1.0 only if the client sends `keep-alive`. Requests
    may be pipelined.
    """
    async with serving(redis_url, postgres_dsn, webhook()) as app:
        old = REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0")
        assert b"Connection: close" in await raw(app.port, old)
        asking = old.replace(b"Host: x\r\n", b"Host: x\r\nConnection: keep-alive\r\n")
        assert b"Connection: keep-alive" in await raw(app.port, asking)
        assert b"Connection: close" in await raw(app.port, REQUEST.replace(b"Host: x", b"Connection: close\r\nHost: x"))
        async with connections(app, 1) as (streams,):
            streams[1].write(REQUEST * 20)
            assert [(await asked(streams, b""))[:12] for _ in range(20)] == [b"HTTP/1.1 200"] * 20
        async with connections(app, 1) as (streams,):
            streams[1].write(REQUEST.replace(b"POST", b"HEAD") + REQUEST)
            assert (await streams[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 405")
            assert (await asked(streams, b"")).startswith(b"HTTP/1.1 200")  # no body is between the two answers


async def test_a_sender_that_expects_100_continue_gets_it(redis_url: str, postgres_dsn: str) -> None:
    """curl expects it for bodies of more than a kilobyte. A rejected request gets its final answer at once."""
    async with serving(redis_url, postgres_dsn, webhook(), webhook("small", max_body_bytes=1)) as app:
        async with connections(app, 1) as (streams,):
            streams[1].write(HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            assert await streams[0].readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert (await asked(streams, b"{}")).startswith(b"HTTP/1.1 200")
        head = HEAD.replace(b"orders", b"nowhere") + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        assert (await raw(app.port, head)).startswith(b"HTTP/1.1 404")


async def test_a_client_that_half_closes_gets_all_answers(redis_url: str, postgres_dsn: str) -> None:
    """Each pipelined request is answered, and then the connection ends."""
    async with serving(redis_url, postgres_dsn, webhook()) as app, connections(app, 1) as (streams,):
        streams[1].write(REQUEST * 3)
        streams[1].write_eof()
        assert (await asyncio.wait_for(streams[0].read(), PATIENCE_S)).count(b"HTTP/1.1 200") == 3


async def test_an_upgrade_to_another_protocol_is_ignored(redis_url: str, postgres_dsn: str) -> None:
    """A request that offers an upgrade is answered like any other, with its body, and the connection ends."""
    offering = REQUEST.replace(b"Host: x\r\n", b"Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n")
    async with serving(redis_url, postgres_dsn, webhook()) as app:
        answer = await raw(app.port, offering)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" in answer
        async with connections(app, 1) as ((reader, writer),):
            for piece in (offering[:-2], b"{", b"}GET"):
                writer.write(piece)
                await writer.drain()
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"2\r\n{}\r\n0\r\n\r\n", b"200"), (b"1\r\n{\r\n1\r\n}\r\n0\r\nA: b\r\n\r\n", b"200"), (b"zz\r\n{}", b"400")],
    ids=["one", "two and a trailer", "broken"],
)
async def test_a_chunked_body_is_read_or_rejected(
    redis_url: str, postgres_dsn: str, body: bytes, status: bytes
) -> None:
    """Sent at once or in many writes. A malformed chunk is answered with 400, and nothing is stored."""
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    async with serving(redis_url, postgres_dsn, webhook()) as app:
        assert (await raw(app.port, head + body)).split(b" ")[1] == status
        async with connections(app, 1) as ((reader, writer),):
            for piece in (head, *(body[at : at + 1] for at in range(len(body)))):
                writer.write(piece)
                await writer.drain()
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).split(b" ")[1] == status
        assert len(await app.jobs()) == (2 if status == b"200" else 0)


async def test_a_sender_of_too_large_a_body_gets_its_answer(redis_url: str, postgres_dsn: str) -> None:
    """The answer is not lost while the sender still sends. The connection ends."""
    head = HEAD + b"Content-Length: 8000000\r\n\r\n"
    async with serving(redis_url, postgres_dsn, webhook(max_body_bytes=1000)) as app:
        async with connections(app, 1) as ((reader, writer),):
            writer.write(head + b"a" * 8_000_000)
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).startswith(b"HTTP/1.1 413")
        async with connections(app, 1) as ((reader, writer),):
            writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"a" * 4096 + b"\r\n")
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).startswith(b"HTTP/1.1 413")


async def test_pipelined_requests_beyond_the_bound_keep_their_order(redis_url: str, postgres_dsn: str) -> None:
    """Thousands of requests on one connection whose answers are not read yet: none is lost, and they keep their
    order.
    """
    many = by_form(1000, 3000)
    async with serving(redis_url, postgres_dsn, webhook()) as app, connections(app, 1) as (streams,):
        streams[1].write(REQUEST * many)
        assert [(await asked(streams, b""))[:12] for _ in range(many)] == [b"HTTP/1.1 200"] * many
