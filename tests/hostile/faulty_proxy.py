"""A TCP proxy on the loopback interface that fails as networks do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

Fault = Literal["pause", "drop", "half-open", "reset"]
FAULTS: tuple[Fault, ...] = ("pause", "drop", "half-open", "reset")
"""`pause`: nothing is forwarded, and everything is delivered late, also what a client sent before it gave up. `drop`:
connections end, and new ones are closed at once. `half-open`: requests arrive and are executed, answers are lost.
`reset`: connections are reset once, and new ones work."""

Opener = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class FaultyProxy:
    """Forwards connections to its own `port` to the server that `opener` connects to."""

    def __init__(self, opener: Opener) -> None:
        self.port = 0
        self._opener = opener
        self._fault: Fault | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["FaultyProxy"]:
        """Listens while the block runs."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tuple(self._connections):
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def fail(self, fault: Fault, seconds: float) -> None:
        """Fails in this way for `seconds`, and then works again."""
        self._fault = fault
        if fault == "pause":
            self._flowing.clear()
        if fault in ("drop", "reset"):
            self._abort()
        try:
            await asyncio.sleep(0 if fault == "reset" else seconds)
        finally:
            if fault == "half-open":
                # The bytes that were lost would be missing in the stream.
                self._abort()
            self._fault = None
            self._flowing.set()

    def _abort(self) -> None:
        for client in self._connections.values():
            client.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault == "drop":
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back: asyncio.Task[None] | None = None
        upstream: asyncio.StreamWriter | None = None
        try:
            await self._flowing.wait()
            answers, upstream = await self._opener()
            back = asyncio.create_task(self._forward(answers, writer, is_answer=True))
            await self._forward(reader, upstream, is_answer=False)
        except OSError:
            pass
        finally:
            writer.transport.abort()
            if upstream is not None:
                upstream.close()
            if back is not None:
                back.cancel()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        """Forwards until one side ends. What a client has sent is delivered, also if the client is gone by then."""
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._flowing.wait()
                if not (is_answer and self._fault == "half-open"):
                    writer.write(data)
                    await writer.drain()
        if is_answer:
            writer.transport.abort()
