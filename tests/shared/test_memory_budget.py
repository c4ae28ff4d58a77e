"""The memory budget: who is admitted, in which order, and the size of a JSON text in memory."""

import asyncio
import tracemalloc

import msgspec
import pytest

from filas.memory_budget import LARGEST_FACTOR, MemoryBudget, NoRoom, size_in_memory

MIB = 2**20


async def test_work_waits_for_room_in_order() -> None:
    """A small piece of work does not overtake a large one, which would otherwise wait without end."""
    budget, order = MemoryBudget(10), []

    async def work(name: str, size: int, release: asyncio.Event) -> None:
        async with budget.hold(size):
            order.append(name)
            await release.wait()

    release = asyncio.Event()
    tasks = [asyncio.create_task(work("a", 6, release))]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(work("large", 8, release)), asyncio.create_task(work("small", 1, release))]
    await asyncio.sleep(0)
    assert (order, budget.waiting, budget.room) == (["a"], 2, 4)
    release.set()
    await asyncio.gather(*tasks)
    assert order == ["a", "large", "small"]
    assert budget.held == 0


async def test_one_piece_of_work_is_admitted_whatever_its_size() -> None:
    """It needs no room, also if bytes are counted that belong to no block."""
    budget = MemoryBudget(10)
    budget.add(3)
    async with budget.hold(100) as held:
        assert budget.room == -93
        with pytest.raises(NoRoom):
            async with budget.hold(1, timeout_s=0.01):
                pass
        held.resize(2)
        async with budget.hold(5, timeout_s=1):
            assert budget.room == 0
    assert budget.held == 3


async def test_cancelled_work_holds_nothing() -> None:
    """Work that is cancelled while it waits, or in the moment in which it is admitted, leaves no bytes behind."""
    budget = MemoryBudget(10)

    async def work() -> None:
        async with budget.hold(10):
            await asyncio.Event().wait()

    first = asyncio.create_task(work())
    await asyncio.sleep(0)
    others = [asyncio.create_task(work()) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    others[0].cancel()
    await asyncio.sleep(0)
    for task in others:
        task.cancel()
    await asyncio.gather(first, *others, return_exceptions=True)
    assert (budget.held, budget.waiting) == (0, 0)
    async with budget.hold(10, timeout_s=1):
        assert budget.room == 0


@pytest.mark.parametrize(
    "item",
    [
        "{},",
        '{"a":0},',
        '{"":{}},',
        "[],",
        '"a",',
        '"\\u0100",',
        '"\U0001f600abcdefghij",',
        "1,",
        "0.1,",
        '"' + "x" * 99 + '",',
    ],
)
def test_the_size_of_a_json_text_in_memory_is_not_underestimated(item: str) -> None:
    """The estimate is at least the memory that the text and its objects take, and at most four times as much."""
    text = ("[" + (item * (MIB // 4 // len(item.encode()))).rstrip(",") + "]").encode()
    tracemalloc.start()
    try:
        document = msgspec.json.decode(text)
        used = tracemalloc.get_traced_memory()[0] + len(text)
    finally:
        tracemalloc.stop()
    assert document
    assert used * 0.7 <= size_in_memory(text) <= used * 4
    assert size_in_memory(text) <= LARGEST_FACTOR * len(text)
