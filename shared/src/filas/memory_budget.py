"""The memory budget: the bound on the bytes that a process holds for bodies, and the size of a JSON text in memory."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

MEMORY_BYTES: Final = 64 * 2**20
"""The budget of a process that has no setting for it. deploy/memory-limits.yml has the limits that follow."""

SMALL_BYTES: Final = 16 * 1024
"""The largest text whose size in memory is not counted exactly, because there are too many of them for that."""

_SMALL_FACTOR: Final = 8

LARGEST_FACTOR: Final = 34
"""How many bytes a byte of JSON text needs at most, as text and as Python objects (`{"":{}},`)."""

_DICT, _LIST, _TEXT, _VALUE = 240, 96, 64, 32
"""The bytes of an object with one field, a list, a string or a field's name, and a number in a list."""


def size_in_memory(text: bytes) -> int:
    """Returns the bytes that a JSON text needs, as text and as Python objects: an estimate from its characters."""
    size = len(text)
    if size <= SMALL_BYTES:
        return size * _SMALL_FACTOR
    # One character beyond U+FFFF makes every character of its string four bytes long.
    wide = 1 if text.isascii() and b"\\u" not in text else 4
    containers = text.count(b"{") * _DICT + text.count(b"[") * _LIST
    values = text.count(b'"') // 2 * _TEXT + text.count(b",") * _VALUE
    return min(size * (1 + wide) + containers + values, size * LARGEST_FACTOR)


class NoRoom(Exception):
    """The budget had no room for a piece of work within its time."""


class MemoryBudget:
    """Counts the bytes that a process holds. Work that waits for room gets it in the order in which it asked.

    `held` may exceed `max_bytes`: one piece of work is admitted whatever its size, so that a large one makes progress.
    """

    __slots__ = ("_holders", "_waiting", "held", "max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held = 0
        self._holders = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def room(self) -> int:
        """Returns how many more bytes fit; at most 0 if none do."""
        return self.max_bytes - self.held

    @property
    def waiting(self) -> int:
        """Returns how many calls of `hold` wait."""
        return len(self._waiting)

    def add(self, size: int) -> None:
        """Counts bytes that are in memory already."""
        self.held += size

    def remove(self, size: int) -> None:
        """Counts bytes no more, and admits work that waits."""
        self.held -= size
        self._admit()

    def count(self, size: int) -> "HeldBytes":
        """Counts bytes that are in memory already, until `release` of the result."""
        self.held += size
        return HeldBytes(self, size)

    @asynccontextmanager
    async def hold(self, size: int, timeout_s: float | None = None) -> AsyncIterator["HeldBytes"]:
        """Holds `size` bytes while the block runs. Waits for room, unless no other block holds any.

        Raises NoRoom after `timeout_s` seconds.
        """
        await self._acquire(size, timeout_s)
        held = HeldBytes(self, size)
        try:
            yield held
        finally:
            self._holders -= 1
            held.release()

    async def _acquire(self, size: int, timeout_s: float | None) -> None:
        if not self._waiting and self._fits(size):
            self._count(size)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, future))
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except BaseException as error:
            if future.done() and not future.cancelled():
                # It was admitted in the moment in which it stopped waiting.
                self._holders -= 1
                self.held -= size
            else:
                future.cancel()
            self._admit()
            if isinstance(error, TimeoutError):
                raise NoRoom from None
            raise

    def _fits(self, size: int) -> bool:
        return self._holders == 0 or size <= self.room

    def _count(self, size: int) -> None:
        self._holders += 1
        self.held += size

    def _admit(self) -> None:
        while self._waiting:
            size, future = self._waiting[0]
            if not future.done():
                if not self._fits(size):
                    return
                self._count(size)
                future.set_result(None)
            self._waiting.popleft()


class HeldBytes:
    """Bytes that a budget counts."""

    __slots__ = ("_budget", "size")

    def __init__(self, budget: MemoryBudget, size: int) -> None:
        self._budget = budget
        self.size = size

    def resize(self, size: int) -> None:
        """Replaces the size, once it is known."""
        change, self.size = size - self.size, size
        self._budget.remove(-change)

    def release(self) -> None:
        """Counts the bytes no more."""
        self.resize(0)
