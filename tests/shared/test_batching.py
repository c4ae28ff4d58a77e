"""Micro-batches: few calls serve many callers, and each caller gets its own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from filas import batching
from filas.batching import Batches, MicroBatcher
from tests.waiting import eventually


async def test_callers_that_arrive_during_a_batch_share_the_next_one() -> None:
    """All items that arrive during one batch are in the next call, not in one call each."""
    release, started = asyncio.Event(), asyncio.Event()
    batches: list[list[int]] = []

    async def flush(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        started.set()
        await release.wait()
        return [item * 10 for item in items]

    batcher: MicroBatcher[int, int] = MicroBatcher(flush)
    first = asyncio.create_task(batcher.add(1))
    await started.wait()
    rest = [asyncio.create_task(batcher.add(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    release.set()
    assert await asyncio.gather(first, *rest) == [10, 20, 30, 40]
    assert batches == [[1], [2, 3, 4]]


async def test_a_second_call_begins_only_if_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls may run at a time. Beside a call that is not slow, only one with `limit` items begins. The items that
    are left over make one call when a call has ended."""
    monkeypatch.setattr(batching, "SLOW_S", 3600.0)
    release: list[asyncio.Event] = []
    calls: list[list[int]] = []

    async def work(items: Sequence[int]) -> None:
        calls.append(list(items))
        release.append(asyncio.Event())
        await release[-1].wait()

    batches: Batches[int] = Batches(work, limit=3, parallel=2)
    batches.add(1)
    await eventually(lambda: calls == [[1]])
    for item in (2, 3, 4, 5):
        batches.add(item)
    await eventually(lambda: len(calls) == 2)
    assert calls == [[1], [2, 3, 4]]
    batches.add(6)
    release[1].set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(calls) == 2
    release[0].set()
    await eventually(lambda: len(calls) == 3)
    assert calls[2] == [5, 6]
    release[2].set()
    await batches.drain()


async def test_calls_go_on_beside_one_that_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that waits for a lock holds back the others only for a moment."""
    monkeypatch.setattr(batching, "SLOW_S", 0.01)
    started, release = asyncio.Event(), asyncio.Event()
    done: list[int] = []

    async def flush(items: Sequence[int]) -> Sequence[int]:
        if 0 in items:
            started.set()
            await release.wait()
        done.extend(items)
        return items

    batcher: MicroBatcher[int, int] = MicroBatcher(flush, parallel=2)
    slow = asyncio.create_task(batcher.add(0))
    await started.wait()
    for number in (1, 2, 3):
        assert await asyncio.wait_for(batcher.add(number), 30.0) == number
    release.set()
    assert await slow == 0
    assert done == [1, 2, 3, 0]


async def test_an_answer_that_is_an_error_reaches_its_caller_alone() -> None:
    """One bad item fails its own call only. The other items of the batch get their answers."""

    async def flush(items: Sequence[int]) -> list[int | BaseException]:
        return [ValueError("poisoned") if item == 2 else item for item in items]

    batcher: MicroBatcher[int, int] = MicroBatcher(flush)
    answers = await asyncio.gather(*(batcher.add(number) for number in (1, 2, 3)), return_exceptions=True)
    assert answers[0] == 1
    assert isinstance(answers[1], ValueError)
    assert answers[2] == 3


async def test_a_failing_flush_fails_only_its_own_batch() -> None:
    """The callers of that batch get the error. The next batch works."""
    attempts = 0

    async def flush(items: Sequence[int]) -> Sequence[int]:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ConnectionError("unavailable")
        return items

    batcher: MicroBatcher[int, int] = MicroBatcher(flush)
    with pytest.raises(ConnectionError):
        await batcher.add(1)
    assert await batcher.add(2) == 2


async def test_too_few_answers_are_an_error_for_every_caller_of_the_batch() -> None:
    """A flush that returns too few answers leaves no caller waiting."""

    async def flush(items: Sequence[int]) -> Sequence[int]:
        return items[1:]

    batcher: MicroBatcher[int, int] = MicroBatcher(flush)
    answers = await asyncio.gather(batcher.add(1), batcher.add(2), return_exceptions=True)
    assert all(isinstance(answer, RuntimeError) for answer in answers)


async def test_a_batch_is_never_larger_than_its_limit() -> None:
    """Ten callers and a limit of four make three calls, in the order of the callers."""
    batches: list[list[int]] = []

    async def flush(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        return items

    batcher: MicroBatcher[int, int] = MicroBatcher(flush, limit=4)
    await asyncio.gather(*(batcher.add(number) for number in range(10)))
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_a_cancelled_caller_is_left_out_of_a_batch_that_has_not_started() -> None:
    """A request whose sender has disconnected is not written if its batch has not started."""
    release, started = asyncio.Event(), asyncio.Event()
    batches: list[list[int]] = []

    async def flush(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        started.set()
        await release.wait()
        return items

    batcher: MicroBatcher[int, int] = MicroBatcher(flush)
    first = asyncio.create_task(batcher.add(1))
    await started.wait()
    cancelled = asyncio.create_task(batcher.add(2))
    remaining = asyncio.create_task(batcher.add(3))
    await asyncio.sleep(0)
    cancelled.cancel()
    release.set()
    assert await first == 1
    assert await remaining == 3
    await batcher.drain()
    assert batches == [[1], [3]]


async def test_a_call_has_few_large_items_and_many_small_ones() -> None:
    """A call has at most `max_bytes`, but at least one item, in the order in which the items were added."""
    calls: list[list[int]] = []

    async def work(sizes: Sequence[int]) -> None:
        calls.append(list(sizes))

    batches: Batches[int] = Batches(work, limit=4, size_of=lambda size: size, max_bytes=10)
    for size in (4, 6, 1, 30, 5, 1, 1, 1, 1, 1):
        batches.add(size)
    await batches.drain()
    assert calls == [[4, 6], [1], [30], [5, 1, 1, 1], [1, 1]]
