"""One connection of the public listener: aiohttp's request handler with our framing and our answers.

Differs from aiohttp's own loop in these points: no task and no response object is made for each request, a half-closed
connection still gets its answers, and a client that is still sending can read its last answer.
"""

import asyncio

from ingest.http import error_answers
from ingest.http.answers import Answer
from ingest.http.load_shedding import Phase
from ingest.http.request import Request
from ingest.http.request_receiver import MAX_AHEAD, MAX_PIPELINED, RequestReceiver


class ConnectionHandler(RequestReceiver):
    """Answers the requests of one connection, in their order."""

    __slots__ = ()

    async def start(self) -> None:
        """Answers the requests in their order until the connection ends."""
        answered = 0
        try:
            while not self._force_close:
                if not self._requests:
                    if self._input_ended:
                        break
                    await self._next_request()
                    continue
                request = self._answering = self._requests.popleft()
                self._continue_after_request()
                answer = await self._owner.answer(request)
                self._answering = None
                self._release(request)
                if not self._send(answer, request):
                    break
                if self._paused:
                    await self._client_has_read()
                answered += 1
                if answered % MAX_PIPELINED == 0:
                    await asyncio.sleep(0)  # a handler may answer without ever waiting
                if not self._requests:
                    self._report_phase()
            self._finish()
        finally:
            self._discard_all()

    async def _next_request(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _continue_after_request(self) -> None:
        """Updates the bounds after a request was removed from the queue, so that reading can continue."""
        if self._parser is not None:
            self._parser.message_consumed()
        self._queued_bytes = sum(request.held_bytes for request in self._requests) if self._requests else 0
        if self._buffer_paused and len(self._requests) <= MAX_PIPELINED // 2 and self._queued_bytes <= MAX_AHEAD // 2:
            self._continue_reading()

    def _send(self, answer: Answer, request: Request) -> bool:
        """Sends the answer. Returns whether the connection is kept."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        # The rest of a body that was not read could be parsed as the next request.
        keeps = request.keep_alive and request.is_complete and not answer.closes
        if keeps and not self._requests and self._rejection is None:
            keeps = not (self._input_ended or self._owner.draining)
        connection = "close" if not keeps else ("keep-alive" if request.is_http_1_0 else None)
        transport.write(answer.encode(connection, without_body=request.method == "HEAD"))
        self._has_answered = True
        return keeps

    async def _client_has_read(self) -> None:
        """Waits until the client has read most of its answers. Ends the connection after the time limit."""
        self._report_phase()
        try:
            async with asyncio.timeout(self._owner.answer_timeout_s):
                await self._drain_helper()
        except TimeoutError:
            self.abort()
        except ConnectionError:  # the client has ended the connection
            pass

    def _finish(self) -> None:
        """Sends the last answer, and ends the connection when the client can have read the answer.

        A connection that is closed while the client still sends is reset, and the client loses the answer.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        is_sending = self._body is not None or self._rejection is not None
        if self._rejection is not None and not self._requests:
            self._owner.on_malformed(self.remote, self._rejection)
            transport.write(self._rejection.answer().encode("close"))
        self._rejection = None
        self._end_input(error_answers.incomplete_body())
        self._owner.moved(self, Phase.CLOSING)
        if not is_sending:
            transport.close()
            return
        self._resume_transport_reading()
        try:
            transport.write_eof()
        except OSError:  # the client has ended the connection
            transport.abort()

    # ---- called by the listener ------------------------------------------------------------------------------

    def shed(self) -> None:
        """Ends the connection at once, because of load. An incomplete request is answered with 503."""
        transport = self.transport
        if transport is None:
            return
        if self.phase in (Phase.CLOSING, Phase.UNREAD):
            self._discard_all()
            transport.abort()
            return
        if self._body is not None:
            rejection = error_answers.unavailable("connection-limit", "too many connections", closes=True)
            transport.write(rejection.uncounted_answer().encode("close"))  # the handler counts the request
            self._end_input(rejection)
        transport.close()

    def end(self) -> None:
        """Ends the connection after everything that was written is sent."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Ends the connection at once."""
        if self.transport is not None:
            self.transport.abort()
