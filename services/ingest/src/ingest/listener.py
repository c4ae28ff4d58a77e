"""The public listener's connections: how many, and for how long one may stay silent."""

import asyncio
import resource
from collections.abc import Awaitable, Callable

from aiohttp import web

from filas.logs import get_logger
from filas.metrics import CONNECTIONS_SHED
from filas.web import KEEP_ALIVE_S

log = get_logger(__name__)

REQUEST_TIMEOUT_S = 10.0
"""How long a new connection may take until the head of its first request is there."""

MAX_LINE = MAX_FIELD = 8190
MAX_HEADERS = 100
"""The longest request line and header, and how many headers there may be; beyond, 400 and the connection ends."""

SPARE_FILES = 128
"""How many file descriptors are left for the stores, the private listener and the logs."""

SWEEP_EVERY_S = 1.0


class Listener(web.Server):
    """aiohttp's server, without routes. It sheds connections: those that never ask, and in a crowd the oldest that
    have asked nothing yet, then the oldest that rest between two requests, before it turns away a new one."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        max_connections: int,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        super().__init__(
            self._handle,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_S,
            auto_decompress=False,  # a signature is over the bytes as they were sent, and no small body becomes large
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            max_headers=MAX_HEADERS,
        )
        self._answer = handler
        self._most = max(1, min(max_connections, _files() - SPARE_FILES))
        self._request_timeout_s = request_timeout_s
        self._silent: dict[web.RequestHandler, float] = {}
        self._resting: dict[web.RequestHandler, None] = {}
        self._open = 0
        self._shed = 0

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """aiohttp has a new connection."""
        super().connection_made(handler, transport)
        self._open += 1
        self._silent[handler] = self._loop.time()
        if self._open > self._most:
            self._close(next(iter(self._silent if len(self._silent) > 1 else self._resting), handler), "crowded")

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """A connection of aiohttp's is gone."""
        self._open -= 1
        self._silent.pop(handler, None)
        self._resting.pop(handler, None)
        super().connection_lost(handler, exc)

    async def watch(self) -> None:
        """Close the connections that stay silent, until cancelled."""
        while True:
            await asyncio.sleep(min(SWEEP_EVERY_S, self._request_timeout_s / 4))
            latest = self._loop.time() - self._request_timeout_s
            for handler, since in list(self._silent.items()):
                if since > latest:
                    break  # the others came later
                self._close(handler, "silent")
            if self._shed:
                log.warning("connections.shed", connections=self._shed, open=self._open)
                self._shed = 0

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        handler = request.protocol
        self._silent.pop(handler, None)
        self._resting.pop(handler, None)
        try:
            return await self._answer(request)
        finally:
            if request.transport is not None:
                self._resting[handler] = None

    def _close(self, handler: web.RequestHandler, reason: str) -> None:
        self._silent.pop(handler, None)
        self._resting.pop(handler, None)
        CONNECTIONS_SHED.labels(reason).inc()
        self._shed += 1
        handler.force_close()


def _files() -> int:
    """How many files the process may have open, once it has asked for all that it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else 1 << 20
