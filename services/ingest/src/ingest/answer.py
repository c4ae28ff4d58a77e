"""The public listener's answers: small, and written in one piece."""

import functools
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import web

_MOST_UNSENT = 64 * 1024


class Answer(web.StreamResponse):
    """A whole answer. aiohttp's own Response assembles its head anew for each, at several times the price."""

    def __init__(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        *,
        closes: bool = False,
    ) -> None:
        """`headers` are ours, never a caller's. `closes`: the connection ends with this answer."""
        super().__init__(status=status)
        self._content = body
        self._head = _head(status, content_type)
        self._more = headers or {}
        self._closes = closes

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write it. Raises ConnectionResetError when the caller is gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the caller is gone")
        self._keep_alive = request.keep_alive and not self._closes
        lines = [self._head, f"Content-Length: {len(self._content)}\r\nDate: {_date(int(time.time()))}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in self._more.items()]
        if not self._keep_alive:
            lines.append("Connection: close\r\n")
        elif request.version < (1, 1):
            lines.append("Connection: keep-alive\r\n")
        lines.append("\r\n")
        head = "".join(lines).encode("latin-1")
        transport.write(head if request.method == "HEAD" else head + self._content)
        if transport.get_write_buffer_size() > _MOST_UNSENT:
            await request.writer.drain()  # a caller that asks on and reads nothing has to wait

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


@functools.lru_cache(maxsize=256)
def _head(status: int, content_type: str) -> str:
    phrase = HTTPStatus(status).phrase
    return f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {content_type}\r\nX-Content-Type-Options: nosniff\r\n"


@functools.lru_cache(maxsize=2)
def _date(now_s: int) -> str:
    return formatdate(now_s, usegmt=True)
