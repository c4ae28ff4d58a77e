"""The bulkhead: how the slots of a process are divided between channels."""

import asyncio

from notifier.deliver import bulkhead
from notifier.deliver.bulkhead import Bulkhead
from tests.waiting import PATIENCE_S, eventually


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def fill(slots: Bulkhead, clock: Clock, channel_id: str) -> int:
    """Makes the channel slow and fills it. Returns how many slots it got."""
    for _ in range(60):
        with slots.measured_call(channel_id):
            clock.now += 1.0
    entered = 0
    while await slots.acquire(channel_id):
        entered += 1
    return entered


async def test_one_slow_channel_leaves_half_of_the_slots_and_each_further_one_some() -> None:
    """The next channel gets a slot, however many are slow."""
    clock = Clock()
    slots = Bulkhead(100, clock=clock)
    taken = []
    for name in ("a", "b", "c", "d", "e"):
        taken.append(await fill(slots, clock, name))
    assert taken == [50, 25, 13, 6, 3]


async def test_a_released_slot_goes_to_a_waiting_message() -> None:
    slots = Bulkhead(4)
    assert await slots.acquire("a")
    assert await slots.acquire("a")
    waiting = asyncio.create_task(slots.acquire("a"))
    await eventually(lambda: bool(slots._waiting))
    slots.release("a")
    assert await waiting


async def test_a_message_cancelled_with_a_slot_of_its_own_releases_it() -> None:
    """The slot was granted, but the waiting message had not run yet."""
    slots = Bulkhead(4)
    assert await slots.acquire("a")
    assert await slots.acquire("a")
    waiting = asyncio.create_task(slots.acquire("a"))
    await eventually(lambda: bool(slots._waiting))
    slots.release("a")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    assert slots._in_use == {"a": 1}


async def hold(slots: Bulkhead, channel_id: str, until: asyncio.Event) -> None:
    """A call that runs until the event."""
    with slots.measured_call(channel_id):
        await until.wait()


async def test_messages_do_not_wait_for_a_channel_that_answers_none() -> None:
    """A waiting message is refused soon, the next one at once, and other channels are not affected."""
    clock, end = Clock(), asyncio.Event()
    slots = Bulkhead(4, clock=clock)
    assert await slots.acquire("a")
    assert await slots.acquire("a")
    call = asyncio.create_task(hold(slots, "a", end))
    waiting = asyncio.create_task(slots.acquire("a"))
    await eventually(lambda: bool(slots._waiting))
    clock.now += bulkhead.SLOW_S + 0.01
    assert not await asyncio.wait_for(waiting, PATIENCE_S)
    assert not await slots.acquire("a")
    assert await slots.acquire("b")
    end.set()
    await call
    slots.release("a")
    slots.release("a")
    assert await slots.acquire("a"), "the slots are free again"


async def test_the_speed_of_a_channel_is_measured_by_its_calls() -> None:
    clock = Clock()
    slots = Bulkhead(4, clock=clock)
    for takes_s, slow in ((0.02, False), (2.0, True), (0.02, False)):
        for _ in range(60):
            with slots.measured_call("a"):
                clock.now += takes_s
        assert slots.is_slow("a") is slow
        clock.now += 60
        assert slots.is_slow("a") is slow, "it stays so without calls"


async def test_one_hanging_call_among_many_quick_ones_does_not_make_the_channel_slow() -> None:
    clock, end = Clock(), asyncio.Event()
    slots = Bulkhead(4, clock=clock)
    call = asyncio.create_task(hold(slots, "a", end))
    await asyncio.sleep(0)
    for _ in range(100):
        with slots.measured_call("a"):
            clock.now += 0.02
        assert not slots.is_slow("a")
    end.set()
    await call


async def test_a_message_that_is_cancelled_while_it_waits_uses_no_slot() -> None:
    slots = Bulkhead(4)
    await slots.acquire("a")
    await slots.acquire("a")
    waiting = asyncio.create_task(slots.acquire("a"))
    await eventually(lambda: bool(slots._waiting))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    slots.release("a")
    slots.release("a")
    assert (slots._total, dict(slots._in_use)) == (0, {})


async def test_a_single_slot_serves_all_channels_in_turn() -> None:
    slots = Bulkhead(1)
    for name in ("a", "b"):
        assert await slots.acquire(name)
        slots.release(name)
