"""The public listener's connections: how many, and for how long one may stay silent."""

import asyncio
import resource

from filas.observability.logs import get_logger
from filas.observability.metrics import CONNECTIONS_SHED
from filas.service.private_listener import KEEP_ALIVE_S
from ingest.http import error_answers
from ingest.http.answers import Answer
from ingest.http.connection import MAX_READ, Connection, Handler

log = get_logger(__name__)

REQUEST_TIMEOUT_S = 10.0
"""How long a new connection may take until the head of its first request is there."""

ANSWER_TIMEOUT_S = 10.0
"""How long a caller may take to read its answers, and go on sending what nobody reads until it has seen its last."""

SPARE_FILES = 128
"""How many file descriptors are left for the stores, the private listener and the logs."""

SWEEP_EVERY_S = 1.0


class Listener:
    """Makes the connections of a server, without routes. It sheds them: those that never ask, and in a crowd the
    oldest that have asked nothing yet, then the oldest that rest between two requests, before it turns away a new
    one.

    `draining`: every caller is told with its next answer that the connection ends.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        max_connections: int,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        self.draining = False
        self.answer = handler
        self.buffer = memoryview(bytearray(MAX_READ))
        self.answer_timeout_s = answer_timeout_s
        self._most = max(1, min(max_connections, _files() - SPARE_FILES))
        self._request_timeout_s = request_timeout_s
        self.loop = asyncio.get_running_loop()
        self._open: set[Connection] = set()
        self._silent: dict[Connection, float] = {}
        self._resting: dict[Connection, float] = {}
        self._lingering: dict[Connection, float] = {}
        self._shed = 0
        self._all_closed = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._open)

    def __call__(self) -> Connection:
        """A new connection's protocol."""
        return Connection(self)

    async def watch(self) -> None:
        """Close the connections that stay silent, until cancelled."""
        while True:
            await asyncio.sleep(min(SWEEP_EVERY_S, self._request_timeout_s / 4, self.answer_timeout_s / 4))
            now = self.loop.time()
            for connection in _before(self._silent, now - self._request_timeout_s):
                self._shut(connection, "silent")
            # Resting as long as one may is no fault, and to wait for the last answer to be read only a courtesy.
            for connection in _before(self._resting, now - KEEP_ALIVE_S):
                connection.abort()
            for connection in _before(self._lingering, now - self.answer_timeout_s):
                connection.abort()
            if self._shed:
                log.warning("connections.shed", connections=self._shed, open=self.connections)
                self._shed = 0

    async def shutdown(self, timeout_s: float) -> None:
        """Let what was asked be answered for as long as `timeout_s`, and end all connections."""
        self.draining = True
        for connection in tuple(self._open):
            if not connection.is_busy:
                connection.close()
        if self._open:
            try:
                await asyncio.wait_for(self._all_closed.wait(), timeout_s)
            except TimeoutError:
                log.warning("connections.cut_off", connections=len(self._open))
        for connection in tuple(self._open):
            connection.abort()

    # ---- what connections say ----------------------------------------------------------------------

    def malformed(self) -> Answer:
        """400, for what is no HTTP or beyond its bounds."""
        return error_answers.malformed().answer()

    def opened(self, connection: Connection) -> None:
        """There is a new one."""
        self._all_closed.clear()
        self._open.add(connection)
        self._silent[connection] = self.loop.time()
        if len(self._open) > self._most:
            self._shut(next(iter(self._silent if len(self._silent) > 1 else self._resting), connection), "crowded")

    def closed(self, connection: Connection) -> None:
        """It has gone."""
        self._open.discard(connection)
        self._silent.pop(connection, None)
        self._resting.pop(connection, None)
        self._lingering.pop(connection, None)
        if not self._open:
            self._all_closed.set()

    def busy(self, connection: Connection) -> None:
        """It has asked something."""
        if self._resting.pop(connection, None) is None:
            self._silent.pop(connection, None)

    def resting(self, connection: Connection) -> None:
        """It has its answers."""
        if self.draining:
            connection.close()
        else:
            self._resting[connection] = self.loop.time()

    def lingering(self, connection: Connection) -> None:
        """It is sent its last answer, and may go on sending itself."""
        self._lingering.setdefault(connection, self.loop.time())

    def _shut(self, connection: Connection, reason: str) -> None:
        self._silent.pop(connection, None)
        self._resting.pop(connection, None)
        CONNECTIONS_SHED.labels(reason).inc()
        self._shed += 1
        connection.close()


def _before(since: dict[Connection, float], latest: float) -> list[Connection]:
    """Those of `since`, which is in the order of its times, that are as old as `latest`."""
    found: list[Connection] = []
    for connection, began in since.items():
        if began > latest:
            break
        found.append(connection)
    return found


def _files() -> int:
    """How many files the process may have open, once it has asked for all that it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else 1 << 20
