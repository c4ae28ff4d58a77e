"""The reading half of a connection: parses its bytes into requests and queues them until they are answered.

aiohttp's parser gets each head after the head was checked as it was sent, and no piece that reaches into the next
request.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, cast

from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestHandler

from ingest.http import error_answers
from ingest.http.answers import Answer
from ingest.http.body_budget import BodyBudget
from ingest.http.load_shedding import Phase, address_key
from ingest.http.message_framing import MessageFraming, whole_request
from ingest.http.request import Request
from ingest.http.request_smuggling import (
    MAX_FIELD,
    MAX_HEADERS,
    MAX_LINE,
    AmbiguousHead,
    check_request_line,
    target_and_headers,
)

READ_BUFFER: Final = 32 * 1024
"""aiohttp stops reading a connection while more than twice so many bytes of a body wait for the handler."""

MAX_PIPELINED: Final = 32
"""How many requests are read ahead of the one that is being answered, and how many are answered in a row before other
connections get their turn."""

MAX_AHEAD: Final = 64 * 1024
"""How many bytes of requests are read ahead of the one that is being answered."""

MAX_PIECES: Final = 500
"""How many pieces are parsed in a row: a chunked body may consist of tiny ones."""

Handler = Callable[[Request], Coroutine[Any, Any, Answer]]


class Owner(Protocol):
    """The listener, as its connections see it."""

    draining: bool
    """Whether each connection ends with its next answer."""
    answer_timeout_s: float
    """How long a client may take to read its answers."""
    bodies: BodyBudget
    answer: Handler
    """Answers a request. Never raises."""
    on_malformed: Callable[[str | None, error_answers.RejectedRequest], None]
    """Is called with the address of a connection and the rejection of its last request, which can't be parsed."""

    def moved(self, connection: Any, phase: Phase, /) -> None:
        """The connection waits for something else."""

    def over_budget(self, request: Request | None, /) -> None:
        """The bytes that have just arrived exceed the body budget; `request` has got them, if its head is complete."""


