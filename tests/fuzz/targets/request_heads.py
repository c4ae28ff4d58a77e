"""Request heads and framing: a head that is accepted has one meaning, however its bytes arrive.

Input: the bytes of a connection. They are parsed as a whole, byte by byte, and in two pieces.
"""

import asyncio
import re
from typing import Any

from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy

from ingest.http.client_address import ClientAddress
from ingest.http.message_framing import MessageFraming, whole_request
from ingest.http.request_smuggling import (
    MAX_FIELD,
    MAX_HEADERS,
    MAX_LINE,
    AmbiguousHead,
    check_request_line,
    target_and_headers,
)

WORDS = (
    "POST / HTTP/1.1\r\n", "GET ", "HTTP/1.0", "Host: a\r\n", "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n", "\r\n\r\n", "5\r\nhello\r\n", "0\r\n\r\n", "0\r\nA: b\r\n\r\n", "http://",
    "https://a", "Connection: close\r\n", "Connection: upgrade\r\nUpgrade: websocket\r\n", "%2F",
    "Expect: 100-continue\r\n", ";ext=1", "+5", "0x5", "\r\n ",
)  # fmt: skip
_HEAD = re.compile(rb"[A-Z-]+ [!-~]+ HTTP/1\.[01]\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*[^\x00\r\n]*\r\n)*\r\n")
"""A head by RFC 9112 without obsolete line folding."""

Parsed = tuple[str, str, tuple[tuple[str, str], ...], bytes]

_loop = asyncio.new_event_loop()
_ADDRESSES = ClientAddress(())


class _Protocol:
    """What the parser needs of a connection."""

    _reading_paused = False

    def pause_reading(self, *_arguments: Any, **_options: Any) -> None:
        """Nothing waits here."""

    def resume_reading(self, *_arguments: Any, **_options: Any) -> None:
        """Nothing waits here."""


class _Connection:
    """Parses the bytes of a connection, as `request_receiver` does."""

    def __init__(self) -> None:
        self.requests: list[Parsed] = []
        self.has_ended = False
        self._parser = self._new_parser()
        self._framing = MessageFraming()
        self._rest = b""
        self._open: tuple[str, str, Any, Any] | None = None

    @staticmethod
    def _new_parser() -> Any:
        return HttpRequestParser(
            _Protocol(),  # type: ignore[arg-type] # only the methods that the parser calls
            _loop,
            2**20,
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            max_headers=MAX_HEADERS,
            auto_decompress=False,
        )

    def receive(self, data: bytes) -> None:
        """Parses `data` after what has arrived before."""
        data, position = self._rest + data, 0
        try:
            while position < len(data) and not self.has_ended:
                is_head = self._framing.expects_head
                begin, end = self._framing.next_piece(data, position)
                if end < 0:
                    position = begin if begin > position else position
                    break
                assert position <= begin <= end <= len(data)
                assert not data[position:begin].strip(b"\r\n")
                assert end > position
                position = self._head(data, begin, end) if is_head else self._body(data[begin:end], end)
        except AmbiguousHead:
            self.has_ended = True
        self._rest = data[position:]

    def _head(self, data: bytes, begin: int, end: int) -> int:
        check_request_line(data, begin)
        parsed = whole_request(data, begin, end)
        try:
            ((message, payload),) = self._parser.feed_data(data[begin:parsed])[0]
        except (HttpProcessingError, ValueError):
            raise AmbiguousHead from None
        target, headers = target_and_headers(message)
        if parsed > end and (not payload.is_eof() or payload.total_bytes != parsed - end):
            raise AmbiguousHead
        _check_accepted(data[begin:end], message, target, headers)
        self._open = (message.method, target, headers, payload)
        if payload.is_eof():
            self._complete(keep_alive=not (message.should_close or message.upgrade))
        else:
            length = headers.get("Content-Length")
            self._framing.begin_body(None if message.chunked else int(length or 0))
            self._keep_alive = not (message.should_close or message.upgrade)
        return parsed

    def _body(self, piece: bytes, end: int) -> int:
        assert self._open is not None
        try:
            self._parser.feed_data(piece)
        except (HttpProcessingError, ValueError, RuntimeError):
            self.has_ended = True
            return end
        payload = self._open[3]
        if payload.is_eof():
            if self._framing.end_body():
                self._parser = self._new_parser()
            self._complete(keep_alive=self._keep_alive)
        elif self._framing.exceeds_framing(payload.total_bytes):
            self.has_ended = True
        return end

    def _complete(self, *, keep_alive: bool) -> None:
        assert self._open is not None
        method, target, headers, payload = self._open
        body = payload.read_nowait()
        self.requests.append((method, target, tuple(headers.items()), body))
        self._open = None
        self.has_ended = self.has_ended or not keep_alive


def _check_accepted(head: bytes, message: Any, target: str, headers: CIMultiDictProxy[str]) -> None:
    """The head is one by the strict grammar, and has one length and one host."""
    assert _HEAD.fullmatch(head), head
    assert len(headers.getall("Host", [])) == (1 if message.version.minor == 1 else len(headers.getall("Host", [])))
    lengths, codings = headers.getall("Content-Length", []), headers.getall("Transfer-Encoding", [])
    assert len(lengths) + len(codings) <= 1, head
    assert all(length.isascii() and length.isdigit() for length in lengths), head
    assert bool(message.chunked) == bool(codings), head
    assert target.isascii()
    _ADDRESSES.url(None, target, headers)


def fuzz(data: bytes) -> None:
    """The same requests, whether the bytes arrive at once or in pieces."""
    whole, single, halves = _Connection(), _Connection(), _Connection()
    whole.receive(data)
    for begin in range(len(data)):
        single.receive(data[begin : begin + 1])
    middle = data.find(b"\r\n") + 1 or len(data) // 2
    halves.receive(data[:middle])
    halves.receive(data[middle:])
    assert whole.requests == single.requests == halves.requests, (whole.requests, single.requests, halves.requests)
