"""The notifier while its stores fail: nothing is lost, and no try is spent on a fault of ours."""

import asyncio
from pathlib import Path

from aiohttp import web

from filas.policies import NOTIFICATIONS
from filas.repository.pauses import PauseRepository
from filas_local.servers import PostgresServer, RedisServer
from tests.notifier.process import stage
from tests.notifier.receiver import answer, receiver
from tests.notifier.rows import add_notification
from tests.waiting import eventually


async def test_postgres_dies_while_messages_are_under_way(
    redis_url: str, own_postgres: PostgresServer, tmp_path: Path
) -> None:
    """What was sent can't be recorded: it is sent again under the same key, marked as uncertain."""
    may_answer = asyncio.Event()

    async def slow(_request: web.Request) -> web.StreamResponse:
        await may_answer.wait()
        return web.Response()

    async with receiver(slow) as outside, stage(redis_url, own_postgres.dsn(), tmp_path) as world:
        await world.channel("outside", outside.url)
        sent = [await world.notify("outside", f"contact-{number}") for number in range(20)]
        await eventually(lambda: len(outside.received) == 20)
        await asyncio.to_thread(own_postgres.kill)
        may_answer.set()

        async def names_postgres() -> bool:
            status, document = await world.notifier.ready()
            return status == 503 and "postgres" in str(document)

        await eventually(names_postgres)
        await asyncio.to_thread(own_postgres.start)
        await world.database.wait_ready(20)
        for notification_id in sent:
            row = await world.until(notification_id, "delivered", 30)
            assert [attempt.outcome for attempt in row.history] == ["uncertain", "delivered"]
            assert row.uncertain
            assert outside.keys().count(row.idempotency_key) == 2
        assert (await world.dead_letters.list()).items == []
        assert "Traceback" not in world.notifier.log


async def test_redis_is_emptied_while_jobs_wait(own_redis: RedisServer, postgres_dsn: str, tmp_path: Path) -> None:
    """The relay puts them back, and each message arrives once."""
    async with receiver(answer(200)) as outside, stage(f"{own_redis.url}/0", postgres_dsn, tmp_path) as world:
        await world.channel("outside", outside.url)
        pauses = PauseRepository(world.database)
        await pauses.pause(NOTIFICATIONS.name)
        await eventually(lambda: "queue.paused" in world.notifier.log)
        waiting = []
        for number in range(20):
            notification_id = await add_notification(
                world.database, "outside", recipient=f"contact-{number}", due_s_ago=60
            )
            await world.put_job(notification_id, "outside", f"contact-{number}")
            waiting.append(notification_id)
        own_redis.execute("FLUSHALL")
        await pauses.resume(NOTIFICATIONS.name)
        for notification_id in waiting:
            await world.until(notification_id, "delivered", 45)
        assert len(outside.received) == 20
        assert len(set(outside.keys())) == 20
