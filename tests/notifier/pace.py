"""How long messages take to one receiver, while another one is busy."""

import asyncio
import time
from uuid import UUID

from aiohttp import web

from tests.notifier.process import Stage
from tests.waiting import eventually

GAP_S = 0.01
"""The load's own pace: a hundred messages a second."""


class Timed:
    """Answers 200 and keeps when each message came, by its idempotency key."""

    def __init__(self) -> None:
        self.came: dict[str, float] = {}

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.came[request.headers["Idempotency-Key"]] = time.monotonic()
        return web.Response()


class Busy:
    """Answers 429 with `Retry-After: 5` until `is_busy` is cleared, then 200."""

    def __init__(self) -> None:
        self.is_busy = True
        self.refused = 0

    async def __call__(self, _request: web.Request) -> web.StreamResponse:
        if not self.is_busy:
            return web.Response()
        self.refused += 1
        return web.Response(status=429, headers={"Retry-After": "5"})


async def p99_s(world: Stage, timed: Timed, name: str, count: int) -> float:
    """Sends `count` messages one after the other and gives the 99th percentile of their ways, in seconds."""
    known = len(timed.came)
    put: dict[UUID, float] = {}
    for number in range(count):
        begun = time.monotonic()
        put[await world.notify(name, f"{name}-{number}")] = begun
        await asyncio.sleep(GAP_S)
    await eventually(
        lambda: len(timed.came) == known + count, message=f"{len(timed.came)} of {known + count} came to {name}"
    )
    keys = {(await world.row(one)).idempotency_key: begun for one, begun in put.items()}
    ways = sorted(timed.came[key] - begun for key, begun in keys.items())
    return ways[int(len(ways) * 0.99) - 1]


async def flood(world: Stage, channel_id: str, count: int) -> None:
    """`count` messages at once, each to a receiver of its own."""
    await asyncio.gather(*(world.notify(channel_id, f"contact-{number}") for number in range(count)))


async def least_p99_s(world: Stage, timed: Timed, name: str, count: int, limit_s: float) -> float:
    """The least of a few measurements of `p99_s`. Ends early with one below `limit_s`.

    A stall of the machine spoils one of them, and a fault of the notifier spoils them all.
    """
    least = float("inf")
    for _ in range(5):
        least = min(least, await p99_s(world, timed, name, count))
        if least < limit_s:
            break
    return least


async def all_delivered(world: Stage, channel_id: str, count: int, timeout: float = 120.0) -> None:
    """Waits until so many of the channel's messages are delivered."""

    async def done() -> bool:
        delivered: int = await world.database.fetchval(
            "select count(*) from notifications where channel_id = $1 and status = 'delivered'", channel_id
        )
        return delivered == count

    await eventually(done, timeout, message=f"not all of {channel_id} came: {world.notifier.log[-2000:]}")
