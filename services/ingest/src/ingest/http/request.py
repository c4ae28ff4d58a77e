"""A request of the public listener: its target and headers as they were sent, and its body within bounds."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from aiohttp import StreamReader, hdrs
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDictProxy, MultiDict, MultiDictProxy
from yarl import URL

from filas.contract.storable_text import header_text
from ingest.event.body_parsing import collected
from ingest.forms.percent_encoding import unquoted
from ingest.http import error_answers

BEGINNING_BYTES = 8192
"""How much is kept of a body that is not received as a whole."""

_NO_QUERY: MultiDictProxy[str] = MultiDictProxy(MultiDict())


class Connection(Protocol):
    """The connection, as its requests see it."""

    remote: str | None
    """The address of the other end."""

    def send_continue(self) -> None:
        """Ask the client for the body."""


class Request:
    """One request. `target` is the path and query as they were sent; header values are as they were sent, with bytes
    that are not UTF-8 as lone surrogates; `remote` is the address of the connection's other end.

    `held_bytes` is what the request counts for in the body budget. `beginning` is what has been read of the body.
    """

    __slots__ = (
        "_connection",
        "_payload",
        "beginning",
        "headers",
        "held_bytes",
        "is_http_1_0",
        "keep_alive",
        "method",
        "remote",
        "target",
    )

    def __init__(
        self,
        message: RawRequestMessage,
        target: str,
        headers: CIMultiDictProxy[str],
        payload: StreamReader,
        connection: Connection,
    ) -> None:
        self.method = message.method
        self.target = target
        self.headers = headers
        self.is_http_1_0 = message.version.minor == 0
        self.keep_alive = not (message.should_close or message.upgrade)
        self.remote = connection.remote
        self.held_bytes = 0
        self.beginning = b""
        self._payload = payload
        self._connection = connection

    @property
    def path(self) -> str:
        """Returns the path, percent-decoded."""
        path = self.target.partition("?")[0]
        return unquoted(path.encode()).decode("utf-8", "replace") if "%" in path else path

    @property
    def query(self) -> Mapping[str, str]:
        """Returns the decoded query parameters. Repeated names are kept."""
        text = self.target.partition("?")[2].partition("#")[0]
        return URL.build(path="/", query_string=text, encoded=True).query if text else _NO_QUERY

    @property
    def declared_length(self) -> int | None:
        """Returns the length by `Content-Length`, in bytes; None without that header."""
        declared = self.headers.get(hdrs.CONTENT_LENGTH)
        # The parser accepts any number of leading zeros; int() refuses more than 4,300 digits.
        return None if declared is None else int(declared.lstrip("0") or "0")

    @property
    def is_complete(self) -> bool:
        """Whether the whole body has arrived."""
        return self._payload.is_eof()

    @property
    def received_bytes(self) -> int:
        """Returns the number of bytes of the body that have arrived."""
        return self._payload.total_bytes

    def fail(self, rejection: error_answers.RejectedRequest) -> None:
        """Discards what has arrived of the body. Reading the body raises `rejection` from now on."""
        if self._payload.exception() is None:
            with suppress(RuntimeError):  # a handler waits for more: it has read all that has arrived
                self._payload.read_nowait()
        self._payload.set_exception(rejection)

    def complete_body(self, max_bytes: int) -> bytes | None:
        """Returns the body if it arrived with its head, as small bodies do, and has at most `max_bytes`; else None."""
        payload = self._payload
        if not payload.is_eof() or payload.total_bytes > max_bytes or payload.exception() is not None:
            return None
        self.beginning = body = payload.read_nowait()
        return body

    def read_beginning(self, max_bytes: int) -> bytes:
        """Returns the first `max_bytes` of what was read of the body. If nothing was, and the whole body has arrived,
        they are read now. No other method may read the body afterwards."""
        if not self.beginning and self._payload.is_eof() and self._payload.exception() is None:
            self.beginning = self._payload.read_nowait(max_bytes)
        return self.beginning[:max_bytes]

    async def read_body(self, max_bytes: int, timeout_s: float) -> bytes:
        """Returns the body. At most `max_bytes` of it, and a buffer of the connection, are in memory.

        Raises RejectedRequest: 413 too large, 408 not complete within `timeout_s`, 400 ended early, 503 over the
        budget.
        """
        declared = self.declared_length
        if declared is not None and declared > max_bytes:
            raise error_answers.too_large(max_bytes)
        expects = self.headers.get(hdrs.EXPECT, "").lower() == "100-continue"
        if expects and not self.is_complete and not self.is_http_1_0:
            self._connection.send_continue()
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(timeout_s):
                while part := await self._payload.readany():
                    size += len(part)
                    parts.append(part)
                    if size > max_bytes:
                        raise error_answers.too_large(max_bytes)
        except (TimeoutError, error_answers.RejectedRequest) as error:
            self.beginning = _beginning(parts)
            # The stream keeps the exception, whose traceback keeps this frame until the next garbage collection.
            parts.clear()
            raise error_answers.slow_body() if isinstance(error, TimeoutError) else error from None
        self.beginning = b"".join(parts)
        return self.beginning


def _beginning(parts: list[bytes]) -> bytes:
    found = b""
    for part in parts:
        found += part[: BEGINNING_BYTES - len(found)]
    return found


def stored_headers(headers: Mapping[str, str], hidden: frozenset[str]) -> dict[str, str]:
    """Returns the headers with lower-case names, without those in `hidden`. Repeated headers are joined by commas."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower in hidden:
            continue
        clean = header_text(value)
        found[lower] = f"{found[lower]}, {clean}" if lower in found else clean
    return found


def stored_query(query: Mapping[str, str], hidden: frozenset[str] = frozenset()) -> dict[str, str | list[str]]:
    """Returns the query parameters, without those in `hidden`. A repeated parameter is a list."""
    if not query:
        return {}
    return collected([(header_text(name), header_text(value)) for name, value in query.items() if name not in hidden])
