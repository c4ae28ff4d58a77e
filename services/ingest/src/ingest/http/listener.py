"""The public listener: the number of its connections, and the time that each may wait for its client."""

import asyncio
import resource
from collections.abc import Callable
from typing import Any, Final, cast

from aiohttp.web import Server

from filas.observability.logs import get_logger
from filas.observability.metrics import CONNECTIONS_SHED
from filas.periodic import periodic
from filas.service.private_listener import KEEP_ALIVE_S
from ingest.http import error_answers
from ingest.http.body_budget import BodyBudget
from ingest.http.connection_handler import ConnectionHandler
from ingest.http.load_shedding import ConnectionTable, Phase
from ingest.http.request import Request
from ingest.http.request_receiver import Handler

log = get_logger(__name__)

REQUEST_TIMEOUT_S: Final = 10.0
"""How long a client may take to send the head of a request, from the connection or the head's first byte on."""

ANSWER_TIMEOUT_S: Final = 10.0
"""How long a client may take to read its answers, and to end the connection after the last one."""

SPARE_FILES: Final = 128
"""How many file descriptors are left for the stores, the private listener and the logs."""

SWEEP_EVERY_S: Final = 1.0


class PublicListener(Server):
    """An aiohttp server without routes that bounds its connections.

    It closes connections that send no complete head in time, and sheds connections beyond `max_connections` (see
    ConnectionTable) and bodies beyond `body_budget` bytes. `is_shared`: whether an address is a proxy's.
    `on_malformed` is called with the address of a connection whose last request has no handler, because it can't be
    parsed, and with its rejection.

    `draining`: each connection ends with its next answer.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        max_connections: int,
        body_budget: int,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        is_shared: Callable[[str], bool] = lambda _address: False,
        on_malformed: Callable[[str | None, error_answers.RejectedRequest], None] = lambda _address, _rejection: None,
    ) -> None:
        super().__init__(cast("Any", handler))  # aiohttp's type of a handler names its own request and response
        self.draining = False
        self.answer = handler
        self.on_malformed = on_malformed
        self.answer_timeout_s = answer_timeout_s
        self.bodies = BodyBudget(body_budget)
        self._request_timeout_s = request_timeout_s
        most = max(1, min(max_connections, _available_files() - SPARE_FILES))
        self._table: ConnectionTable[ConnectionHandler] = ConnectionTable(most, self._loop.time, is_shared)
        self._ending: dict[ConnectionHandler, float] = {}
        self._shed: dict[str, int] = {}
        self._all_closed = asyncio.Event()

    @property
    def connections(self) -> list[Any]:
        """The open connections, without those that are being closed for load."""
        return list(self._table)

    @property
    def open_connections(self) -> int:
        """The number of open connections."""
        return len(self._table) + len(self._ending)

    def unsent_bytes(self) -> int:
        """The number of bytes of answers that clients have not read yet."""
        transports = [connection.transport for connection in self._table]
        return sum(transport.get_write_buffer_size() for transport in transports if transport is not None)

    def __call__(self) -> ConnectionHandler:
        """Returns the protocol for a new connection."""
        return ConnectionHandler(self, loop=self._loop)

    async def watch(self) -> None:
        """Closes the connections that wait too long for their client, until cancelled."""
        every_s = min(SWEEP_EVERY_S, self._request_timeout_s / 4, self.answer_timeout_s / 4)
        await periodic("watch-connections", self._close_overdue, every_s, wait_first=True)

    async def _close_overdue(self) -> None:
        for connection in self._table.longer_than(self._request_timeout_s, Phase.RECEIVING):
            if not connection.receives_body:  # a body has its own time limit, with an answer
                self._close_for("slow-client", connection)
        for phase, seconds in ((Phase.IDLE, KEEP_ALIVE_S), (Phase.CLOSING, self.answer_timeout_s)):
            for connection in self._table.longer_than(seconds, phase):
                connection.abort()
        latest = self._loop.time() - self.answer_timeout_s
        for connection in [one for one, since in self._ending.items() if since <= latest]:
            connection.abort()
        self._log_closed()

    def _log_closed(self) -> None:
        slow = self._shed.pop("slow-client", 0)
        if slow:
            log.warning("connections.slow_clients_closed", connections=slow, open=self.open_connections)
        for reason, count in self._shed.items():
            log.warning("connections.shed", reason=reason, connections=count, open=self.open_connections)
        self._shed.clear()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Answers the requests that have begun, for at most `timeout` seconds, and ends all connections."""
        self.draining = True
        for connection in self._table:
            if not connection.is_answering:
                self.moved(connection, Phase.CLOSING)
                connection.end()
        if self.open_connections:
            self._all_closed.clear()
            try:
                await asyncio.wait_for(self._all_closed.wait(), timeout)
            except TimeoutError:
                log.warning("connections.closed_at_shutdown", connections=self.open_connections)
        for connection in (*self._table, *self._ending):
            connection.abort()

    # ---- called by connections -----------------------------------------------------------------------------

    def connection_made(self, handler: Any, _transport: asyncio.Transport) -> None:
        """Adds the connection of a client. Beyond the limit, one connection is shed."""
        self._table.add(handler)
        shed = self._table.to_shed(handler)
        if shed is not None:
            self._close_for("connection-limit", shed)

    def connection_lost(self, handler: Any, _exc: BaseException | None = None) -> None:
        """Removes a connection that has ended."""
        self._table.remove(handler)
        self._ending.pop(handler, None)
        if not self.open_connections:
            self._all_closed.set()

    def moved(self, connection: ConnectionHandler, phase: Phase) -> None:
        """Records that the connection waits for something else."""
        if phase is Phase.IDLE and self.draining:
            phase = Phase.CLOSING
            connection.end()
        self._table.move(connection, phase)

    def over_budget(self, request: Request | None) -> None:
        """Drops what clients have sent, until the body budget is kept.

        The order is: connections of clients that do not read, then incomplete requests, then requests that were sent
        before the previous answer; the oldest first. If that is not enough, `request`, whose bytes have just arrived,
        is rejected.
        """
        for phase in (Phase.UNREAD, Phase.RECEIVING, Phase.ANSWERING):
            for one in self._table.of(phase):
                if not self.bodies.is_exceeded:
                    return
                if phase is Phase.UNREAD:
                    self._close_for("body-budget", one)
                elif one.held_bytes:
                    self._count("body-budget")
                    one.drop_incomplete(self._over_budget(one.held_bytes, closes=True))
        if self.bodies.is_exceeded and request is not None:
            rejection = self._over_budget(request.held_bytes, closes=False)
            self.bodies.held -= request.held_bytes
            request.held_bytes = 0
            request.fail(rejection)

    def _over_budget(self, held_bytes: int, *, closes: bool) -> error_answers.RejectedRequest:
        most = self.bodies.max_bytes
        return error_answers.too_large(most) if held_bytes > most else error_answers.overloaded(closes=closes)

    def _close_for(self, reason: str, connection: ConnectionHandler) -> None:
        self._count(reason)
        self._table.remove(connection)
        self._ending[connection] = self._loop.time()
        connection.shed()

    def _count(self, reason: str) -> None:
        CONNECTIONS_SHED.labels(reason).inc()
        self._shed[reason] = self._shed.get(reason, 0) + 1


def _available_files() -> int:
    """Raises the process's limit of open files as far as possible. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else 1 << 20
