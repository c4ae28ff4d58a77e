"""Redirects of the servers that Filas calls: a call that may be made, or OutboundRefused without the address.

Input: the method and the address, then lines of a status and a `Location`.
"""

import asyncio
from typing import Any

from yarl import URL

from filas.errors import OutboundRefused
from filas.outbound.client import MAX_REDIRECTS, OutboundClient, _Call
from filas.outbound.outbound_response import OutboundResponse
from tests.fuzz.target import first_line, unicode_of
from tests.fuzz.virtual_time import VirtualTimeLoop

WORDS = (
    "GET ", "POST ", "HEAD ", "http://", "https://", "//", "a.example", "b.example", "127.0.0.1", "[::1]",
    "[::ffff:127.0.0.1]", "0x7f.1", "2130706433", ":80", ":443", ":0", ":99999", "@", "user:hunter2-hunter2@", "#", "?",
    "%2e%2e", "..", "\\", "file:///", "javascript:", "301 ", "302 ", "303 ", "307 ", "308 ", "\u3002", "xn--", "%00",
)  # fmt: skip
SECRET = "hunter2-hunter2"
HEADERS = {"Authorization": f"Bearer {SECRET}", "Content-Type": "text/plain", "X-Api-Key": SECRET, "Accept": "*/*"}


class _Redirected(OutboundClient):
    """Answers each call with the next redirect, and after the last one with 200. Keeps the calls."""

    def __init__(self, answers: list[tuple[int, str | None]]) -> None:
        super().__init__(ports=(80, 443))
        self._answers = answers
        self.calls: list[_Call] = []

    async def _once(self, call: _Call, *_: Any) -> tuple[str | None, OutboundResponse]:
        self.calls.append(call)
        status, location = self._answers.pop(0) if self._answers else (200, None)
        return location, OutboundResponse(status=status, headers={}, body=b"", url=str(call.url))


_LOOP = VirtualTimeLoop()


def fuzz(data: bytes) -> None:
    """Makes the call."""
    line, rest = first_line(data)
    method, _, url = line.partition(" ")
    answers: list[tuple[int, str | None]] = []
    for one in unicode_of(rest).split("\n")[: MAX_REDIRECTS + 2]:
        status, _, location = one.partition(" ")
        answers.append((int(status) if status in ("301", "302", "303", "307", "308") else 302, location))
    client = _Redirected(answers)
    asyncio.set_event_loop(_LOOP)
    try:
        _LOOP.run(client.request(method or "GET", url, headers=HEADERS, body=b"a", timeout_s=10.0))
    except OutboundRefused as refused:
        assert SECRET not in str(refused)
        assert "\n" not in str(refused)
    finally:
        asyncio.set_event_loop(None)
    assert len(client.calls) <= MAX_REDIRECTS + 1
    for before, after in zip(client.calls, client.calls[1:], strict=False):
        _check(before, after)


def _check(before: _Call, after: _Call) -> None:
    """What a redirect may not do."""
    assert after.url.scheme in ("http", "https")
    assert after.url.host
    assert after.url.port in (80, 443)
    assert (before.url.scheme, after.url.scheme) != ("https", "http")
    assert URL(str(after.url)) == after.url
    if before.url.origin() != after.url.origin():
        assert SECRET not in str(dict(after.headers)), after.headers