class RequestReceiver(RequestHandler):
    """Reads requests, and stops reading while too much waits. The subclass answers them."""

    __slots__ = (
        "_answering",
        "_body",
        "_framing",
        "_has_answered",
        "_input_ended",
        "_owner",
        "_queued_bytes",
        "_rejection",
        "_requests",
        "_unparsed",
        "_unparsed_held",
        "address_key",
        "phase",
        "remote",
    )

    def __init__(self, owner: Owner, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            cast("Any", owner),
            loop=loop,
            keepalive_timeout=0,  # the listener closes idle connections
            tcp_keepalive=False,
            access_log=cast("Any", None),
        )
        self._owner = owner
        self._parser = self._new_parser()
        self._framing = MessageFraming()
        self._requests: deque[Request] = deque()
        self._answering: Request | None = None
        self._body: Request | None = None  # the request whose body is arriving
        self._queued_bytes = 0  # of `_requests`
        self._unparsed = b""
        self._unparsed_held = 0
        self._has_answered = False
        self._input_ended = False  # nothing is parsed any more
        self._rejection: error_answers.RejectedRequest | None = None  # the last answer, after those to `_requests`
        self.remote: str | None = None
        self.address_key = ""
        self.phase = Phase.RECEIVING

    def _new_parser(self) -> Any:
        # A signature covers the bytes that were sent, so nothing is decompressed.
        return HttpRequestParser(
            self,
            self._loop,
            READ_BUFFER,
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            max_headers=MAX_HEADERS,
            auto_decompress=False,
        )

    @property
    def receives_body(self) -> bool:
        """Whether it has a complete head and waits for the body."""
        return self._body is not None

    @property
    def is_answering(self) -> bool:
        """Whether a handler has the request, complete or not."""
        return self._answering is not None or bool(self._requests)

    # ---- called by asyncio and aiohttp -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        peer = transport.get_extra_info("peername")
        self.remote = peer[0] if isinstance(peer, tuple) else None
        self.address_key = address_key(self.remote)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone. The request that a handler has is processed nevertheless, and its answer is dropped. The
        requests after it are dropped.
        """
        self._end_input(error_answers.incomplete_body())
        self._count_unparsed()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's type: True keeps a half-closed connection
        """Handles the end of the client's input. The client may still read answers. Returns whether the connection is
        kept.
        """
        self._end_input(error_answers.incomplete_body())
        return self.is_answering or self._rejection is not None

    def data_received(self, data: bytes) -> None:
        """Handles the bytes of one or many requests. Empty `data`: continues with the bytes left when reading was
        paused.
        """
        if self._input_ended or self._parser is None:
            return
        if not data and self._body is not None:
            self._feed_body(b"")  # the parser itself keeps what follows a pause
        if self._unparsed:
            data, self._unparsed = self._unparsed + data, b""
        try:
            position = self._parse(data)
        except AmbiguousHead:
            self._end_input(error_answers.malformed(), is_answered=True)
        else:
            self._keep(data[position:])
        if len(self._unparsed) != self._unparsed_held:
            self._count_unparsed()
            if self._owner.bodies.is_exceeded:
                self._owner.over_budget(None)
        self._report_phase()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Continues reading, because the buffer of the body has room. aiohttp calls this after every read, also if
        reading was not paused.
        """
        if self._reading_paused:
            super().resume_reading(resume_parser)

    # ---- reading -----------------------------------------------------------------------------------------

    def _parse(self, data: bytes) -> int:
        """Parses `data` as far as possible. Returns the position of the rest. Raises AmbiguousHead."""
        position, pieces = 0, 0
        while position < len(data) and not (self._input_ended or self._reading_paused or self._buffer_paused):
            if pieces == MAX_PIECES:
                self._pause_reading_for_buffer()
                self._loop.call_soon(self._continue_reading)
                break
            is_head = self._framing.expects_head
            position, end = self._framing.next_piece(data, position)
            if end < 0:
                break
            if is_head:
                end = self._receive_head(data, position, end)
            else:
                self._feed_body(data[position:end])
            position, pieces = end, pieces + 1
        return position

    def _keep(self, rest: bytes) -> None:
        if not self._input_ended:
            self._unparsed = rest

    def _continue_reading(self) -> None:
        """Parses the bytes that are left, and resumes reading if there is room."""
        self._buffer_paused = False
        self.data_received(b"")
        if not self._buffer_paused and not self._reading_paused:
            self._resume_transport_reading()

    def _receive_head(self, data: bytes, begin: int, end: int) -> int:
        """Parses the head `data[begin:end]`, and its body if that is small and has arrived too.

        Returns the position after the parsed bytes. Raises AmbiguousHead.
        """
        check_request_line(data, begin)
        parsed = whole_request(data, begin, end)
        try:
            ((message, payload),) = cast("Any", self._parser).feed_data(data[begin:parsed])[0]
        except (HttpProcessingError, ValueError):
            raise AmbiguousHead from None
        target, headers = target_and_headers(message)
        is_complete = payload.is_eof()
        if parsed > end and (not is_complete or payload.total_bytes != parsed - end):
            raise AmbiguousHead
        request = Request(message, target, headers, payload, self)
        request.held_bytes = parsed - begin
        self._owner.bodies.held += parsed - begin
        self._requests.append(request)
        if is_complete:
            self._request_complete(request)
        else:
            self._body = request
            self._framing.begin_body(None if message.chunked else request.declared_length)
        self._queued(parsed - begin)
        self._wake()
        return parsed

    def _queued(self, count: int) -> None:
        """Adds to the number of bytes that wait for earlier requests to be answered."""
        self._queued_bytes += count
        if len(self._requests) >= MAX_PIPELINED or self._queued_bytes > MAX_AHEAD:
            self._pause_reading_for_buffer()

    def _feed_body(self, piece: bytes) -> None:
        """Passes on a piece of the body, which does not reach beyond the end of the body."""
        request = cast("Request", self._body)
        try:
            cast("Any", self._parser).feed_data(piece)
        except (HttpProcessingError, ValueError, RuntimeError):  # the body's stream raises RuntimeError
            self._end_input(error_answers.incomplete_body())
            return
        request.held_bytes += len(piece)
        self._owner.bodies.held += len(piece)
        if request is not self._answering and self._requests:
            self._queued(len(piece))
        if request.is_complete:
            self._body = None
            if self._framing.end_body():
                # aiohttp's parser adds the last trailer of a chunked body to the headers of the next request.
                self._parser = self._new_parser()
            self._request_complete(request)
            return
        if not self._reading_paused and self._framing.exceeds_framing(request.received_bytes):
            self._end_input(error_answers.incomplete_body())
        elif self._owner.bodies.is_exceeded:
            self._owner.over_budget(None)

    def _request_complete(self, request: Request) -> None:
        if not request.keep_alive:
            self._input_ended = True
        if self._owner.bodies.is_exceeded:
            self._owner.over_budget(request)

    def _end_input(self, rejection: error_answers.RejectedRequest, *, is_answered: bool = False) -> None:
        """Discards what the client sends from now on.

        An incomplete body fails with `rejection`. If there is none and `is_answered`, the rejection is the last answer.
        """
        self._input_ended = True
        self._unparsed = b""
        if self._body is not None:
            self._body.fail(rejection)
        elif is_answered:
            self._rejection = rejection
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def send_continue(self) -> None:
        """Ask the client for the body."""
        if self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _report_phase(self) -> None:
        """Reports to the listener what the connection waits for, if that has changed."""
        request = self._answering or (self._requests[0] if self._requests else None)
        if self._paused:
            phase = Phase.UNREAD
        elif request is not None:
            phase = Phase.ANSWERING if request.is_complete else Phase.RECEIVING
        elif self._unparsed or not self._has_answered:
            phase = Phase.RECEIVING
        else:
            phase = Phase.IDLE
        if phase is not self.phase:
            self._owner.moved(self, phase)

    # ---- body budget ---------------------------------------------------------------------------------------

    @property
    def held_bytes(self) -> int:
        """How many bytes of an incomplete request count in the body budget."""
        return self._unparsed_held + (0 if self._body is None else self._body.held_bytes)

    def _release(self, request: Request) -> None:
        self._owner.bodies.held -= request.held_bytes
        request.held_bytes = 0

    def _discard_all(self) -> None:
        """Discards everything that no handler has, and releases its bytes. Nothing is received after this."""
        self._end_input(error_answers.incomplete_body())
        self._count_unparsed()
        while self._requests:
            self._release(self._requests.popleft())

    def _count_unparsed(self) -> None:
        self._owner.bodies.held += len(self._unparsed) - self._unparsed_held
        self._unparsed_held = len(self._unparsed)

    def drop_incomplete(self, rejection: error_answers.RejectedRequest) -> None:
        """Releases the bytes of the incomplete request, and answers it with `rejection`."""
        if self._body is not None:
            self._release(self._body)
        self._end_input(rejection, is_answered=True)
        self._count_unparsed()
