"""The public listener against hostile clients, byte by byte, on the event loop that the service uses."""

import asyncio
import contextlib
import gc
import itertools
import socket
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.http.load_shedding import Phase
from tests.ingest.public_client import on_service_loop, open_listener, statuses
from tests.ingest.request_bytes import AMBIGUOUS, CHUNKED, HEAD, NEXT, UNAMBIGUOUS
from tests.ingest.serving import raw
from tests.long_form import examples
from tests.waiting import PATIENCE_S, eventually


@pytest.mark.parametrize("sent", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
@on_service_loop
async def test_a_request_that_a_proxy_could_parse_differently_is_rejected(sent: bytes) -> None:
    """400, the connection ends, and nothing that follows is parsed as a request."""
    async with open_listener() as public:
        assert await statuses(public, sent + NEXT) == [400]
        assert public.seen == []


@pytest.mark.parametrize(("sent", "target"), UNAMBIGUOUS.values(), ids=UNAMBIGUOUS.keys())
@on_service_loop
async def test_unusual_but_unambiguous_requests_are_accepted(sent: bytes, target: str) -> None:
    """Sent at once or in many writes. The next request on the connection is parsed as the next request."""
    async with open_listener() as public:
        assert await statuses(public, sent + NEXT) == [200, 200]
        async with public.connection() as (reader, writer):
            for piece in (sent[:-3], sent[-3:-1], sent[-1:], NEXT):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)  # so that the listener reads it separately
            answers = b""
            while answers.count(b"HTTP/1.1 200") < 2 or not answers.endswith(b"[]"):
                answers += await asyncio.wait_for(reader.read(1000), PATIENCE_S)
        assert public.seen == [(target, b"{}"), ("/next", b"[]")] * 2


@on_service_loop
async def test_a_trailer_is_not_added_to_the_next_request() -> None:
    """aiohttp's parser adds the last trailer to the headers of the next request on the connection. Behind a proxy,
    that request may be another client's.
    """
    sent = CHUNKED + b"2\r\n{}\r\n0\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"
    async with open_listener() as public:
        assert await statuses(public, sent + NEXT) == [200, 200]
        async with public.connection() as (reader, writer):
            writer.write(sent)
            await asyncio.wait_for(reader.readuntil(b"{}"), PATIENCE_S)
            writer.write(NEXT)
            await asyncio.wait_for(reader.readuntil(b"[]"), PATIENCE_S)
        assert [set(headers) for headers in public.headers[1::2]] == [{"Host", "Content-Length"}] * 2


@pytest.mark.parametrize(
    "body", [b"\r\n\r\n" * 4000, b"0\r\n\r\n" * 4000, b"\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n" * 500]
)
@on_service_loop
async def test_a_chunked_body_ends_where_its_framing_ends(body: bytes) -> None:
    """Not where its content looks like the end of a body, or like another request."""
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(body[at : at + 999]), body[at : at + 999]) for at in range(0, len(body), 999)
    )
    async with open_listener() as public:
        assert await statuses(public, CHUNKED + chunks + b"0\r\n\r\n" + NEXT) == [200, 200]
        assert public.seen == [("/first", body), ("/next", b"[]")]


@pytest.mark.parametrize("size", [0, 32_768, 32_769, 65_536, 65_537, 99_999])
@on_service_loop
async def test_bodies_of_every_size_arrive_complete(size: int) -> None:
    """Sent at once or in many writes, with a length or in chunks, and followed by the next request."""
    body = bytes(range(256)) * (size // 256) + b"a" * (size % 256)
    with_length = HEAD + b"Content-Length: %d\r\n\r\n%b" % (size, body)
    in_chunks = CHUNKED + (b"%x\r\n%b\r\n" % (size, body) if size else b"") + b"0\r\n\r\n"
    async with open_listener() as public:
        for sent in (with_length, in_chunks):
            assert await statuses(public, sent + NEXT) == [200, 200]
            async with public.connection() as (reader, writer):
                for at in range(0, len(sent), 9999):
                    writer.write(sent[at : at + 9999])
                    await writer.drain()
                writer.write(NEXT)
                writer.write_eof()
                assert (await asyncio.wait_for(reader.read(), PATIENCE_S)).count(b"HTTP/1.1 200") == 2
        assert public.seen == [("/first", body), ("/next", b"[]")] * 4


_BODIES = st.lists(st.tuples(st.booleans(), st.binary(max_size=40)), min_size=1, max_size=6)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bodies=_BODIES, cuts=st.lists(st.integers(0, 800), max_size=12))
def test_requests_do_not_depend_on_how_their_bytes_are_split(bodies: list[tuple[bool, bytes]], cuts: list[int]) -> None:
    """Requests with lengths and in chunks, sent before the previous answers: each body arrives unchanged and in
    order.
    """
    sent = b""
    for is_chunked, body in bodies:
        if is_chunked:
            chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
            sent += CHUNKED + chunks + b"0\r\n\r\n"
        else:
            sent += HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    places = sorted({min(cut, len(sent)) for cut in cuts} | {0, len(sent)})

    @on_service_loop
    async def scenario() -> list[bytes]:
        async with open_listener() as public, public.connection() as (reader, writer):
            for begin, end in itertools.pairwise(places):
                writer.write(sent[begin:end])
                await asyncio.sleep(0)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), PATIENCE_S)
            return [body for _, body in public.seen]

    assert scenario() == [body for _, body in bodies]


