"""Several notifiers share the circuits: what one of them learns about a channel applies to all."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from aiohttp import web

from filas.contract.channel_circuits import FAILURES_TO_OPEN, CircuitStatus
from filas.queue.channel_circuits import ChannelCircuits
from tests.notifier.process import NotifierProcess, Stage, stage
from tests.notifier.receiver import answer, receiver
from tests.redis_address import connect_url
from tests.waiting import eventually

OPEN = 'filas_channel_circuits{state="open"}'
DEFERRED = 'filas_jobs_total{function="deliver_notification",outcome="requeued",queue="notifications"}'
CLOSED = 'filas_channel_circuits{state="closed"}'


@asynccontextmanager
async def two_notifiers(
    redis_url: str, postgres_dsn: str, directory: Path
) -> AsyncIterator[tuple[Stage, NotifierProcess, ChannelCircuits]]:
    """A stage with a second notifier, and the circuits in Redis."""
    other_home = directory / "other"
    other_home.mkdir()
    other = NotifierProcess(redis_url, postgres_dsn, other_home)
    redis = connect_url(redis_url)
    async with stage(redis_url, postgres_dsn, directory) as world:
        try:
            other.start()
            await other.until_ready()
            yield world, other, ChannelCircuits(redis)
        finally:
            other.close()
            await redis.close()


async def until_open(circuits: ChannelCircuits, since: datetime | None = None) -> CircuitStatus:
    """The status of `broken` once it is paused: for longer than until `since`, where that is given."""

    async def found() -> CircuitStatus | None:
        status = await circuits.status("broken")
        is_news = since is None or (status.until is not None and status.until > since)
        return status if status.state == "open" and is_news else None

    return await eventually(found, 120)


async def quiet_pause(world: Stage, circuits: ChannelCircuits, *, tried: int) -> datetime:
    """The end of a pause of `broken` that has begun, once no message is under way, and `tried` messages were sent.

    A message that was admitted before the pause is sent late, if its process is slow.
    """

    async def found() -> datetime | None:
        pause = await circuits.status("broken")
        if await world.database.fetchval("select count(*) from notifications where attempts > 0") < tried:
            return None
        sending = await world.database.fetchval("select count(*) from notifications where status = 'sending'")
        is_same = (await circuits.status("broken")).until == pause.until
        return pause.until if pause.state == "open" and sending == 0 and is_same else None

    return await eventually(found, 120)


async def test_all_notifiers_together_send_one_probe(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """A hundred messages wait in two processes: after each pause one is sent, and both show the circuit as it is."""
    came: list[float] = []
    notifiers: list[NotifierProcess] = []
    probing = asyncio.Event()

    async def deferred() -> float:
        return sum([await one.metric(DEFERRED) for one in notifiers])

    async def more_deferred(number: float) -> bool:
        return await deferred() >= number

    async def slowly_broken(_request: web.Request) -> web.StreamResponse:
        came.append(time.time())
        if probing.is_set():
            # Meanwhile, other messages try to be sent too.
            before = await deferred()
            await eventually(lambda: more_deferred(before + 20))
        return web.Response(status=500)

    async with (
        receiver(slowly_broken) as broken,
        two_notifiers(redis_url, postgres_dsn, tmp_path) as (world, other, circuits),
    ):
        notifiers += world.notifier, other
        await world.channel("broken", broken.url)
        # These open the circuit, so that none of the others is admitted before the pause.
        await asyncio.gather(*(world.notify("broken", f"contact-{number}") for number in range(FAILURES_TO_OPEN)))
        await quiet_pause(world, circuits, tried=FAILURES_TO_OPEN)
        await asyncio.gather(*(world.notify("broken", f"other-{number}") for number in range(100 - FAILURES_TO_OPEN)))
        first = await quiet_pause(world, circuits, tried=FAILURES_TO_OPEN)
        before = len(came)
        probing.set()

        async def both_show(line: str) -> bool:
            return [await one.metric(line) for one in (world.notifier, other)] == [1.0, 1.0]

        second = (await until_open(circuits, since=first)).until
        assert second is not None
        assert len(came) - before == 1, "one message found out for both processes"
        await eventually(lambda: both_show(OPEN))
        broken.behaviour = answer(200)

        async def all_settled() -> bool:
            left = await world.database.fetchval("select count(*) from notifications where ended_at is null")
            return bool(left == 0)

        await eventually(all_settled, 120)
        given_up = (await world.dead_letters.list()).items
        assert len(given_up) < 5, (
            "only the probes, of which a slow machine needs a few, can have used up their second try"
        )
        await eventually(lambda: both_show(CLOSED))
