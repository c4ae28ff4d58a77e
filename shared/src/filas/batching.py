"""Micro-batches: what has queued up while the last batch was under way goes into the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batches(Generic[Item]):
    """Hands on what is put, many items a call: what has come while the last call ran goes into the next one.

    `work(items)` says nothing and may not raise: whoever waits for an item is told by it. At most `parallel`
    calls of at most `limit` items are under way at a time; nothing ever waits for a batch to fill up. With `size_of`
    (bytes of an item) a call has at most `max_bytes` of them, but one item at least.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[None]],
        *,
        limit: int = 500,
        parallel: int = 1,
        size_of: Callable[[Item], int] | None = None,
        max_bytes: int = 4 * 2**20,
    ) -> None:
        self._work = work
        self._limit = limit
        self._size_of = size_of
        self._max_bytes = max_bytes
        self._parallel = parallel
        self._pending: list[Item] = []
        self._running: set[asyncio.Task[None]] = set()

    def put(self, item: Item) -> None:
        """Put `item` into the next batch."""
        self._pending.append(item)
        if len(self._running) < self._parallel:
            # A batch is of many callers: what one of them has bound to its log lines is not the others'.
            self._running.add(asyncio.create_task(self._run(), context=Context()))

    async def drain(self) -> None:
        """Wait until every batch that has begun or is pending is done."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def _run(self) -> None:
        try:
            # One turn of the event loop: the items that are ready now share the first batch.
            await asyncio.sleep(0)
            while self._pending:
                many = self._next()
                batch, self._pending = self._pending[:many], self._pending[many:]
                await self._work(batch)
        finally:
            # In the same turn in which nothing was pending: an item added later must find that nobody runs.
            if task := asyncio.current_task():
                self._running.discard(task)

    def _next(self) -> int:
        """How many items the next call takes."""
        if self._size_of is None:
            return self._limit
        left = self._max_bytes
        for number, item in enumerate(self._pending[: self._limit]):
            left -= self._size_of(item)
            if left < 0:
                return max(number, 1)
        return self._limit


class MicroBatcher(Generic[Item, Answer]):
    """Turns many concurrent calls of one item into few calls of many items, as `Batches` does.

    `flush(items)` answers a list as long as its items, in their order; an answer that is an exception is
    raised in the call of its item alone. When `flush` itself raises, every call of that batch gets the error.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | BaseException]]],
        *,
        limit: int = 500,
        parallel: int = 1,
    ) -> None:
        self._flush = flush
        # Kept: on Python 3.11 to ask for it is a system call.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._batches: Batches[tuple[Item, asyncio.Future[Answer]]] = Batches(
            self._run_batch, limit=limit, parallel=parallel
        )

    async def add(self, item: Item) -> Answer:
        """Put `item` into the next batch and wait for its answer.

        A caller that is cancelled takes its item out of a batch only as long as that has not begun.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._batches.put((item, future))
        return await future

    async def drain(self) -> None:
        """Wait until every batch that has begun or is pending is done."""
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
        except Exception as error:  # the callers' to handle: each gets it
            answers = [error] * len(batch)
        if len(answers) != len(batch):
            answers = [RuntimeError(f"a batch of {len(batch)} was given {len(answers)} answers")] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)
