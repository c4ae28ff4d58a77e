"""Micro-batches: few calls for many callers, and each caller gets its own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from filas.batching import Batches, MicroBatcher


async def test_callers_that_arrive_during_a_batch_share_the_next_one() -> None:
    """While one batch is under way, everything that arrives waits for one further call, not for one each."""
    gate, begun = asyncio.Event(), asyncio.Event()
    batches: list[list[int]] = []

    async def flush(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        begun.set()
        await gate.wait()
        return [item * 10 for item in items]

    batcher: MicroBatcher[int, int] = MicroBatcher(flush)
    first = asyncio.create_task(batcher.add(1))
    await begun.wait()
    rest = [asyncio.create_task(batcher.add(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(first, *rest) == [10, 20, 30, 40]
    assert batches == [[1], [2, 3, 4]]


async def test_an_answer_that_is_an_error_reaches_its_caller_alone() -> None:
    """One poisoned item fails its own call; its neighbours in the batch get their answers."""

    async def flush(items: Sequence[int]) -> list[int | BaseException]:
        return [ValueError("poisoned") if item == 2 else item for item in items]

    batcher: MicroBatcher[int, int] = MicroBatcher(flush)
    answers = await asyncio.gather(*(batcher.add(number) for number in (1, 2, 3)), return_exceptions=True)
    assert answers[0] == 1
    assert isinstance(answers[1], ValueError)
    assert answers[2] == 3


async def test_a_failing_flush_fails_its_batch_and_not_the_next() -> None:
    """A store that is away costs the callers of that batch an error; the batcher goes on."""
    attempts = 0

    async def flush(items: Sequence[int]) -> Sequence[int]:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ConnectionError("away")
        return items

    batcher: MicroBatcher[int, int] = MicroBatcher(flush)
    with pytest.raises(ConnectionError):
        await batcher.add(1)
    assert await batcher.add(2) == 2


async def test_too_few_answers_are_an_error_for_every_caller_of_the_batch() -> None:
    """A flush that loses an answer must not leave a caller waiting for ever."""

    async def flush(items: Sequence[int]) -> Sequence[int]:
        return items[1:]

    batcher: MicroBatcher[int, int] = MicroBatcher(flush)
    answers = await asyncio.gather(batcher.add(1), batcher.add(2), return_exceptions=True)
    assert all(isinstance(answer, RuntimeError) for answer in answers)


async def test_a_batch_is_never_larger_than_its_limit() -> None:
    """Ten callers at a limit of four are three calls, in the order of the callers."""
    batches: list[list[int]] = []

    async def flush(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        return items

    batcher: MicroBatcher[int, int] = MicroBatcher(flush, limit=4)
    await asyncio.gather(*(batcher.add(number) for number in range(10)))
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_a_cancelled_caller_is_left_out_of_a_batch_that_has_not_begun() -> None:
    """A sender who has gone away leaves nothing behind if nothing was written yet."""
    gate, begun = asyncio.Event(), asyncio.Event()
    batches: list[list[int]] = []

    async def flush(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        begun.set()
        await gate.wait()
        return items

    batcher: MicroBatcher[int, int] = MicroBatcher(flush)
    first = asyncio.create_task(batcher.add(1))
    await begun.wait()
    gone = asyncio.create_task(batcher.add(2))
    stays = asyncio.create_task(batcher.add(3))
    await asyncio.sleep(0)
    gone.cancel()
    gate.set()
    assert await first == 1
    assert await stays == 3
    await batcher.drain()
    assert batches == [[1], [3]]


async def test_a_call_has_few_large_items_and_many_small_ones() -> None:
    """At most so many bytes a call, but one item at least, in the order in which they were put."""
    calls: list[list[int]] = []

    async def work(sizes: Sequence[int]) -> None:
        calls.append(list(sizes))

    batches: Batches[int] = Batches(work, limit=4, size_of=lambda size: size, max_bytes=10)
    for size in (4, 6, 1, 30, 5, 1, 1, 1, 1, 1):
        batches.put(size)
    await batches.drain()
    assert calls == [[4, 6], [1], [30], [5, 1, 1, 1], [1, 1]]
