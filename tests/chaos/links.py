"""The links between the processes, the stores and the receivers: TCP proxies on the loopback interface that can be
slow, cut, or open in one direction only."""

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, Self, cast

Address = tuple[str, int] | Path
"""A host with a port, or a Unix socket."""

Mode = Literal["open", "slow", "cut", "one-way"]

SLOW_S: Final = 0.15
"""The delay in each direction of a slow link."""

_WAITING_BYTES: Final = 1 << 20


class Link:
    """Forwards connections from a port of its own to `target`.

    `slow` delays the data of each direction by SLOW_S. `cut` closes every connection and refuses new ones. `one-way`
    passes what the process sends, and holds back every answer until the link is open again. `rewrite` changes each
    piece of an answer.
    """

    def __init__(self, target: Address, *, rewrite: Callable[[bytes], bytes] = bytes) -> None:
        self.target = target
        self.rewrite = rewrite
        self.mode: Mode = "open"
        self._server: asyncio.Server | None = None
        self._ends: set[_End] = set()

    @property
    def port(self) -> int:
        """The port that the process connects to."""
        assert self._server is not None
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    def set(self, mode: Mode) -> None:
        """Changes what happens to the data, from now on."""
        self.mode = mode
        for end in tuple(self._ends):
            if mode == "cut":
                end.abort()
            else:
                end.flush()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(lambda: _Near(self), "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for end in tuple(self._ends):
            end.abort()

    def add(self, end: "_End") -> None:
        """Counts an open end of a connection."""
        self._ends.add(end)

    def remove(self, end: "_End") -> None:
        """Forgets an end that has closed."""
        self._ends.discard(end)


class _End(asyncio.Protocol):
    """One end of a connection. What it reads is written to `other`, in order."""

    answers = False

    def __init__(self, link: Link) -> None:
        self.link = link
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._delayed: deque[bytes] = deque()
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.link.add(self)

    def data_received(self, data: bytes) -> None:
        if self._may_pass():
            self._pass(data)
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > _WAITING_BYTES and self.transport is not None:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._ended = True
        self.flush()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.link.remove(self)
        self._ended = True
        if exc is not None and self.other is not None:
            self.other.abort()
        else:
            self.flush()

    def flush(self) -> None:
        """Passes on what was held back, if the link lets it through now."""
        if self._held and self._may_pass():
            held, self._held, self._held_bytes = self._held, [], 0
            for data in held:
                self._pass(data)
            if self.transport is not None and not self.transport.is_closing():
                self.transport.resume_reading()
        if self._ended and not self._held and not self._delayed:
            self._close_other()

    def abort(self) -> None:
        """Closes both ends at once, without the data on the way."""
        self._held.clear()
        for end in (self, self.other):
            if end is not None and end.transport is not None:
                end.transport.abort()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def _may_pass(self) -> bool:
        return self.other is not None and not (self.answers and self.link.mode == "one-way")

    def _pass(self, data: bytes) -> None:
        # What comes after delayed data is delayed too, so that the order stays.
        if self.link.mode == "slow" or self._delayed:
            self._delayed.append(data)
            asyncio.get_running_loop().call_later(SLOW_S, self._pass_delayed)
        else:
            self._write(data)

    def _pass_delayed(self) -> None:
        self._write(self._delayed.popleft())
        self.flush()

    def _write(self, data: bytes) -> None:
        other = self.other.transport if self.other is not None else None
        if other is not None and not other.is_closing():
            other.write(data)

    def _close_other(self) -> None:
        other = self.other.transport if self.other is not None else None
        if other is not None and not other.is_closing():
            other.close()


class _Far(_End):
    """The end at the store or receiver."""

    answers = True

    def __init__(self, link: Link, near: _End) -> None:
        super().__init__(link)
        self.other = near

    def data_received(self, data: bytes) -> None:
        super().data_received(self.link.rewrite(data))


class _Near(_End):
    """The end at the process."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        if self.link.mode == "cut":
            self.abort()
            return
        far = _Far(self.link, self)
        try:
            if isinstance(self.link.target, Path):
                await loop.create_unix_connection(lambda: far, str(self.link.target))
            else:
                await loop.create_connection(lambda: far, *self.link.target)
        except OSError:
            self.abort()
            return
        self.other = far
        self.flush()
