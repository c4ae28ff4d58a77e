"""Micro-batches: the items that arrive while one batch is processed form the next batch."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import Context
from typing import Final, Generic, TypeVar, cast

MAX_BYTES: Final = 4 * 2**20
"""How many bytes one call handles, if the size of its items is known. A single item may be larger."""

SLOW_S: Final = 0.25
"""Beside a call that takes longer, the next one begins. It may wait for a lock."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def in_chunks(
    items: Sequence[Item], size_of: Callable[[Item], int], *, limit: int, max_bytes: int = MAX_BYTES
) -> Iterator[Sequence[Item]]:
    """Yields `items` in order, in chunks of at most `limit` items and `max_bytes`, but of at least one item."""
    start, size = 0, 0
    for index, item in enumerate(items):
        own = size_of(item)
        if index > start and (size + own > max_bytes or index - start >= limit):
            yield items[start:index]
            start, size = index, 0
        size += own
    if start < len(items):
        yield items[start:]


class Batches(Generic[Item]):
    """Passes items to `work` in batches. The items that arrive during one call form the next call.

    `work(items)` returns nothing and must not raise; it reports each item's outcome itself. A call has at most `limit`
    items. No call waits for its batch to fill up. With `size_of`, which returns the bytes of an item, a call has at
    most `max_bytes`, but at least one item.

    One call runs at a time: a call with many items costs little more than one with few. Up to `parallel` calls run if
    the next one is full or those that run are slow (SLOW_S).
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[None]],
        *,
        limit: int = 500,
        parallel: int = 1,
        size_of: Callable[[Item], int] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._work = work
        self._limit = limit
        self._size_of = size_of
        self._max_bytes = max_bytes
        self._parallel = parallel
        self._pending: list[Item] = []
        self._running: dict[asyncio.Task[None], float] = {}
        """The tasks that call `work`, and when their last call began, in the time of the event loop."""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, item: Item) -> None:
        """Adds `item` to the next batch."""
        self._pending.append(item)
        if len(self._running) < self._parallel:
            self._start()

    async def drain(self) -> None:
        """Waits until all running and pending batches are done."""
        while self._running:
            await asyncio.wait(set(self._running))

    def _start(self) -> None:
        """Starts a task for the next call, or looks again later whether to do so."""
        loop = asyncio.get_running_loop()
        if self._next_begins(None):
            # A batch serves many callers, so it must not inherit the log context of one of them.
            task = loop.create_task(self._run(), context=Context())
            self._running[task] = loop.time()
        elif self._timer is None:
            self._timer = loop.call_later(SLOW_S, self._look_again, context=Context())

    def _look_again(self) -> None:
        self._timer = None
        if self._pending and len(self._running) < self._parallel:
            self._start()

    def _next_begins(self, own: "asyncio.Task[None] | None") -> bool:
        """Whether the next call begins beside those of all tasks but `own`."""
        if len(self._pending) >= self._limit:
            return True
        late = asyncio.get_running_loop().time() - SLOW_S
        return all(began <= late for task, began in self._running.items() if task is not own)

    async def _run(self) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            # After one iteration of the event loop, the items that are ready now share the first batch.
            await asyncio.sleep(0)
            while self._pending and self._next_begins(task):
                many = self._next()
                batch, self._pending = self._pending[:many], self._pending[many:]
                self._running[task] = asyncio.get_running_loop().time()
                await self._work(batch)
        finally:
            # There is no await between the last check of `_pending` and this line, so an item that is added later
            # starts a new task.
            del self._running[task]
            if self._pending and self._running:
                self._start()

    def _next(self) -> int:
        """Returns the number of items of the next call."""
        if self._size_of is None:
            return self._limit
        left = self._max_bytes
        for number, item in enumerate(self._pending[: self._limit]):
            left -= self._size_of(item)
            if left < 0:
                return max(number, 1)
        return self._limit


class MicroBatcher(Generic[Item, Answer]):
    """Turns many concurrent calls with one item into few calls with many items, as `Batches` does.

    `flush(items)` returns one answer per item, in order. An answer that is an exception is raised in the call of its
    item only. If `flush` itself raises, every call of that batch raises the error.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | BaseException]]],
        *,
        limit: int = 500,
        parallel: int = 1,
        size_of: Callable[[Item], int] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._flush = flush
        # Stored, because on Python 3.11 reading it is a system call.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._batches: Batches[tuple[Item, asyncio.Future[Answer]]] = Batches(
            self._run_batch,
            limit=limit,
            parallel=parallel,
            size_of=None if size_of is None else lambda pair: size_of(pair[0]),
            max_bytes=max_bytes,
        )

    async def add(self, item: Item) -> Answer:
        """Adds `item` to the next batch and returns its answer.

        If the caller is cancelled, its item is left out of the batch, unless the batch has started.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._batches.add((item, future))
        return await future

    async def drain(self) -> None:
        """Waits until all running and pending batches are done."""
        await self._batches.drain()

    async def _run_batch(self, items: "Sequence[tuple[Item, asyncio.Future[Answer]]]") -> None:
        batch = [(item, future) for item, future in items if not future.done()]
        if not batch:
            return
        answers: Sequence[Answer | BaseException]
        try:
            answers = await self._flush([item for item, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:  # raised in every call of the batch
            answers = [error] * len(batch)
        if len(answers) != len(batch):
            answers = [RuntimeError(f"a batch of {len(batch)} items has {len(answers)} answers")] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)
