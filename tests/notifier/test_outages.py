"""The notifier while its stores fail: nothing is lost, and a fault of the stores uses no attempt."""

import asyncio
import time
from pathlib import Path

from aiohttp import web

from filas.contract.job_factories import job_of
from filas.contract.jobs import DeliveryReceiptJob
from filas.contract.policies import NOTIFICATIONS
from filas.queue.channel_circuits import ChannelCircuits
from filas.queue.producer import QueueProducer
from filas.repository.pauses import PauseRepository
from filas_local.servers import PostgresServer, RedisServer
from notifier.jobs import STATUS_WAIT_S
from tests.notifier.process import stage
from tests.notifier.receiver import answer, receiver
from tests.notifier.rows import add_delivery_status, add_notification
from tests.redis_address import connect_url
from tests.waiting import PATIENCE_S, eventually


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
        await world.database.wait_ready(PATIENCE_S)
        for notification_id in sent:
            row = await world.until(notification_id, "delivered")
            assert [attempt.outcome for attempt in row.history] == ["uncertain", "delivered"]
            assert row.uncertain
            assert outside.keys().count(row.idempotency_key) == 2
        assert (await world.dead_letters.list()).items == []
        assert "Traceback" not in world.notifier.log


async def test_redis_is_emptied_while_jobs_wait(own_redis: RedisServer, postgres_dsn: str, tmp_path: Path) -> None:
    """The relay enqueues them again, and each message arrives once."""
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
            await world.until(notification_id, "delivered")
        assert len(outside.received) == 20
        assert len(set(outside.keys())) == 20


async def test_redis_is_emptied_while_a_status_waits_for_its_message(
    own_redis: RedisServer, postgres_dsn: str, tmp_path: Path
) -> None:
    """The receipt came before the answer: the relay enqueues it again, and it is recorded."""
    url = f"{own_redis.url}/0"
    redis = connect_url(url)
    word = DeliveryReceiptJob(channel_id="wa", provider_id="wamid.1", status="delivered", timestamp=1)
    async with stage(url, postgres_dsn, tmp_path) as world:
        await add_delivery_status(world.database, word)
        put = await QueueProducer(redis).enqueue(job_of(word))

        async def is_retried() -> bool:
            # While it runs, its score is the end of its lease, which is renewed before it is as near as a retry.
            due = float(await redis.command("ZSCORE", NOTIFICATIONS.name, put.job_id) or 0) / 1000 - time.time()
            return "job.retry_scheduled" in world.notifier.log and 0.3 < due <= 4 * STATUS_WAIT_S

        await eventually(is_retried)
        own_redis.execute("FLUSHALL")
        notification_id = await add_notification(world.database, "wa")
        await world.database.fetch(
            "update notifications set status = 'sent', provider_id = 'wamid.1', ended_at = now() where id = $1",
            notification_id,
        )
        await world.until(notification_id, "delivered")

        async def none_waits() -> bool:
            return bool(await world.database.fetchval("select count(*) from delivery_statuses") == 0)

        await eventually(none_waits)
    await redis.close()


async def test_redis_is_emptied_while_a_channel_is_paused(
    own_redis: RedisServer, postgres_dsn: str, tmp_path: Path
) -> None:
    """The pause is lost and found again. The relay enqueues the messages, and no attempt is used."""
    redis = connect_url(f"{own_redis.url}/0")
    circuits = ChannelCircuits(redis)
    async with (
        receiver(answer(429, {"Retry-After": "60"})) as outside,
        stage(f"{own_redis.url}/0", postgres_dsn, tmp_path) as world,
    ):
        await world.channel("outside", outside.url)

        async def is_open() -> bool:
            return (await circuits.status("outside")).state == "open"

        async def all_wait() -> bool:
            names = redis.keys(NOTIFICATIONS.name)
            queued = await redis.command("ZCOUNT", NOTIFICATIONS.name, (time.time() + 10) * 1000, "+inf")
            return bool(queued == 21 and not await redis.command("ZCARD", names.named("active")))

        # Only one message gets the answer to wait, and no message is under way when Redis is emptied.
        waiting = [await world.notify("outside", "the first")]
        await eventually(is_open)
        waiting += [await world.notify("outside", f"contact-{number}") for number in range(20)]
        await eventually(all_wait)
        asked = len(outside.received)
        # The next answers of the receiver open the circuit again.
        outside.behaviour = answer(429, {"Retry-After": "1"})
        own_redis.execute("FLUSHALL")
        assert (await circuits.status("outside")).state == "closed"
        # A deferred attempt is due at the end of the lost pause, and the relay searches for overdue rows.
        await world.database.fetch("update notifications set due_at = now() - interval '1 minute'")
        await eventually(lambda: len(outside.received) > asked)
        await eventually(is_open)
        outside.behaviour = answer(200)
        for notification_id in waiting:
            row = await world.until(notification_id, "delivered")
            assert {attempt.outcome for attempt in row.history} <= {"retry", "delivered"}
            assert not row.uncertain
        assert (await world.dead_letters.list()).items == []
    await redis.close()


async def test_redis_dies_while_messages_are_under_way(
    own_redis: RedisServer, postgres_dsn: str, tmp_path: Path
) -> None:
    """The outcomes are in Postgres: no message is sent twice, and the waiting ones continue when Redis is available."""
    may_answer = asyncio.Event()

    async def slow(_request: web.Request) -> web.StreamResponse:
        await may_answer.wait()
        return web.Response()

    async with receiver(slow) as outside, stage(f"{own_redis.url}/0", postgres_dsn, tmp_path) as world:
        await world.channel("outside", outside.url)
        under_way = [await world.notify("outside", f"contact-{number}") for number in range(20)]
        waiting = [await world.notify("outside", f"contact-{number}") for number in range(20)]
        await eventually(lambda: len(outside.received) == 20)
        await asyncio.to_thread(own_redis.kill)

        async def names_redis() -> bool:
            status, document = await world.notifier.ready()
            return status == 503 and "redis" in str(document)

        await eventually(names_redis)
        may_answer.set()
        for notification_id in under_way:
            await world.until(notification_id, "delivered")
        await asyncio.to_thread(own_redis.start)
        for notification_id in waiting:
            row = await world.until(notification_id, "delivered")
            assert [attempt.outcome for attempt in row.history] == ["delivered"]
        assert sorted(set(outside.keys())) == sorted(outside.keys()), "each was sent once"
        assert (await world.dead_letters.list()).items == []
        assert "Traceback" not in world.notifier.log
