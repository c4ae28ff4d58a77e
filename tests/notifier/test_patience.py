"""A channel that is busy, slow or unreachable delays only its own messages."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from filas.contract.job_factories import job_of
from filas.contract.jobs import CancelNotificationJob, DeliveryReceiptJob, NotificationJob
from filas.crypto.secret_box import SecretBox
from filas.models.configuration import Channel
from filas.queue.channel_circuits import ChannelCircuits
from filas.queue.producer import QueueProducer
from filas.repository.definitions.channels import ChannelRepository
from tests.notifier.pace import Busy, Timed, all_delivered, flood, least_p99_s
from tests.notifier.process import KEY, Stage, stage
from tests.notifier.providers import TAKEN
from tests.notifier.receiver import Receiver, answer, never, receiver, reset
from tests.redis_address import connect_url
from tests.waiting import eventually

MESSAGES = 1000
QUICK = 100


async def test_a_thousand_messages_to_one_that_is_busy(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """All arrive, none is given up, and messages to others come as quickly as before (p99 within twice)."""
    busy = Busy()
    before, meanwhile = Timed(), Timed()
    async with (
        receiver(busy) as slow,
        receiver(before) as calm,
        receiver(meanwhile) as quick,
        stage(redis_url, postgres_dsn, tmp_path, LOG_LEVEL="warning") as world,
    ):
        for name, outside in {"slow": slow, "calm": calm, "quick": quick}.items():
            await world.channel(name, outside.url)
        alone = await least_p99_s(world, before, "calm", QUICK, 0.25)
        await flood(world, "slow", MESSAGES)
        await eventually(lambda: slow.received)
        # A noise floor: a stall of the machine is no fault of ours, a wait for the busy one would end with the test.
        limit = max(2 * alone, 0.5)
        beside = await least_p99_s(world, meanwhile, "quick", QUICK, limit)
        busy.is_busy = False
        await all_delivered(world, "slow", MESSAGES)
        assert (await world.dead_letters.list()).items == []
        assert busy.refused < MESSAGES / 4, "most never asked while it was busy"
        assert beside < limit, f"p99 {beside * 1000:.0f} ms beside, {alone * 1000:.0f} ms alone"


async def test_one_that_never_answers_holds_no_more_than_its_share(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Two hundred messages for it, and the others' come at once."""
    quick = Timed()
    async with (
        receiver(never) as silent,
        receiver(quick) as others,
        stage(redis_url, postgres_dsn, tmp_path) as world,
    ):
        await world.channel("silent", silent.url)
        await world.channel("others", others.url)
        await flood(world, "silent", 200)
        await eventually(lambda: len(silent.received) >= 10)
        # A call without an answer ends after 10 s: no other message waited for one of them.
        assert await least_p99_s(world, quick, "others", QUICK, 5.0) < 5.0
        holding = "select count(*) from notifications where channel_id = 'silent' and status = 'sending'"
        assert await world.database.fetchval(holding) <= 50


