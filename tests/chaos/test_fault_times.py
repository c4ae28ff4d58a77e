"""Faults of stores keep their distance although one of them lasts longer than planned."""

import asyncio
import time

from tests.chaos.fault_times import FaultTimes
from tests.chaos.schedule import Fault
from tests.waiting import eventually

PAUSE_S = 0.3


def fault(number: int, kind: str, target: str) -> Fault:
    return Fault(number, kind, target, at_s=0.0, lasts_s=0.0)


async def test_the_other_store_fails_only_after_the_pause() -> None:
    """Also if the first one lasts longer than planned. The times are the real ones."""
    times = FaultTimes(time.monotonic(), pause_s=PAUSE_S)
    over = asyncio.Event()

    async def first() -> None:
        async with times.recorded(fault(1, "store-kill", "postgres")):
            await over.wait()

    async def second() -> None:
        async with times.recorded(fault(2, "redis-flush", "redis")):
            pass

    async with asyncio.TaskGroup() as group:
        group.create_task(first())
        await asyncio.sleep(0)
        later = group.create_task(second())
        async with times.recorded(fault(3, "kill", "notifier")):
            pass
        assert [one.number for one in times.made] == [3]
        await asyncio.wait([later], timeout=PAUSE_S)
        assert not later.done()
        over.set()
    _, one, other = times.made
    assert one.lasts_s >= PAUSE_S
    assert one.ends_s + PAUSE_S <= other.at_s


async def test_the_same_store_fails_again_without_a_pause() -> None:
    times = FaultTimes(time.monotonic(), pause_s=1000.0)
    async with asyncio.timeout(5):
        for number in (1, 2):
            async with times.recorded(fault(number, "store-kill", "redis")):
                pass
    assert [one.number for one in times.made] == [1, 2]


async def test_one_fault_of_a_store_at_a_time() -> None:
    times = FaultTimes(time.monotonic(), pause_s=0.0)
    over = asyncio.Event()
    began: list[int] = []

    async def make(number: int) -> None:
        async with times.recorded(fault(number, "store-kill", "redis")):
            began.append(number)
            await over.wait()

    async with asyncio.TaskGroup() as group:
        for number in (1, 2):
            group.create_task(make(number))
        await eventually(lambda: began == [1])
        over.set()
    assert began == [1, 2]
    assert times.made[0].ends_s <= times.made[1].at_s


async def test_a_failure_of_a_watched_redis_may_lose_writes() -> None:
    """Sentinels promote the replica, which may lack the last ones. A stall of another store loses nothing."""
    times = FaultTimes(time.monotonic(), sentinels=True, pause_s=0.0)
    for number, (kind, target) in enumerate([("store-kill", "redis"), ("store-stall", "postgres")]):
        async with times.recorded(fault(number, kind, target)):
            pass
    assert [one.loses_redis for one in times.made] == [True, False]
