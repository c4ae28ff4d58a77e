"""What is told of a queue: counts, lists, single jobs; cleaning; and what is done to a single job."""

import asyncio
import time

import pytest

from filas.contract.jobs import NotificationJob
from filas.errors import InvalidCursor, PermanentError
from filas.observability import metrics
from filas.queue.job_functions import JobContext
from filas.queue.operations.finished_job_cleanup import clean
from filas.queue.operations.job_control import JobControl
from filas.queue.operations.queue_stats import JobInfo, QueueStats
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, function, job
from tests.waiting import eventually

HOUR_MS = 3_600_000


async def test_each_state_is_counted_and_its_jobs_are_listed(
    producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """Waiting (behind a group's head too), delayed, active, completed, failed."""

    async def handler(context: JobContext, message: NotificationJob) -> None:
        if message.channel_id == "bad":
            raise PermanentError("no")
        if message.channel_id == "hang":
            await asyncio.sleep(60)

    start_worker([function(handler)], concurrency=1, drain_s=0.2)
    await producer.enqueue_many([job("done"), job("bad", text="bad")])
    await eventually(lambda: counted(stats, completed=1, failed=1))
    hanging = job("hang", text="hang")
    await producer.enqueue(hanging)
    await eventually(lambda: counted(stats, active=1))
    later = int(time.time() * 1000) + HOUR_MS
    await producer.enqueue_many(
        [job("w", group="g"), job("behind", group="g"), *(job(f"d{n}", defer_until_ms=later + n) for n in range(3))]
    )
    assert await counted(stats, waiting=2, delayed=3, active=1, completed=1, failed=1, retries=0, dead_letters=1)

    (active,) = await stats.active_jobs(QUICK)
    assert (active.id, active.name, active.state, active.attempts_made) == (
        hanging.job_id, QUICK.function, "active", 1,
    )  # fmt: skip
    assert active.processed_on is not None
    assert abs(active.processed_on - time.time() * 1000) < 60_000
    assert active.data["channelId"] == "hang"
    first = await stats.jobs(QUICK, "delayed", limit=2)
    assert first.next_cursor is not None
    rest = await stats.jobs(QUICK, "delayed", limit=2, cursor=first.next_cursor)
    found: list[JobInfo] = [*first.items, *rest.items]
    assert [one.id for one in found if one.state == "delayed"] == [QUICK.job_id(f"d{n}") for n in range(3)]
    assert [one.id for one in (await stats.jobs(QUICK, "waiting")).items] == [QUICK.job_id("w")]
    assert [one.id for one in (await stats.jobs(QUICK, "completed")).items] == [QUICK.job_id("done")]
    (failed,) = (await stats.jobs(QUICK, "failed")).items
    assert (failed.id, failed.error.message) == (QUICK.job_id("bad"), "no")
    for key, state in [("w", "waiting"), ("behind", "waiting"), ("hang", "active"), ("d1", "delayed"),
                       ("done", "completed"), ("bad", "failed")]:  # fmt: skip
        one = await stats.job(QUICK, QUICK.job_id(key))
        assert one is not None
        assert one.state == state
    assert await stats.job(QUICK, "nobody") is None
    with pytest.raises(InvalidCursor):
        await stats.jobs(QUICK, "waiting", cursor="?")


async def counted(stats: QueueStats, **expected: int) -> bool:
    counts = await stats.snapshot(QUICK)
    return all(getattr(counts, name) == number for name, number in expected.items())


async def test_the_gauges_of_metrics_are_the_same_counts(producer: QueueProducer, stats: QueueStats) -> None:
    """`publish` sets them from the snapshot."""
    await producer.enqueue_many([job(), job()])
    await stats.publish([QUICK])
    labels = {"queue": QUICK.name, "state": "waiting"}
    assert metrics.REGISTRY.get_sample_value("filas_queue_jobs", labels) == 2


async def finished_at(redis: Redis, state: str, minutes_ago: dict[int, int]) -> None:
    """Put a past into the counter of `state`: minutes ago to number of jobs."""
    now = int(time.time() // 60)
    mapping = {str(now - ago): number for ago, number in minutes_ago.items()}
    key = redis.keys(QUICK.name).named(state)
    await redis.client.hset(key, mapping={**mapping, "total": sum(minutes_ago.values())})


async def test_finished_jobs_count_within_retention_only(redis: Redis, stats: QueueStats) -> None:
    """A day for completed ones, a week for failed ones."""
    day = 24 * 60
    await finished_at(redis, "completed", {1: 5, day - 5: 7, day + 5: 11})
    await finished_at(redis, "failed", {day: 2, 7 * day - 5: 3, 7 * day + 5: 13})
    assert await counted(stats, completed=12, failed=5)
    assert await counted(stats, completed=12, failed=5)


async def test_clean_forgets_what_is_old_enough_in_chunks_and_tells_its_progress(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """By age, by state; 0 forgets all, the records too."""
    await finished_at(redis, "completed", dict.fromkeys(range(2, 1300), 2))
    heard: list[int] = []
    assert await clean(redis, QUICK, "completed", 10 * 60_000, progress=heard.append) == 2 * 1289
    assert len(heard) > 1
    assert heard == sorted(heard)
    assert heard[-1] == 2 * 1289
    start_worker([function(Recorder())])
    await producer.enqueue_many([job() for _ in range(700)])
    await eventually(lambda: counted(stats, completed=700 + 2 * 9))
    assert await clean(redis, QUICK, "failed", 0) == 0
    assert await clean(redis, QUICK, "completed", HOUR_MS) == 0
    assert await clean(redis, QUICK, "completed", 0) == 718
    assert await counted(stats, completed=0)
    assert (await stats.jobs(QUICK, "completed")).items == []


async def test_a_clean_can_be_cancelled_between_two_chunks(redis: Redis, stats: QueueStats) -> None:
    """What is done is done, the counts say so, and the next one does the rest."""
    await finished_at(redis, "completed", dict.fromkeys(range(2, 1300), 2))
    heard: list[int] = []

    def hear(number: int) -> None:
        heard.append(number)
        cleaning.cancel()

    cleaning = asyncio.create_task(clean(redis, QUICK, "completed", 0, progress=hear))
    with pytest.raises(asyncio.CancelledError):
        await cleaning
    assert 0 < heard[-1] < 2 * 1298
    assert await counted(stats, completed=2 * 1298 - heard[-1])
    assert await clean(redis, QUICK, "completed", 0) == 2 * 1298 - heard[-1]
    assert await counted(stats, completed=0)


async def test_the_ring_keeps_the_newest_records_only(
    producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """A million finished jobs cost no memory."""
    start_worker([function(Recorder())], ring=5, concurrency=1)
    await producer.enqueue_many([job(str(number)) for number in range(20)])
    await eventually(lambda: counted(stats, completed=20))
    ids = [one.id for one in (await stats.jobs(QUICK, "completed")).items]
    assert ids == [QUICK.job_id(str(number)) for number in range(19, 14, -1)]


async def test_a_delayed_job_can_be_promoted_and_a_job_behind_its_group_can_not(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker
) -> None:
    """Its turn is due now; order within a group stands above that."""
    control = JobControl(redis, producer)
    later = int(time.time() * 1000) + HOUR_MS
    late = job("late", defer_until_ms=later, group="g")
    behind = job("behind", group="g")
    await producer.enqueue_many([late, behind])
    seen = Recorder()
    start_worker([function(seen)])
    assert await control.promote(QUICK, behind.job_id) == "waiting"
    assert await control.promote(QUICK, "nobody") == "absent"
    assert await control.promote(QUICK, late.job_id) == "done"
    await eventually(lambda: seen.keys == ["late", "behind"])


async def test_a_cancelled_job_becomes_a_dead_letter_whatever_its_state(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """Delayed, behind its group's head, running: its row gets a final status, or the relay would put it back."""
    control = JobControl(redis, producer)
    later = int(time.time() * 1000) + HOUR_MS
    late, head, behind = job("late", defer_until_ms=later), job("head", group="g"), job("behind", group="g")
    seen = Recorder(lambda *_: asyncio.sleep(60))
    await producer.enqueue_many([late, head, behind])
    start_worker([function(seen, timeout_s=60)])
    await eventually(lambda: seen.keys == ["head"])
    assert await control.promote(QUICK, head.job_id) == "running"
    assert await control.cancel(QUICK, late.job_id) == "done"
    assert await control.cancel(QUICK, behind.job_id) == "done"
    assert await control.cancel(QUICK, "nobody") == "absent"
    await eventually(lambda: letters.ids == [late.job_id])
    assert await control.cancel(QUICK, head.job_id) == "running"
    await eventually(lambda: len(letters.stored) == 3)
    assert letters.ids[1:] == [head.job_id, behind.job_id]
    assert {letter.error.kind for letter in letters.stored} == {"cancelled"}
    assert seen.keys == ["head"]
