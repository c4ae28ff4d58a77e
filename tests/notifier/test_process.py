"""The notifier as it is started for real: a process of its own over Redis and Postgres."""

import asyncio
import signal
import time
from pathlib import Path

import pytest
import standardwebhooks
from aiohttp import web

from filas.models.configuration import Channel
from filas.repository.definitions.channels import ChannelRepository
from tests.notifier.pace import Timed, least_p99_s
from tests.notifier.process import SECRET, NotifierProcess, stage
from tests.notifier.receiver import Flood, answer, never, receiver
from tests.notifier.rows import add_notification
from tests.ports import free_port
from tests.waiting import eventually


async def test_messages_reach_their_channels(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    async with receiver(answer(200)) as outside, stage(redis_url, postgres_dsn, tmp_path) as world:
        await world.channel("outside", outside.url)
        await world.channel("here", None)
        sent, printed = await world.notify("outside"), await world.notify("here", "Maria")
        row = await world.until(sent, "delivered")
        await world.until(printed, "delivered")
        assert [(attempt.outcome, attempt.status_code) for attempt in row.history] == [("delivered", 200)]
        (got,) = outside.received
        assert got.headers["idempotency-key"] == row.idempotency_key
        assert standardwebhooks.Webhook(SECRET).verify(got.body, got.headers)["text"] == "Olá!"
        await eventually(lambda: "To: Maria | Olá!\n" in world.notifier.output)
        world.notifier.signal(signal.SIGTERM)
        assert await world.notifier.ended() == 0
        assert "Olá!" not in world.notifier.log
        assert SECRET not in world.notifier.log
        assert "Traceback" not in world.notifier.log


async def test_a_kill_in_the_middle_of_a_send_sends_again_under_the_same_key(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    async with receiver(never) as outside, stage(redis_url, postgres_dsn, tmp_path) as world:
        await world.channel("outside", outside.url)
        notification_id = await world.notify("outside")
        await eventually(lambda: outside.received)
        world.notifier.signal(signal.SIGKILL)
        await world.notifier.ended()
        outside.behaviour = answer(200)
        world.notifier.start()
        row = await world.until(notification_id, "delivered")
        assert row.uncertain
        assert [attempt.outcome for attempt in row.history] == ["uncertain", "delivered"]
        assert outside.keys() == [row.idempotency_key] * 2


async def test_what_runs_is_finished_before_the_process_stops(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    may_answer = asyncio.Event()

    async def slow(_request: web.Request) -> web.StreamResponse:
        await may_answer.wait()
        return web.Response()

    async with receiver(slow) as outside, stage(redis_url, postgres_dsn, tmp_path) as world:
        await world.channel("outside", outside.url)
        notification_id = await world.notify("outside")
        await eventually(lambda: outside.received)
        world.notifier.signal(signal.SIGTERM)

        async def draining() -> bool:
            status, document = await world.notifier.ready()
            return status == 503 and "draining" in str(document)

        await eventually(draining)
        may_answer.set()
        assert await world.notifier.ended() == 0
        assert (await world.row(notification_id)).status == "delivered"


async def test_a_receiver_that_stays_broken_ends_in_a_dead_letter_with_its_history(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    async with receiver(answer(500)) as outside, stage(redis_url, postgres_dsn, tmp_path) as world:
        await world.channel("outside", outside.url)
        notification_id = await world.notify("outside")
        row = await world.until(notification_id, "failed")
        assert [(attempt.outcome, attempt.status_code) for attempt in row.history] == [("retry", 500), ("failed", 500)]
        assert row.error is not None
        assert (row.error.kind, row.error.message) == ("http-status", "the recipient answered 500")
        (letter,) = (await world.dead_letters.list()).items
        assert (letter.attempts, letter.error) == (2, row.error)
        assert letter.payload["notificationId"] == str(notification_id)


@pytest.mark.parametrize("case", ["refused status", "no channel", "private address"])
async def test_what_can_not_be_delivered_is_given_up_at_once(
    redis_url: str, postgres_dsn: str, tmp_path: Path, case: str
) -> None:
    async with receiver(answer(410)) as outside, stage(redis_url, postgres_dsn, tmp_path) as world:
        if case != "no channel":
            url = outside.url if case == "refused status" else outside.url.replace("127.0.0.1", "127.0.0.2")
            await world.channel("outside", url)
        row = await world.until(await world.notify("outside"), "failed")
        assert row.attempts == 1
        assert row.error is not None
        kind, words = {
            "refused status": ("http-status", "410"),
            "no channel": ("channel", "'outside'"),
            "private address": ("refused", "127.0.0.2"),
        }[case]
        assert row.error.kind == kind
        assert words in row.error.message
        assert len((await world.dead_letters.list()).items) == 1


async def test_the_relay_enqueues_the_missing_job_of_a_row(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    async with receiver(answer(200)) as outside, stage(redis_url, postgres_dsn, tmp_path) as world:
        await world.channel("outside", outside.url)
        world.notifier.signal(signal.SIGTERM)
        await world.notifier.ended()
        lost = [await add_notification(world.database, "outside", due_s_ago=60) for _ in range(3)]
        world.notifier.start()
        for notification_id in lost:
            await world.until(notification_id, "delivered")
        assert len(outside.received) == 3


async def test_hostile_receivers_keep_only_their_own_messages_waiting(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """One that never answers, one that answers a gigabyte, one that leads inside and a mail server that never greets,
    thirty messages each."""

    async def inside(request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(f"http://127.0.0.2:{request.url.port}/inside")

    async def never_answers(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    good = Timed()
    async with (
        receiver(never) as silent,
        receiver(Flood()) as flood,
        receiver(inside) as leading,
        receiver(good) as kind,
        stage(redis_url, postgres_dsn, tmp_path) as world,
        await asyncio.start_server(never_answers, "127.0.0.1", 0) as mute,
    ):
        mail = {"host": "127.0.0.1", "port": mute.sockets[0].getsockname()[1], "from": "bot@filas.example"}
        await ChannelRepository(world.database).store(Channel(id="mail", type="email", config=mail))
        for name, outside in {"silent": silent, "flood": flood, "leading": leading, "good": kind}.items():
            await world.channel(name, outside.url)
        began = time.monotonic()
        hostile = [
            await world.notify(name, f"contact-{number}@example.com")
            for number in range(30)
            for name in ("silent", "flood", "leading", "mail")
        ]
        # In less time than the time limit of one call: no message waited for a hostile one.
        assert await least_p99_s(world, good, "good", 30, 9.0) < 9.0
        rows = [await world.row(notification_id) for notification_id in hostile]
        # Under way, or waiting for their share of the handlers; the first may have had their time-out.
        late = {row.status for row in rows if row.channel_id in ("silent", "mail")}
        if time.monotonic() - began < 20:  # the time limits of two attempts
            assert late <= {"sending", "queued", "retrying"}
        for notification_id in hostile:
            if (await world.row(notification_id)).channel_id == "leading":
                await world.until(notification_id, "failed")
            elif (await world.row(notification_id)).channel_id == "flood":
                await world.until(notification_id, "delivered")


async def test_messages_to_one_receiver_keep_their_order(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """The first one is deferred once. Those after it wait."""
    refusals = [503]

    async def once_busy(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=refusals.pop() if refusals else 200, headers={"Retry-After": "1"})

    async with receiver(once_busy) as outside, stage(redis_url, postgres_dsn, tmp_path) as world:
        await world.channel("outside", outside.url)
        sent = [await world.notify("outside") for _ in range(5)]
        for notification_id in sent:
            await world.until(notification_id, "delivered")
        keys = [(await world.row(notification_id)).idempotency_key for notification_id in sent]
        assert outside.keys() == [keys[0], *keys]


@pytest.mark.starts_processes
async def test_it_starts_without_its_stores_and_reports_which_are_unavailable(tmp_path: Path) -> None:
    unused = f"127.0.0.1:{free_port()}"
    notifier = NotifierProcess(f"redis://{unused}/0", f"postgresql://filas@{unused}/filas", tmp_path)
    notifier.start()
    try:

        async def names_both() -> bool:
            status, document = await notifier.ready()
            problems = document.get("problems", {})
            return status == 503 and isinstance(problems, dict) and set(problems) == {"redis", "postgres"}

        await eventually(names_both)
        notifier.signal(signal.SIGTERM)
        assert await notifier.ended() == 0
        assert "Traceback" not in notifier.log
    finally:
        notifier.close()


@pytest.mark.starts_processes
async def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    notifier = NotifierProcess("redis://127.0.0.1:1/0", "postgresql://h/d", tmp_path, NOTIFIER_CONCURRENCY="many")
    notifier.start()
    try:
        assert await notifier.ended() == 2
        assert notifier.log == "NOTIFIER_CONCURRENCY='many' is not a whole number of at least 1\n"
    finally:
        notifier.close()
