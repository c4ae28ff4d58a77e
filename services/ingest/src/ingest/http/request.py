"""A request as the public listener reads it: the body within its bounds, headers and query as they are stored."""

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from multidict import CIMultiDict, MultiDict, MultiDictProxy
from yarl import URL

from filas.errors import FilasError
from ingest.event.body_parsing import collected

_NO_QUERY: MultiDictProxy[str] = MultiDictProxy(MultiDict())


class BodyTooLarge(FilasError):
    """The body has more bytes than the webhook takes."""


class BodyTooSlow(FilasError):
    """The body was not there in time."""


class BodyBroken(FilasError):
    """The body ended early, or its transfer encoding is wrong."""


class Request:
    """One request. `target` is the path and query as they were sent; header values are as they were sent, what
    isn't UTF-8 as lone surrogates; `remote` is the other end of the connection.

    The connection feeds the body in; `on_read` is called whenever what has come was taken out, `invite` sends
    `100 Continue`.
    """

    __slots__ = (
        "_chunks",
        "_failure",
        "_more",
        "_on_read",
        "buffered",
        "headers",
        "invite",
        "is_complete",
        "keep_alive",
        "method",
        "received",
        "remote",
        "target",
        "version",
    )

    def __init__(  # a request has that many parts
        self,
        method: str,
        target: str,
        headers: CIMultiDict[str],
        version: str,
        remote: str | None,
        *,
        keep_alive: bool,
        on_read: Callable[[], None],
        invite: Callable[[], None],
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.version = version
        self.remote = remote
        self.keep_alive = keep_alive
        self.is_complete = False
        self.buffered = self.received = 0
        self.invite = invite
        self._on_read = on_read
        self._chunks: list[bytes] = []
        self._failure: str | None = None
        self._more: asyncio.Future[None] | None = None

    @property
    def path(self) -> str:
        """The path, percent-decoded."""
        path = self.target.partition("?")[0]
        return unquote(path) if "%" in path else path

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters, decoded; several of one name are kept."""
        text = self.target.partition("?")[2].partition("#")[0]
        return URL.build(path="/", query_string=text, encoded=True).query if text else _NO_QUERY

    @property
    def declared_length(self) -> int | None:
        """How many bytes the body is said to have; None: it isn't said."""
        declared = self.headers.get("Content-Length")
        # The parser has taken it for a number of 64 bits, but any number of zeros may stand before it.
        return None if declared is None else int(declared.strip().lstrip("0") or "0")

    def feed(self, chunk: bytes) -> None:
        """More of the body."""
        self._chunks.append(chunk)
        self.buffered += len(chunk)
        self.received += len(chunk)
        self._wake()

    def complete(self) -> None:
        """The body is whole."""
        self.is_complete = True
        self._wake()

    def fail(self, reason: str) -> None:
        """The body will never be whole."""
        if not self.is_complete:
            self._failure = reason
            self._wake()

    def body_at_hand(self, max_bytes: int) -> bytes | None:
        """The raw body if it has arrived with its head, as small ones do, and is small enough; else None."""
        if not self.is_complete or self.buffered > max_bytes:
            return None
        return self._take()

    async def read(self, max_bytes: int, timeout_s: float) -> bytes:
        """The raw body, never more than `max_bytes` of it in memory (and a buffer of the connection).

        Raises BodyTooLarge, BodyTooSlow and BodyBroken.
        """
        declared = self.declared_length
        if declared is not None and declared > max_bytes:
            raise BodyTooLarge
        if not self.is_complete and self.version != "1.0" and self.headers.get("Expect", "").lower() == "100-continue":
            self.invite()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._read(max_bytes)
        except TimeoutError:
            raise BodyTooSlow from None

    async def _read(self, max_bytes: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            part = self._take()
            size += len(part)
            if size > max_bytes:
                raise BodyTooLarge
            parts.append(part)
            if self.is_complete:
                return b"".join(parts)
            if self._failure is not None:
                raise BodyBroken(self._failure)
            self._more = asyncio.get_running_loop().create_future()
            await self._more

    def _take(self) -> bytes:
        chunks, self._chunks, self.buffered = self._chunks, [], 0
        self._on_read()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)


def storable(text: str) -> str:
    """`text` as it can be stored: what came as bytes that aren't UTF-8 reads as Latin-1, a NUL is replaced."""
    if text.isascii() and "\x00" not in text:
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "surrogateescape" if _is_escaped(text) else "replace").decode("latin-1")
    return text.replace("\x00", "\ufffd")


def _is_escaped(text: str) -> bool:
    return all(not "\ud800" <= character <= "\udfff" or "\udc80" <= character <= "\udcff" for character in text)


def stored_headers(headers: Mapping[str, str], hidden: frozenset[str]) -> dict[str, str]:
    """The headers with lower-case names, a repeated one joined by commas, without those in `hidden`."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower in hidden:
            continue
        clean = storable(value)
        found[lower] = f"{found[lower]}, {clean}" if lower in found else clean
    return found


def stored_query(query: Mapping[str, str]) -> dict[str, str | list[str]]:
    """The query parameters; what is given more than once is a list."""
    if not query:
        return {}
    return collected([(storable(name), storable(value)) for name, value in query.items()])
