"""Each failure of an outbound call is described in the terms of a flow's author, without library wording and URLs."""

import asyncio
import re
import socket
from ipaddress import ip_network

import pytest

from filas.errors import FilasError, OutboundError, OutboundFailed, OutboundRefused
from filas.outbound.client import OutboundClient
from tests.notifier.receiver import raw_receiver
from tests.shared.test_outbound import HOME, ScriptedResolver, echo, receiver

LIBRARY = re.compile(r"Client\w*Error|Error\b|Errno|Exception|ssl:|codec|_ssl\.c|b'|netloc|punycode|NFKC|payload")

BROKEN: list[tuple[bytes, str]] = [
    (b"", "the server closed the connection before its response was complete"),
    (b"planted garbage\r\n\r\n", "the response is not valid HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab", "the response ended before it was complete"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "the response is not valid HTTP"),
    (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        "the response is not valid in its Content-Encoding",
    ),
    (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", "the response is not valid HTTP"),
    (b"HTTP/1.1 302 X\r\nLocation: http://[/\r\n\r\n", "redirect: invalid URL: the host is not a valid name"),
    (b"HTTP/1.1 302 X\r\nLocation: http://xn--zzzzzz/\r\n\r\n", "invalid URL: the host is not a valid name"),
]


async def _failure(url: str, **more: object) -> FilasError:
    async with OutboundClient(HOME) as client:
        with pytest.raises((OutboundError, OutboundRefused)) as caught:
            await client.request("GET", url, timeout_s=5, **more)  # type: ignore[arg-type]
    assert not LIBRARY.search(str(caught.value)), str(caught.value)
    assert "planted" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(("response", "message"), BROKEN, ids=range(len(BROKEN)))
async def test_a_broken_response(response: bytes, message: str) -> None:
    async with raw_receiver(response) as url:
        assert message in str(await _failure(f"{url}/planted"))


async def test_a_server_without_tls_and_a_port_without_a_server() -> None:
    async with receiver(echo) as url:
        found = await _failure(url.replace("http://", "https://") + "/planted")
        assert str(found).startswith("no TLS connection with 127.0.0.1:")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        found = await _failure(f"http://127.0.0.1:{port}/planted")
    assert str(found) == f"127.0.0.1:{port} refused the connection"
    assert isinstance(found, OutboundFailed)


async def test_a_name_that_is_not_known() -> None:
    class Unknown(ScriptedResolver):
        async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list:  # type: ignore[type-arg]
            await asyncio.sleep(0)
            raise OSError("Name or service not known")

    async with OutboundClient([ip_network("127.0.0.0/8")], resolver=Unknown()) as client:
        with pytest.raises(OutboundFailed) as caught:
            await client.request("GET", "http://unknown.example/planted", timeout_s=5)
    assert str(caught.value) == "the host unknown.example is not known"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://a..b/planted", "invalid URL: the host is not a valid name"),
        ("https://a:99999999/planted", "invalid URL: the port must be a number from 0 to 65535"),
        ("https://a.example:abc/planted", "invalid URL: the port must be a number from 0 to 65535"),
        ("https://[::1/planted", "invalid URL: the host is not a valid name"),
        ("https://[::1]@/planted", "invalid URL: the host is not a valid name"),
        ("http://a\u2100b/planted", "invalid URL: the host is not a valid name"),
        ("http://xn--zzzzzz/planted", "invalid URL: the host is not a valid name"),
        (f"https://{'a' * 70}.com/planted", "invalid URL: the host is not a valid name"),
        ("ftp://a/planted", "only http and https URLs may be called"),
    ],
)
async def test_an_invalid_url(url: str, message: str) -> None:
    found = await _failure(url)
    assert str(found) == message
    assert isinstance(found, OutboundRefused)


@pytest.mark.parametrize("value", ["a\nb", "a\r\nb", "a\0", "\x1b"])
async def test_a_line_break_in_a_header(value: str) -> None:
    found = await _failure("http://127.0.0.1:1/planted", headers={"X-A": value})
    assert str(found) == "header X-A contains a line break or another control character"
