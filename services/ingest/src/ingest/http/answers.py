"""The public listener's answers: small, and sent in one write."""

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus


@dataclass(slots=True)
class Answer:
    """A complete answer. `headers` must not come from a request. `closes`: the connection ends after the answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    closes: bool = False

    def encode(self, connection: str | None, *, without_body: bool = False) -> bytes:
        """Returns the bytes of the answer. `connection`: the value of the header `Connection`; None: no such header."""
        own = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()])
        last = "" if connection is None else f"Connection: {connection}\r\n"
        date = _date(int(time.time()))
        if self.status == HTTPStatus.NO_CONTENT:  # has neither a body nor a length (RFC 9110, 8.6)
            return f"HTTP/1.1 204 No Content\r\nDate: {date}\r\n{own}{last}\r\n".encode("latin-1")
        head = f"{_head(self.status, self.content_type)}{len(self.body)}\r\nDate: {date}\r\n{own}{last}\r\n"
        return head.encode("latin-1") if without_body else head.encode("latin-1") + self.body


@functools.lru_cache(maxsize=256)
def _head(status: int, content_type: str) -> str:
    phrase = HTTPStatus(status).phrase
    return (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {content_type}\r\nX-Content-Type-Options: nosniff\r\n"
        "Content-Length: "
    )


@functools.lru_cache(maxsize=2)
def _date(now_s: int) -> str:
    return formatdate(now_s, usegmt=True)
