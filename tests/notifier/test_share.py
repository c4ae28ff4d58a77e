"""How handlers are shared between destinations."""

import asyncio

from notifier.deliver import bulkhead
from notifier.deliver.bulkhead import FairShare
from tests.waiting import eventually


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def fill(shares: FairShare, clock: Clock, destination: str) -> int:
    """Messages that enter until no more may, to a destination that was slow before."""
    for _ in range(60):
        with shares.calling(destination):
            clock.now += 1.0
    entered = 0
    while await shares.enter(destination):
        entered += 1
    return entered


async def test_one_slow_destination_leaves_half_to_the_others_and_each_further_one_some() -> None:
    """However many are slow, the next one still finds room."""
    clock = Clock()
    shares = FairShare(100, clock=clock)
    taken = []
    for name in ("a", "b", "c", "d", "e"):
        taken.append(await fill(shares, clock, name))
    assert taken == [50, 25, 13, 6, 3]


async def test_room_comes_back_to_who_waits_for_it() -> None:
    shares = FairShare(4)
    assert await shares.enter("a")
    assert await shares.enter("a")
    waiting = asyncio.create_task(shares.enter("a"))
    await eventually(lambda: bool(shares._waiting), 1)
    shares.leave("a")
    assert await waiting


async def hold(shares: FairShare, destination: str, until: asyncio.Event) -> None:
    """A call that ends when it is told to."""
    with shares.calling(destination):
        await until.wait()


async def test_a_destination_that_answers_nobody_is_not_waited_for() -> None:
    """Who waits for it already is sent away soon; the next one at once; others aren't concerned."""
    clock, end = Clock(), asyncio.Event()
    shares = FairShare(4, clock=clock)
    assert await shares.enter("a")
    assert await shares.enter("a")
    call = asyncio.create_task(hold(shares, "a", end))
    waiting = asyncio.create_task(shares.enter("a"))
    await eventually(lambda: bool(shares._waiting), 1)
    clock.now += bulkhead.SLOW_S + 0.01
    assert not await asyncio.wait_for(waiting, 1)
    assert not await shares.enter("a")
    assert await shares.enter("b")
    end.set()
    await call
    shares.leave("a")
    shares.leave("a")
    assert await shares.enter("a"), "it has room again"


async def test_a_slow_destination_is_known_by_its_calls_and_quick_again_by_them() -> None:
    clock = Clock()
    shares = FairShare(4, clock=clock)
    for takes_s, slow in ((0.02, False), (2.0, True), (0.02, False)):
        for _ in range(60):
            with shares.calling("a"):
                clock.now += takes_s
        assert shares.is_slow("a") is slow
        clock.now += 60
        assert shares.is_slow("a") is slow, "however long nobody asks it"


async def test_one_call_that_hangs_among_many_that_do_not_makes_nobody_slow() -> None:
    clock, end = Clock(), asyncio.Event()
    shares = FairShare(4, clock=clock)
    call = asyncio.create_task(hold(shares, "a", end))
    await asyncio.sleep(0)
    for _ in range(100):
        with shares.calling("a"):
            clock.now += 0.02
        assert not shares.is_slow("a")
    end.set()
    await call


async def test_who_is_cancelled_while_it_waits_takes_no_room() -> None:
    shares = FairShare(4)
    await shares.enter("a")
    await shares.enter("a")
    waiting = asyncio.create_task(shares.enter("a"))
    await eventually(lambda: bool(shares._waiting), 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    shares.leave("a")
    shares.leave("a")
    assert (shares._total, dict(shares._under_way)) == (0, {})


async def test_a_single_handler_serves_everybody_in_turn() -> None:
    shares = FairShare(1)
    for name in ("a", "b"):
        assert await shares.enter(name)
        shares.leave(name)