@pytest.mark.parametrize("beside", [b";" + b"a" * 200_000 + b"\r\n", b"0" * 200_000], ids=["extension", "zeros"])
@on_service_loop
async def test_the_framing_of_chunks_is_bounded(beside: bytes) -> None:
    """A body of one byte cannot keep the listener reading. Chunks of one byte each are accepted."""
    async with open_listener() as public:
        async with public.connection() as (reader, writer):
            writer.write(CHUNKED + b"1\r\na\r\n" + (b"1" + beside if beside.startswith(b";") else beside))
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).startswith(b"HTTP/1.1 400")
        assert await statuses(public, CHUNKED + b"1\r\na\r\n" * 30_000 + b"0\r\n\r\n") == [200]
        assert public.seen == [("/first", b"a" * 30_000)]


@on_service_loop
async def test_trailers_are_bounded_as_headers_are() -> None:
    """By their number, their length, and together."""
    async with open_listener() as public:
        for trailer in (b"A: b\r\n" * 200, b"A: " + b"b" * 9000 + b"\r\n", b"A: " + b"b" * 300_000):
            assert 400 in await statuses(public, CHUNKED + b"2\r\n{}\r\n0\r\n" + trailer + b"\r\n")
        assert public.seen == []


@on_service_loop
async def test_a_slow_body_is_answered_with_408() -> None:
    """Also if it keeps sending one byte at a time. Other clients are served meanwhile."""
    limits = {"body_timeout_s": 1.0, "answer_timeout_s": 1.0}
    async with open_listener(**limits) as public, public.connection() as (reader, writer):

        async def drip() -> None:
            with contextlib.suppress(OSError):
                while True:
                    writer.write(b"a")
                    await writer.drain()
                    await asyncio.sleep(0.02)

        writer.write(HEAD + b"Content-Length: 90000\r\n\r\n")
        dripping = asyncio.create_task(drip())
        assert await statuses(public, NEXT) == [200]
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).startswith(b"HTTP/1.1 408")
        dripping.cancel()
        await public.all_closed()


@on_service_loop
async def test_a_client_that_never_reads_its_answers_is_closed() -> None:
    """It sends request after request, and holds neither memory nor a connection for longer than the time limit."""
    async with open_listener(answer_timeout_s=1.0) as public:
        body = b"a" * 50_000
        caller = socket.socket()
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(caller, ("127.0.0.1", public.port))

        async def ask() -> None:
            with contextlib.suppress(OSError):
                while True:
                    await loop.sock_sendall(caller, HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

        asking = asyncio.create_task(ask())
        await eventually(lambda: len(public.seen) > 3)
        await public.all_closed()
        await asking
        caller.close()


@on_service_loop
async def test_a_client_that_resets_an_unread_connection_causes_no_error() -> None:
    """Its disconnection is no failure of the process, so nothing is logged."""
    loop = asyncio.get_running_loop()
    errors: list[Mapping[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: errors.append(context))
    async with open_listener(answer_timeout_s=60) as public:
        caller = socket.socket()
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.setblocking(False)
        await loop.sock_connect(caller, ("127.0.0.1", public.port))
        body = b"a" * 50_000

        async def ask() -> None:
            while True:
                await loop.sock_sendall(caller, HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

        asking = asyncio.create_task(ask())
        await eventually(lambda: [one.phase for one in public.listener.connections] == [Phase.UNREAD])
        asking.cancel()
        await asyncio.wait([asking])
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() sends a reset
        caller.close()
        await public.all_closed()
        await eventually(lambda: public.listener.bodies.held == 0)  # its task has ended
    gc.collect()  # the error of a task is reported when the task is collected
    assert errors == []


@on_service_loop
async def test_a_client_that_never_reads_its_last_answer_is_closed() -> None:
    """Its requests are answered, and the connection ends after the time limit."""
    async with open_listener(answer_timeout_s=2.0) as public:
        caller = socket.socket()
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(caller, ("127.0.0.1", public.port))
        body = b"a" * 40_000
        request = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        sent = 0
        while public.listener.unsent_bytes() == 0:  # until the system's buffers are full
            await loop.sock_sendall(caller, request)
            sent += 1
            await public.has_received(sent)
        assert public.listener.unsent_bytes() < 64 * 1024
        await loop.sock_sendall(caller, request.replace(b"Host", b"Connection: close\r\nHost"))
        await public.all_closed()
        caller.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /fi",
        HEAD,
        HEAD + b"Content-Length: 5\r\n\r\n{}",
        CHUNKED + b"5\r\n{}",
        NEXT,
        NEXT + HEAD,
        NEXT * 50,
        b"\x00" * 100,
        HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    ],
)
@on_service_loop
async def test_a_client_that_disconnects_early_leaves_no_connection(sent: bytes) -> None:
    """Whether it half-closes the connection or resets it. Other clients are served afterwards."""
    async with open_listener() as public:
        async with public.connection() as (reader, writer):
            writer.write(sent)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), PATIENCE_S)
        _, writer = await asyncio.open_connection("127.0.0.1", public.port)
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        writer.write(sent)
        writer.transport.abort()
        await public.all_closed()
        assert (await raw(public.port, NEXT)).startswith(b"HTTP/1.1 200")