async def test_one_that_is_broken_is_left_alone_after_a_few_tries_and_found_again(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Its circuit opens, one message is the probe, and after the recovery all waiting messages arrive."""
    redis = connect_url(redis_url)
    async with receiver(reset) as broken, stage(redis_url, postgres_dsn, tmp_path) as world:
        await world.channel("broken", broken.url)
        await flood(world, "broken", 200)

        async def is_open() -> bool:
            return (await ChannelCircuits(redis).status("broken")).state == "open"

        await eventually(is_open)
        asked = len(broken.received)
        broken.behaviour = answer(200)
        await all_delivered(world, "broken", 200)
        assert asked < 200, "the first ones found out for the others"
        assert "channel.paused" in world.notifier.log
        assert "channel.recovered" in world.notifier.log
        assert (await world.dead_letters.list()).items == []
    await redis.close()


async def test_every_conversation_keeps_its_order_through_a_pause(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Ten contacts, ten messages each, to a channel that is busy three times: no second comes before a first."""
    taken: list[str] = []
    asked = 0

    async def busy_at_times(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if asked in (5, 30, 60):
            return web.Response(status=429, headers={"Retry-After": "1"})
        taken.append(request.headers["Idempotency-Key"])
        return web.Response()

    async with receiver(busy_at_times) as outside, stage(redis_url, postgres_dsn, tmp_path) as world:
        await world.channel("outside", outside.url)
        sent = [await world.notify("outside", f"contact-{number % 10}") for number in range(100)]
        await all_delivered(world, "outside", 100)
        at = {(await world.row(one)).idempotency_key: number for number, one in enumerate(sent)}
        assert "channel.paused" in world.notifier.log
        for contact in range(10):
            mine = [at[key] for key in taken if at[key] % 10 == contact]
            assert mine == sorted(mine)
            assert len(mine) == 10
        assert (await world.dead_letters.list()).items == []


async def test_an_unreachable_provider_is_awaited_and_the_order_is_kept(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """`retry.forMs`: it breaks more connections than the queue has attempts. Each message of the conversation arrives
    once, in order, and uses no attempt meanwhile."""
    taken: list[str] = []

    async def broken_at_first(request: web.Request) -> web.StreamResponse:
        if len(outside.received) <= 3:
            return await reset(request)
        taken.append(request.headers["Idempotency-Key"])
        return web.Response()

    async with receiver(broken_at_first) as outside, stage(redis_url, postgres_dsn, tmp_path) as world:
        await world.channel(
            "outside", outside.url, retry={"maxAttempts": 1, "delayMs": 1000, "rate": 1, "forMs": 60_000}
        )
        sent = [await world.notify("outside", "contact") for _ in range(3)]
        rows = [await world.until(one, "delivered") for one in sent]
        assert taken == [row.idempotency_key for row in rows]
        assert [attempt.outcome for attempt in rows[0].history][-1] == "delivered"
        assert len(rows[0].history) == 4
        assert (await world.dead_letters.list()).items == []


async def test_a_channel_sets_its_attempts(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """`retry.maxAttempts` and `retry.forMs`: the dead letter comes after all of them, and only then."""
    async with receiver(reset) as outside, stage(redis_url, postgres_dsn, tmp_path) as world:
        await world.channel("four", outside.url, retry={"maxAttempts": 4, "delayMs": 50, "rate": 1})
        four = await world.until(await world.notify("four", "a"), "failed")
        assert [attempt.outcome for attempt in four.history][-1] in ("failed", "uncertain")
        assert len(four.history) == 4
        await world.channel("wait", outside.url, retry={"maxAttempts": 1, "delayMs": 1000, "rate": 1, "forMs": 4000})
        row = await world.until(await world.notify("wait", "b"), "failed")
        assert 3 <= len(row.history) <= 6
        lasted = row.history[-1].started_at - row.history[0].started_at
        assert lasted.total_seconds() >= 4.0
        letters = {letter.payload["channelId"]: letter for letter in (await world.dead_letters.list()).items}
        assert {name: letter.attempts for name, letter in letters.items()} == {"four": 4, "wait": 1}


# ---- through a local provider -------------------------------------------------------------------


@asynccontextmanager
async def whatsapp(world: Stage, **config: object) -> AsyncIterator[Receiver]:
    """A provider that takes everything, each message under an id of its own, and the channel `wa` to it."""
    numbers = iter(range(1, 10_000))

    async def take(_request: web.Request) -> web.StreamResponse:
        return web.json_response(TAKEN["whatsapp"] | {"messages": [{"id": f"wamid.{next(numbers)}"}]})

    async with receiver(take) as provider:
        token = SecretBox(KEY).seal("token")
        fields = {"phoneNumberId": "1", "accessToken": token, "baseUrl": provider.url, **config}
        await ChannelRepository(world.database).store(Channel(id="wa", type="whatsapp", config=fields))
        yield provider


async def test_a_rate_is_kept_and_a_conversation_stays_in_order(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Twenty a second, by fields of the channel: no second has more, so the last of fifty is tried more than a second
    after the first. The rate itself is tested in tests/shared/queue."""
    async with stage(redis_url, postgres_dsn, tmp_path) as world, whatsapp(world, rate=20) as provider:
        sent = [await world.notify("wa", f"contact-{number % 10}") for number in range(50)]
        for notification_id in sent:
            await world.until(notification_id, "sent")
        # By the notifier's clock: this process may get a message late, and the next one at once.
        rows = [await world.row(notification_id) for notification_id in sent]
        times = sorted(row.history[0].started_at.timestamp() for row in rows)
        assert times[-1] - times[0] > 1.0
        gaps = [later - times[at] for at, later in enumerate(times[43:])]
        assert min(gaps) > 0.5, "two seconds that meet have at most 42"
        order = [one.document["biz_opaque_callback_data"] for one in provider.received]
        keys = {(await world.row(one)).idempotency_key: at for at, one in enumerate(sent)}
        for contact in range(10):
            mine = [keys[key] for key in order if keys[key] % 10 == contact]
            assert mine == sorted(mine)


async def test_a_providers_word_moves_the_notification_even_when_it_comes_before_the_answer(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    redis = connect_url(redis_url)
    producer = QueueProducer(redis)

    def receipt(status: str, provider_id: str = "wamid.1") -> DeliveryReceiptJob:
        return DeliveryReceiptJob(
            channel_id="wa",
            provider_id=provider_id,
            status=status,  # type: ignore[arg-type]
            timestamp=1_790_000_000_000,
            error_message="Message undeliverable" if status == "failed" else None,
        )

    async with stage(redis_url, postgres_dsn, tmp_path) as world, whatsapp(world):
        await producer.enqueue(job_of(receipt("delivered")))
        first = await world.notify("wa")
        await world.until(first, "delivered")
        await producer.enqueue(job_of(receipt("sent")))
        await producer.enqueue(job_of(receipt("read")))
        await world.until(first, "read")
        second = await world.notify("wa")
        await world.until(second, "sent")
        await producer.enqueue(job_of(receipt("failed", "wamid.2")))
        row = await world.until(second, "failed")
        assert row.error is not None
        assert "undeliverable" in row.error.message
        assert (await world.dead_letters.list()).items == []
    await redis.close()


async def test_a_message_whose_answer_is_lost_is_not_sent_again_when_the_provider_reports_it(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """The notifier dies before it has the answer; the status carries the key under which the message went."""
    redis = connect_url(redis_url)
    async with stage(redis_url, postgres_dsn, tmp_path) as world, whatsapp(world) as provider:
        taking = provider.behaviour
        provider.behaviour = never
        lost = await world.notify("wa")
        await eventually(lambda: provider.received)
        world.notifier.signal(signal.SIGKILL)
        await world.notifier.ended()
        provider.behaviour = taking
        key = provider.received[0].document["biz_opaque_callback_data"]
        word = DeliveryReceiptJob(
            channel_id="wa", provider_id="wamid.lost", status="delivered", timestamp=1, idempotency_key=key
        )
        await QueueProducer(redis).enqueue(job_of(word))
        world.notifier.start()
        row = await world.until(lost, "delivered")
        assert row.provider_id == "wamid.lost"
        # The next message to the same receiver comes behind the lost one's own job.
        await world.until(await world.notify("wa"), "sent")
        assert len(provider.received) == 2
        assert len((await world.row(lost)).history) == 1
    await redis.close()


async def test_a_cancelled_message_is_never_sent(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """It waited for a busy channel. The next message is sent instead."""
    redis = connect_url(redis_url)
    async with (
        receiver(answer(429, {"Retry-After": "3"})) as outside,
        stage(redis_url, postgres_dsn, tmp_path) as world,
    ):
        await world.channel("outside", outside.url)
        first, second = await world.notify("outside"), await world.notify("outside")
        await eventually(lambda: outside.received)
        await world.until(first, "retrying")
        await QueueProducer(redis).enqueue(job_of(CancelNotificationJob(notification_id=first)))
        cancelled = (await world.until(first, "cancelled")).idempotency_key
        sent = outside.keys().count(cancelled)  # the command may come after another try
        outside.behaviour = answer(200)
        await world.until(second, "delivered")
        keys = outside.keys()
        assert keys[-1] == (await world.row(second)).idempotency_key
        assert keys.count(cancelled) == sent
        assert (await world.row(first)).status == "cancelled"
    await redis.close()


async def test_a_message_that_is_being_sent_is_cancelled_if_that_try_fails(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Before its second try begins, eight seconds later."""
    may_answer = asyncio.Event()
    redis = connect_url(redis_url)

    async def broken(_request: web.Request) -> web.StreamResponse:
        await may_answer.wait()
        return web.Response(status=500)

    async with receiver(broken) as outside, stage(redis_url, postgres_dsn, tmp_path) as world:
        await world.channel("outside", outside.url, retry={"maxAttempts": 2, "delayMs": 8000, "rate": 1})
        first = await world.notify("outside")
        await eventually(lambda: outside.received)
        await QueueProducer(redis).enqueue(job_of(CancelNotificationJob(notification_id=first)))
        await eventually(
            lambda: "job.retry_scheduled" in world.notifier.log, message="the cancel has not found it in sending"
        )
        may_answer.set()
        row = await world.until(first, "cancelled")
        assert row.attempts == 1
        # The next message to the same receiver comes behind the cancelled one's own job.
        outside.behaviour = answer(200)
        second = await world.notify("outside")
        await world.until(second, "delivered")
        assert outside.keys() == [row.idempotency_key, (await world.row(second)).idempotency_key]
        assert (await world.dead_letters.list()).items == []
    await redis.close()


async def test_a_failed_message_is_sent_again_under_its_key_when_an_operator_replays_it(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    redis = connect_url(redis_url)
    async with receiver(answer(410)) as outside, stage(redis_url, postgres_dsn, tmp_path) as world:
        await world.channel("outside", outside.url)
        failed = await world.notify("outside")
        await world.until(failed, "failed")
        outside.behaviour = answer(200)
        again = NotificationJob(notification_id=failed, channel_id="outside", replay=2)
        await QueueProducer(redis).enqueue(job_of(again, group="outside:5511999990000"))
        row = await world.until(failed, "delivered")
        assert [attempt.outcome for attempt in row.history] == ["failed", "delivered"]
        assert outside.keys() == [row.idempotency_key] * 2
        assert row.error is None
    await redis.close()


async def test_a_pause_outlives_the_notifier(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """A second process does not send before the time that the first one received."""
    answered_at: list[float] = []

    async def busy(_request: web.Request) -> web.StreamResponse:
        answered_at.append(time.monotonic())
        return web.Response(status=503, headers={"Retry-After": "4"})

    async with receiver(busy) as outside:
        async with stage(redis_url, postgres_dsn, tmp_path) as world:
            await world.channel("outside", outside.url)
            first = await world.notify("outside", "one")
            await world.until(first, "retrying")
        outside.behaviour = answer(200)
        async with stage(redis_url, postgres_dsn, tmp_path) as world:
            second = await world.notify("outside", "two")
            for notification_id in (first, second):
                await world.until(notification_id, "delivered")
        assert time.monotonic() - answered_at[0] > 3.9
        assert len(outside.received) == 3
