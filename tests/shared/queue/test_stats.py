"""Counts and lists of a queue, clean-up, and an operator's commands for single jobs."""

import asyncio
import json
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
from tests.waiting import PATIENCE_S, eventually

HOUR_MS = 3_600_000


async def test_each_state_is_counted_and_its_jobs_are_listed(
    producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """The states are waiting (also after a group head), delayed, active, completed and failed."""

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
        [job("w", group="g"), job("second", group="g"), *(job(f"d{n}", defer_until_ms=later + n) for n in range(3))]
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
    for key, state in [("w", "waiting"), ("second", "waiting"), ("hang", "active"), ("d1", "delayed"),
                       ("done", "completed"), ("bad", "failed")]:  # fmt: skip
        one = await stats.job(QUICK, QUICK.job_id(key))
        assert one is not None
        assert one.state == state
    assert await stats.job(QUICK, "absent") is None
    with pytest.raises(InvalidCursor):
        await stats.jobs(QUICK, "waiting", cursor="?")


async def counted(stats: QueueStats, **expected: int) -> bool:
    counts = await stats.snapshot(QUICK)
    return all(getattr(counts, name) == number for name, number in expected.items())


async def test_the_gauges_of_metrics_are_the_same_counts(producer: QueueProducer, stats: QueueStats) -> None:
    """`publish` sets the gauges from the counts of the queue."""
    await producer.enqueue_many([job(), job()])
    await stats.publish([QUICK])
    labels = {"queue": QUICK.name, "state": "waiting"}
    assert metrics.REGISTRY.get_sample_value("filas_queue_jobs", labels) == 2


async def finished_at(redis: Redis, state: str, minutes_ago: dict[int, int]) -> None:
    """Sets the counter of `state`. `minutes_ago` maps minutes before now to numbers of jobs."""
    now = int(time.time() // 60)
    mapping = {str(now - ago): number for ago, number in minutes_ago.items()}
    key = redis.keys(QUICK.name).named(state)
    await redis.client.hset(key, mapping={**mapping, "total": sum(minutes_ago.values())})


async def test_finished_jobs_count_only_within_retention(redis: Redis, stats: QueueStats) -> None:
    """Retention is a day for completed jobs and a week for failed jobs."""
    day = 24 * 60
    await finished_at(redis, "completed", {1: 5, day - 5: 7, day + 5: 11})
    await finished_at(redis, "failed", {day: 2, 7 * day - 5: 3, 7 * day + 5: 13})
    assert await counted(stats, completed=12, failed=5)
    assert await counted(stats, completed=12, failed=5)


async def test_clean_removes_old_jobs_in_chunks_and_reports_its_progress(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """It removes by age and state. An age of 0 removes all jobs and their records."""
    await finished_at(redis, "completed", dict.fromkeys(range(2, 1300), 2))
    reported: list[int] = []
    assert await clean(redis, QUICK, "completed", 10 * 60_000, progress=reported.append) == 2 * 1289
    assert len(reported) > 1
    assert reported == sorted(reported)
    assert reported[-1] == 2 * 1289
    start_worker([function(Recorder())])
    await producer.enqueue_many([job() for _ in range(700)])
    await eventually(lambda: counted(stats, completed=700 + 2 * 9))
    assert await clean(redis, QUICK, "failed", 0) == 0
    assert await clean(redis, QUICK, "completed", HOUR_MS) == 0
    assert await clean(redis, QUICK, "completed", 0) == 718
    assert await counted(stats, completed=0)
    assert (await stats.jobs(QUICK, "completed")).items == []


async def test_old_records_are_removed_beside_many_minutes_that_stay(redis: Redis) -> None:
    """The counter keeps more minutes than one step examines. The ring has more old records than one step removes."""
    await finished_at(redis, "failed", dict.fromkeys(range(2, 1500), 1))
    ring = redis.keys(QUICK.name).named("ring:failed")
    old = json.dumps(
        {"id": "x", "name": "f", "attemptsMade": 1, "finishedOn": 1_790_000_000_000}, separators=(",", ":")
    )
    await redis.client.rpush(ring, *[old] * 1100)
    async with asyncio.timeout(PATIENCE_S):
        assert await clean(redis, QUICK, "failed", 2 * 24 * HOUR_MS) == 0
    assert await redis.command("LLEN", ring) == 0


async def test_a_clean_can_be_cancelled_between_two_chunks(redis: Redis, stats: QueueStats) -> None:
    """Removed chunks stay removed, the counts are right, and the next clean removes the others."""
    await finished_at(redis, "completed", dict.fromkeys(range(2, 1300), 2))
    reported: list[int] = []

    def report(number: int) -> None:
        reported.append(number)
        cleaning.cancel()

    cleaning = asyncio.create_task(clean(redis, QUICK, "completed", 0, progress=report))
    with pytest.raises(asyncio.CancelledError):
        await cleaning
    assert 0 < reported[-1] < 2 * 1298
    assert await counted(stats, completed=2 * 1298 - reported[-1])
    assert await clean(redis, QUICK, "completed", 0) == 2 * 1298 - reported[-1]
    assert await counted(stats, completed=0)


async def test_the_ring_keeps_only_the_newest_records(
    producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """So the memory for finished jobs is bounded."""
    start_worker([function(Recorder())], ring=5, concurrency=1)
    await producer.enqueue_many([job(str(number)) for number in range(20)])
    await eventually(lambda: counted(stats, completed=20))
    ids = [one.id for one in (await stats.jobs(QUICK, "completed")).items]
    assert ids == [QUICK.job_id(str(number)) for number in range(19, 14, -1)]


async def test_a_delayed_job_can_be_promoted_but_not_a_job_after_its_group_head(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker
) -> None:
    """The promotion makes the head due now. The order within the group is kept."""
    control = JobControl(redis, producer)
    later = int(time.time() * 1000) + HOUR_MS
    late = job("late", defer_until_ms=later, group="g")
    second = job("second", group="g")
    await producer.enqueue_many([late, second])
    seen = Recorder()
    start_worker([function(seen)])
    assert await control.promote(QUICK, second.job_id) == "waiting"
    assert await control.promote(QUICK, "absent") == "absent"
    assert await control.promote(QUICK, late.job_id) == "done"
    await eventually(lambda: seen.keys == ["late", "second"])


async def test_a_cancelled_job_becomes_a_dead_letter_in_every_state(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """Delayed, after its group head and active. Its row gets a final status, so the relay does not enqueue it again."""
    control = JobControl(redis, producer)
    later = int(time.time() * 1000) + HOUR_MS
    late, head, second = job("late", defer_until_ms=later), job("head", group="g"), job("second", group="g")
    seen = Recorder(lambda *_: asyncio.sleep(60))
    await producer.enqueue_many([late, head, second])
    start_worker([function(seen, timeout_s=60)])
    await eventually(lambda: seen.keys == ["head"])
    assert await control.promote(QUICK, head.job_id) == "running"
    assert await control.cancel(QUICK, late.job_id) == "done"
    assert await control.cancel(QUICK, second.job_id) == "done"
    assert await control.cancel(QUICK, "absent") == "absent"
    await eventually(lambda: letters.ids == [late.job_id])
    assert await control.cancel(QUICK, head.job_id) == "running"
    await eventually(lambda: len(letters.stored) == 3)
    assert letters.ids[1:] == [head.job_id, second.job_id]
    assert {letter.error.kind for letter in letters.stored} == {"cancelled"}
    assert seen.keys == ["head"]
