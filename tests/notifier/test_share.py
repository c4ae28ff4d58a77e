"""How handlers are shared between destinations."""

import asyncio

from notifier import share
from notifier.share import FairShare
from tests.waiting import eventually


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def fill(shares: FairShare, destination: str) -> int:
    """Messages that enter until no more may."""
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
        clock.now += 1.0
        taken.append(await fill(shares, name))
    assert taken == [50, 25, 13, 6, 3]


async def test_room_comes_back_to_who_waits_for_it() -> None:
    shares = FairShare(4)
    assert await shares.enter("a")
    assert await shares.enter("a")
    waiting = asyncio.create_task(shares.enter("a"))
    await eventually(lambda: bool(shares._waiting), 1)
    shares.leave("a")
    assert await waiting


async def test_who_waits_too_long_goes_away_and_takes_no_room() -> None:
    shares = FairShare(4)
    await shares.enter("a")
    await shares.enter("a")
    assert not await shares.enter("a")
    shares.leave("a")
    shares.leave("a")
    assert await shares.enter("a")
    assert await shares.enter("a")


async def test_a_destination_that_ends_nothing_is_not_waited_for() -> None:
    clock = Clock()
    shares = FairShare(4, clock=clock)
    await shares.enter("a")
    await shares.enter("a")
    clock.now += share.STALLED_S + 0.01
    begun = asyncio.get_running_loop().time()
    assert not await shares.enter("a")
    assert asyncio.get_running_loop().time() - begun < share.PATIENCE_S
    assert await shares.enter("b")


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
