"""A server with one live page, and clients that read its stream with plain sockets."""

import selectors
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from filas.service.private_listener import serve_app
from ingest.dashboard.live.hub import LiveFeed, LiveHub
from ingest.dashboard.live.stream import stream

REQUEST = b"GET /live HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
NAME = b"event: regions"


class Session:
    """The session of every viewer. The test ends it."""

    is_valid = True


@asynccontextmanager
async def serving(hub: LiveHub, feed: LiveFeed, session: Session | None = None) -> AsyncIterator[int]:
    """Serves the stream of a page at `/live`. Yields the port."""
    known = session or Session()

    async def live(request: web.Request) -> web.StreamResponse:
        owner = request.query.get("owner", str(id(request)))
        return await stream(request, hub, feed, owner=owner, is_allowed=lambda: known.is_valid)

    async def close(_app: web.Application) -> None:
        hub.close()

    app = web.Application()
    app.router.add_get("/live", live)
    app.on_shutdown.append(close)
    async with serve_app(app, "127.0.0.1", 0) as port:
        yield port


class Readers:
    """Reads many streams in a thread, and counts their events."""

    def __init__(self, port: int, count: int) -> None:
        self.events = 0
        self._selector = selectors.DefaultSelector()
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        self._tails = [b""] * count
        for number, one in enumerate(self._sockets):
            one.sendall(REQUEST)
            one.setblocking(False)
            self._selector.register(one, selectors.EVENT_READ, number)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Closes all connections."""
        self._stopped.set()
        self._thread.join()
        for one in self._sockets:
            one.close()
        self._selector.close()

    def _read(self) -> None:
        while not self._stopped.is_set():
            for key, _ in self._selector.select(0.1):
                connection = self._sockets[key.data]
                received = connection.recv(2**20)
                if not received:
                    self._selector.unregister(connection)
                content = self._tails[key.data] + received
                self.events += content.count(NAME)
                # A name that is received in two parts counts with its second part.
                self._tails[key.data] = content[1 - len(NAME) :]
