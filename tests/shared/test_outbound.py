"""The guarded HTTP client against receivers on this machine, correct ones and hostile ones."""

import asyncio
import gzip
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from filas.errors import OutboundError, OutboundFailed, OutboundRefused, OutboundTimeout, OutboundTooLarge
from filas.outbound.client import OutboundClient
from filas.service.private_listener import serve_app
from tests.notifier.receiver import raw_receiver

HOME = (ip_network("127.0.0.1/32"),)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def receiver(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    async with serve_app(app, host, 0, shutdown_s=0.1) as port:
        yield f"http://{host}:{port}"


async def echo(request: web.Request) -> web.Response:
    return web.json_response(
        {
            "method": request.method,
            "path": request.path_qs,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "body": (await request.read()).decode(),
        }
    )


class ScriptedResolver(AbstractResolver):
    """Resolves names to the scripted addresses, one answer per query. The last answer is repeated."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in answer
        ]

    async def close(self) -> None:
        pass


async def test_a_call_sends_method_headers_and_body_and_returns_the_response() -> None:
    async with receiver(echo) as url, OutboundClient(HOME) as client:
        response = await client.request("post", f"{url}/a?b=c", headers={"X-One": "1"}, body=b"hi", timeout_s=5)
    assert response.status == 200
    assert response.headers["content-type"].startswith("application/json")
    assert b'"method": "POST"' in response.body
    assert b'"path": "/a?b=c"' in response.body
    assert b'"x-one": "1"' in response.body
    assert b'"body": "hi"' in response.body


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://127.1:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f000001:{port}/",
        "http://0177.0.0.1:{port}/",
        "http://0.0.0.0:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://[::ffff:7f00:1]:{port}/",
        "http://user:password@127.0.0.1:{port}/",
    ],
)
async def test_no_spelling_of_loopback_is_connected(url: str) -> None:
    reached = []

    async def note(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response()

    async with receiver(note) as home, OutboundClient() as client:
        with pytest.raises(OutboundRefused):
            await client.request("GET", url.format(port=home.rpartition(":")[2]), timeout_s=5)
    assert reached == []


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "//127.0.0.1/", "http://", "http://[::1", ""],
)
async def test_only_http_and_https_are_allowed(url: str) -> None:
    async with OutboundClient(HOME) as client:
        with pytest.raises(OutboundRefused):
            await client.request("GET", url, timeout_s=5)


async def test_a_name_whose_second_answer_is_private_is_rejected_at_the_socket() -> None:
    """DNS rebinding: the first answer is permitted, and the address that is connected is not."""
    reached = 0

    async def count(_request: web.Request) -> web.Response:
        nonlocal reached
        reached += 1
        return web.Response(headers={"Connection": "close"})

    resolver = ScriptedResolver(["127.0.0.1"], ["127.0.0.2"])
    async with receiver(count, "0.0.0.0") as home, OutboundClient(HOME, resolver=resolver) as client:
        url = f"http://rebind.example:{home.rpartition(':')[2]}/"
        assert (await client.request("GET", url, timeout_s=5)).status == 200
        client_cache_gone(client)
        with pytest.raises(OutboundRefused, match=r"127\.0\.0\.2"):
            await client.request("GET", url, timeout_s=5)
    assert (resolver.asked, reached) == (2, 1)


def client_cache_gone(client: OutboundClient) -> None:
    """Removes the cached answer for the name, as its expiry would."""
    assert client._session is not None
    connector = client._session.connector
    connector.clear_dns_cache()  # type: ignore[union-attr]


async def test_of_several_addresses_only_permitted_ones_are_called() -> None:
    async with receiver(echo) as home:
        resolver = ScriptedResolver(["127.0.0.2", "127.0.0.1"])
        async with OutboundClient(HOME, resolver=resolver) as client:
            url = f"http://two.example:{home.rpartition(':')[2]}/"
            assert (await client.request("GET", url, timeout_s=5)).status == 200


async def test_a_redirect_to_a_private_address_is_rejected() -> None:
    async def away(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://127.0.0.2:{request.url.port}/inside")

    async with receiver(away) as url, OutboundClient(HOME) as client:
        with pytest.raises(OutboundRefused, match=r"127\.0\.0\.2"):
            await client.request("GET", url, timeout_s=5)


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "PUT", "GET"),
        (307, "POST", "POST"),
        (308, "PUT", "PUT"),
        (302, "GET", "GET"),
    ],
)
async def test_a_redirect_keeps_or_changes_the_method_as_browsers_do(status: int, method: str, then: str) -> None:
    async def once(request: web.Request) -> web.StreamResponse:
        if request.path == "/":
            return web.Response(status=status, headers={"Location": "/next"})
        return await echo(request)

    async with receiver(once) as url, OutboundClient(HOME) as client:
        response = await client.request(
            method, f"{url}/", headers={"Content-Type": "text/plain"}, body=b"hi", timeout_s=5
        )
    assert f'"method": "{then}"'.encode() in response.body
    assert (b'"body": "hi"' in response.body) == (then != "GET" or method == "GET")
    assert response.url == f"{url}/next"


async def test_a_redirect_to_another_origin_gets_no_credentials() -> None:
    """Every header that the caller set is dropped, except the few that cannot contain credentials."""
    credentials = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Api-Key": "k", "Idempotency-Key": "id-1"}
    async with receiver(echo) as other:

        async def away(request: web.Request) -> web.StreamResponse:
            if request.path == "/away":
                raise web.HTTPTemporaryRedirect(f"{other}/there")
            if request.path == "/here":
                raise web.HTTPTemporaryRedirect("/end")
            return await echo(request)

        async with receiver(away) as url, OutboundClient(HOME) as client:
            left = await client.request("GET", f"{url}/away", headers=credentials, timeout_s=5)
            stayed = await client.request("GET", f"{url}/here", headers=credentials, timeout_s=5)
    for name in ("authorization", "cookie", "x-api-key"):
        assert name.encode() not in left.body
        assert name.encode() in stayed.body
    assert b"idempotency-key" in left.body


async def test_a_redirect_to_what_is_no_address_is_refused() -> None:
    async def elsewhere(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "//[::1]@"})

    async with receiver(elsewhere) as url, OutboundClient(HOME) as client:
        with pytest.raises(OutboundRefused, match="redirect: invalid URL"):
            await client.request("GET", url, timeout_s=5)


async def test_a_redirect_loop_ends() -> None:
    async def again(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/")

    async with receiver(again) as url, OutboundClient(HOME) as client:
        with pytest.raises(OutboundRefused, match="redirects"):
            await client.request("GET", url, timeout_s=5)
        assert (await client.request("GET", url, timeout_s=5, follow_redirects=False)).status == 302


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_a_response_beyond_the_limit_is_not_read(packed: bool) -> None:
    """The limit counts decompressed bytes. The connection ends."""
    piece = gzip.compress(b"0" * 1024 * 1024) if packed else b"0" * 65536

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"} if packed else {})
        await response.prepare(request)
        for _ in range(1024 if packed else 16384):
            await response.write(piece)
        return response

    async with receiver(flood) as url, OutboundClient(HOME) as client:
        with pytest.raises(OutboundTooLarge) as refused:
            await client.request("GET", url, timeout_s=30, max_bytes=100_000)
        assert (refused.value.status, refused.value.kind) == (200, "response-too-large")
        cut = await client.request("GET", url, timeout_s=30, max_bytes=100_000, truncate=True)
    assert cut.truncated
    assert cut.body == b"0" * 100_000


async def test_the_time_limit_covers_a_slow_response() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b".")
            await asyncio.sleep(0.02)

    async with receiver(drip) as url, OutboundClient(HOME) as client:
        with pytest.raises(OutboundTimeout) as late:
            await client.request("GET", url, timeout_s=0.3)
    assert late.value.sent


async def test_a_closed_port_is_a_failure_that_sent_nothing() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: no other process gets the port
        async with OutboundClient(HOME) as client:
            with pytest.raises(OutboundFailed) as failed:
                await client.request("POST", f"http://127.0.0.1:{held.getsockname()[1]}/", body=b"x", timeout_s=5)
    assert (failed.value.sent, failed.value.kind) == (False, "communication")


@pytest.mark.parametrize(
    "answer", [b"", b"not http at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"]
)
async def test_a_connection_that_breaks_after_the_request_is_uncertain(answer: bytes) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, OutboundClient(HOME) as client:
        with pytest.raises(OutboundFailed) as failed:
            await client.request("POST", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", timeout_s=5)
    assert failed.value.sent


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 9999 What\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab",
    ],
    ids=["no http", "no status", "long header", "no chunk", "no gzip", "cut"],
)
async def test_no_failure_contains_the_url_which_may_contain_a_token(answer: bytes) -> None:
    """Neither as it was written nor percent-encoded."""
    async with raw_receiver(answer) as url, OutboundClient(HOME) as client:
        with pytest.raises(OutboundFailed) as failed:
            await client.request("POST", f"{url}/bot1:plant ed/send?key=plant ed", timeout_s=5)
    assert failed.value.sent
    assert "plant" not in str(failed.value)
    assert "127.0.0.1" not in str(failed.value)


@pytest.mark.parametrize(
    ("begins", "goes_on"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
        (b"HTTP/1.1 200 ", b"x" * 8000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"X: y\r\n" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    ],
    ids=["headers", "status", "trailers", "interim answers"],
)
async def test_a_response_whose_head_never_ends_is_aborted(begins: bytes, goes_on: bytes) -> None:
    """By its size or by the time limit. It is not kept in memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with raw_receiver(begins, goes_on, endless=True) as url, OutboundClient(HOME) as client:
        with pytest.raises(OutboundError):
            await client.request("POST", url, timeout_s=1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024, "in KiB"


@pytest.mark.parametrize(
    "headers",
    [
        {"Transfer-Encoding": "chunked"},
        {"content-length": "3"},
        {"Connection": "upgrade"},
        {"Proxy-Authorization": "x"},
        {"X-Split": "a\r\nX-Other: b"},
        {"X Space": "a"},
    ],
)
async def test_headers_that_change_the_framing_are_rejected(headers: dict[str, str]) -> None:
    async with receiver(echo) as url, OutboundClient(HOME) as client:
        with pytest.raises(OutboundRefused):
            await client.request("GET", url, headers=headers, timeout_s=5)


async def test_the_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with receiver(echo) as url, OutboundClient(HOME) as client:
        assert (await client.request("GET", url, timeout_s=5)).status == 200


async def test_only_the_configured_ports_and_methods_are_used() -> None:
    async with receiver(echo) as url, OutboundClient(HOME, ports=(443,)) as client:
        with pytest.raises(OutboundRefused, match="port"):
            await client.request("GET", url, timeout_s=5)
    async with receiver(echo) as url, OutboundClient(HOME) as client:
        with pytest.raises(OutboundRefused, match="CONNECT"):
            await client.request("CONNECT", url, timeout_s=5)


async def test_a_cookie_of_one_response_is_not_sent_with_the_next_call() -> None:
    async def set_cookie(request: web.Request) -> web.StreamResponse:
        response = await echo(request)
        response.set_cookie("session", "of-another-flow")
        return response

    async with receiver(set_cookie) as url, OutboundClient(HOME) as client:
        await client.request("GET", url, timeout_s=5)
        assert b"of-another-flow" not in (await client.request("GET", url, timeout_s=5)).body


async def test_connections_are_reused() -> None:
    peers = set()

    async def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response()

    async with receiver(note) as url, OutboundClient(HOME) as client:
        for _ in range(5):
            await client.request("GET", url, timeout_s=5)
    assert len(peers) == 1