@on_service_loop
async def test_an_incomplete_body_is_answered_with_400() -> None:
    """A client that has half-closed the connection learns that its request was incomplete."""
    async with open_listener() as public:
        assert await statuses(public, HEAD + b"Content-Length: 5\r\n\r\n{}") == [400]
        assert await statuses(public, NEXT + CHUNKED + b"5\r\n{}") == [200, 400]


@on_service_loop
async def test_a_flood_of_one_client_does_not_delay_others() -> None:
    """For any number of requests sent at once, also requests that are answered without waiting."""
    async with (
        open_listener() as public,
        public.connection() as (flood, flooding),
        public.connection() as (reader, writer),
    ):
        cheap = b"GET /cheap HTTP/1.1\r\nHost: x\r\n\r\n"
        flooding.write(cheap * 900)  # about the size of one read
        writer.write(NEXT)
        assert (await asyncio.wait_for(reader.readuntil(b"[]"), PATIENCE_S)).startswith(b"HTTP/1.1 200")
        place = public.seen.index(("/next", b"[]"))
        while len(public.seen) < 901:
            await asyncio.wait_for(flood.read(100_000), PATIENCE_S)
    assert place < 400


@on_service_loop
async def test_a_client_of_http_1_0_gets_no_100_continue() -> None:
    """`100 Continue` came with HTTP/1.1. An older client would parse it as the final answer."""
    head = HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    async with open_listener() as public:
        for version, first in ((b"1.1", b"HTTP/1.1 100"), (b"1.0", b"HTTP/1.1 200")):
            async with public.connection() as (reader, writer):
                writer.write(head.replace(b"1.1", version))
                await eventually(lambda: public.started > len(public.seen))  # `100 Continue` was sent by now
                writer.write(b"{}")
                assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).startswith(first)
            await public.all_closed()


@on_service_loop
async def test_requests_before_the_shutdown_are_answered() -> None:
    """A body that is arriving is awaited, pipelined requests are answered, and the last answer ends the connection.

    An idle client is closed at once, and a client that never completes its request does not delay the shutdown.
    """
    async with (
        open_listener(body_timeout_s=3.0, answer_timeout_s=1.0) as public,
        public.connection() as idle,
        public.connection() as busy,
        public.connection() as endless,
    ):
        assert (await raw(public.port, NEXT)).startswith(b"HTTP/1.1 200")
        busy[1].write(HEAD + b"Content-Length: 2\r\n\r\n{")
        endless[1].write(HEAD + b"Content-Length: 3\r\n\r\n{")
        await eventually(lambda: public.started == 3)
        ending = asyncio.create_task(public.listener.shutdown(PATIENCE_S))
        assert await asyncio.wait_for(idle[0].read(), PATIENCE_S) == b""
        busy[1].write(b"}" + NEXT)
        answers = await asyncio.wait_for(busy[0].read(), PATIENCE_S)
        assert answers.count(b"HTTP/1.1 200") == 2
        assert answers.count(b"Connection: close") == 1
        assert answers.endswith(b"Connection: close\r\n\r\n[]")
        assert (await asyncio.wait_for(endless[0].read(), PATIENCE_S)).startswith(b"HTTP/1.1 408")
        await asyncio.wait_for(ending, PATIENCE_S)
        assert public.listener.open_connections == 0
