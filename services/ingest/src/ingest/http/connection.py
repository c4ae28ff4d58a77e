"""One connection of the public listener: HTTP/1.x over httptools' parser (llhttp), one request after the other.

Made for what webhooks are: a small request, known whole when its head is, and a small answer. A task runs while
there are requests to answer, and each answer is one write.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

import httptools
from multidict import CIMultiDict

from ingest.http.answers import Answer
from ingest.http.request import Request
from ingest.http.request_smuggling import MAX_FIELD, MAX_HEAD, MAX_HEADERS, MAX_LINE, MalformedHead, origin_form

MAX_READ = 32 * 1024
"""How much is read at a time: so many bytes of the smallest requests are parsed before anybody else has a turn."""

MAX_AHEAD = 64 * 1024
MAX_PIPELINED = 32
"""How many bytes of bodies, and how many requests, are read ahead of those that answer them."""

MAX_FRAMING = 16
"""How many bytes a body in chunks may take for each of its own, beyond the length of a head: a chunk of one byte takes
six, the rest is for what stands beside its size, which nobody reads."""

Handler = Callable[[Request], Coroutine[Any, Any, Answer]]


class Owner(Protocol):
    """The listener, as its connections know it. It is told of each change of state."""

    draining: bool
    loop: asyncio.AbstractEventLoop
    buffer: memoryview
    """Where bytes are read into, MAX_READ of them: what is read is parsed before the next connection reads."""
    answer_timeout_s: float
    """How long a caller may take to read what it is answered."""
    answer: Handler
    """Gives the answer to a request. Never raises."""

    def malformed(self) -> Answer:
        """The answer to what is no HTTP, or beyond its bounds."""

    def opened(self, connection: "Connection", /) -> None: ...

    def closed(self, connection: "Connection", /) -> None: ...

    def busy(self, connection: "Connection", /) -> None: ...

    def resting(self, connection: "Connection", /) -> None: ...

    def lingering(self, connection: "Connection", /) -> None: ...


class Connection(asyncio.BufferedProtocol):
    """Reads requests, has them answered in their order, and lets a flood of either wait."""

    __slots__ = (
        "_ahead",
        "_ending",
        "_head_bytes",
        "_headers",
        "_heads",
        "_in_head",
        "_malformed",
        "_may_write",
        "_owner",
        "_parser",
        "_paused",
        "_reads",
        "_receiving",
        "_remote",
        "_target",
        "_task",
        "_upgrade_left",
        "_wire_bytes",
        "transport",
    )

    def __init__(self, owner: Owner) -> None:
        self.transport: asyncio.Transport | None = None
        self._owner = owner
        self._parser = httptools.HttpRequestParser(self)
        self._remote: str | None = None
        self._ahead: deque[Request] = deque()
        self._receiving: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._heads = 0
        self._head_bytes = 0
        self._upgrade_left = 0
        self._wire_bytes = 0
        self._in_head = False
        self._malformed = False
        self._reads = True
        self._ending = False
        self._paused = False
        self._may_write: asyncio.Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a request waits for its answer."""
        return self._task is not None

    # ---- what asyncio says -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is a caller."""
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._remote = peer[0] if isinstance(peer, tuple) else None
        self._owner.opened(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        """The caller is gone. What it asked is done all the same, and the answer thrown away."""
        self.transport = None
        if self._receiving is not None:
            self._receiving.fail("the connection has ended")
        self.resume_writing()
        self._owner.closed(self)

    def eof_received(self) -> bool:
        """The caller sends no more; it may still wait for answers."""
        if self._receiving is not None:
            self._receiving.fail("the connection has ended")
        self._reads = False
        return self._task is not None

    def pause_writing(self) -> None:
        """A caller that asks on and reads nothing has to wait."""
        self._may_write = self._owner.loop.create_future()

    def resume_writing(self) -> None:
        """It has read."""
        if self._may_write is not None and not self._may_write.done():
            self._may_write.set_result(None)
        self._may_write = None

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where the next bytes are to be read into."""
        return self._owner.buffer

    def buffer_updated(self, count: int) -> None:
        """Bytes of one or many requests."""
        if self._malformed or self._ending or not self._reads:
            return
        data = self._owner.buffer[:count]
        if self._upgrade_left:
            self._feed_offered(data)
        else:
            self._feed(data)
        self._go_on()

    def _go_on(self) -> None:
        """Answer what is there, and read no further than is good."""
        if self._malformed and self._receiving is not None:
            self._receiving.fail("the body is malformed")
        if self._receiving is not None or len(self._ahead) > 1:
            self._pause_if_ahead()
        if self._task is None and (self._ahead or self._malformed):
            self._owner.busy(self)
            self._task = self._owner.loop.create_task(self._serve())

    def _feed(self, data: memoryview) -> None:
        heads, was_in_head = self._heads, self._in_head
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._feed_offered(data[offer.args[0] :])
        except httptools.HttpParserError:
            self._malformed = True
        if self._in_head and was_in_head and heads == self._heads:
            self._head_bytes += len(data)
            self._malformed = self._malformed or self._head_bytes > MAX_HEAD
        elif self._receiving is not None and heads == self._heads:
            self._wire_bytes += len(data)
            most = MAX_HEAD + MAX_FRAMING * self._receiving.received
            self._malformed = self._malformed or self._wire_bytes > most

    def _feed_offered(self, data: memoryview) -> None:
        """The body of a request that offers another protocol. None is spoken here: it is answered as any other, and
        what follows it is not read. The parser leaves such a body to us."""
        request = self._receiving
        if request is not None:
            if not self._upgrade_left and "Transfer-Encoding" in request.headers:
                self._malformed = True
                return
            left = self._upgrade_left or request.declared_length or 0
            if data:
                request.feed(bytes(data[:left]))
            self._upgrade_left = max(0, left - len(data))
            if self._upgrade_left:
                return
            request.complete()
            self._receiving = None
        self._reads = False

    # ---- what the parser says ----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        self._target = b""
        self._headers = []

    def on_url(self, part: bytes) -> None:
        """Part of the target."""
        self._target += part
        self._malformed = self._malformed or len(self._target) > MAX_LINE

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, whole."""
        headers = self._headers
        headers.append((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")))
        if len(value) + len(name) > MAX_FIELD or len(headers) > MAX_HEADERS:
            self._malformed = True

    def on_headers_complete(self) -> None:
        """The head is whole."""
        parser = self._parser
        self._in_head = False
        self._heads += 1
        self._head_bytes = self._wire_bytes = 0
        if self._malformed:
            return
        version, headers = parser.get_http_version(), CIMultiDict(self._headers)
        try:
            target = origin_form(self._target.decode("ascii"), headers, version)
        except (UnicodeDecodeError, MalformedHead):
            self._malformed = True
            return
        if version not in ("1.1", "1.0"):
            self._malformed = True
            return
        request = Request(
            parser.get_method().decode("ascii"),
            target,
            headers,
            version,
            self._remote,
            keep_alive=parser.should_keep_alive(),
            on_read=self._resume_if_read,
            invite=self._invite,
        )
        self._receiving = request
        self._ahead.append(request)

    def on_body(self, chunk: bytes) -> None:
        """Part of a body."""
        if self._receiving is not None:
            self._receiving.feed(chunk)

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._receiving is not None and not self._malformed and not self._parser.should_upgrade():
            self._receiving.complete()
            self._receiving = None

    # ---- answering ---------------------------------------------------------------------------------

    async def _serve(self) -> None:
        """Answer what has come, in its order."""
        answered = 0
        while self._ahead and self.transport is not None:
            request = self._ahead.popleft()
            self._send(await self._owner.answer(request), request)
            if self._may_write is not None:
                await self._have_read(self._may_write)
            self._resume_if_read()
            answered += 1
            if answered % MAX_PIPELINED == 0:
                await asyncio.sleep(0)  # the answers may have taken no turn of the loop, and others wait for theirs
        self._task = None
        if self.transport is None or self.transport.is_closing():
            return
        if self._malformed and not self._ending:
            self._ending = True
            self.transport.write(self._owner.malformed().encode("close"))
            self._linger()
        elif not self._reads:
            self.close()
        elif not self._ending:
            self._owner.resting(self)

    def _send(self, answer: Answer, request: Request) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        # What is left of a body that nobody wanted can't be told from the next request.
        stays = request.keep_alive and request.is_complete and not answer.closes
        stays = stays and (bool(self._ahead) or (self._reads and not self._owner.draining))
        connection = "close" if not stays else ("keep-alive" if request.version == "1.0" else None)
        self.transport.write(answer.encode(connection, without_body=request.method == "HEAD"))
        if not stays:
            self._ending = True
            self._ahead.clear()
            self._linger()

    async def _have_read(self, may_write: asyncio.Future[None]) -> None:
        """Wait until the caller has read most of its answers; who doesn't has no connection."""
        try:
            async with asyncio.timeout(self._owner.answer_timeout_s):
                await may_write
        except TimeoutError:
            self.abort()

    def _linger(self) -> None:
        """End the connection when the caller has: closed over bytes that it still sends, it would lose the answer."""
        if self.transport is None:
            return
        if self._receiving is None and not self._malformed:
            self.close()
            return
        self._receiving = None
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        try:
            self.transport.write_eof()
        except OSError:  # it has gone, and we are about to be told
            self.transport.abort()
        self._owner.lingering(self)

    def close(self) -> None:
        """End the connection, when what was written is sent."""
        if self.transport is not None:
            self.transport.close()
            self._owner.lingering(self)

    def abort(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def _invite(self) -> None:
        if self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _pause_if_ahead(self) -> None:
        if self._paused or self.transport is None or self.transport.is_closing():
            return
        buffered = sum(request.buffered for request in self._ahead)
        if self._receiving is not None and self._receiving not in self._ahead:
            buffered += self._receiving.buffered
        if buffered > MAX_AHEAD or len(self._ahead) > MAX_PIPELINED:
            self._paused = True
            self.transport.pause_reading()

    def _resume_if_read(self) -> None:
        if self._paused and self.transport is not None and len(self._ahead) <= MAX_PIPELINED:
            self._paused = False
            self.transport.resume_reading()
