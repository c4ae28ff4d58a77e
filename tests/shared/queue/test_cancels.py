"""Cancelled jobs: a cancel that was answered with `done` holds, however long the job waits and whatever Redis loses."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from filas.contract.new_job import NewJob
from filas.errors import StoreUnavailable
from filas.queue.operations.job_control import JobControl
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.queue_keys import ABORT
from filas.queue.worker.job_cancels import KEPT_MS, JobCancels
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, claim_one, function, job, raising
from tests.waiting import eventually

DAY_MS: Final = 24 * 3_600_000
SLOW: Final = replace(QUICK, backoff_s=60.0)


class StoredCancels:
    """A CancelSource in memory. `unavailable`: it raises StoreUnavailable."""

    def __init__(self, *job_ids: str) -> None:
        self.ids = {job_id.encode() for job_id in job_ids}
        self.unavailable = False

    async def jobs(self, queue: str, limit: int, after: bytes = b"") -> list[bytes]:
        await asyncio.sleep(0)
        if self.unavailable:
            raise StoreUnavailable("postgres", "connection refused")
        assert queue == QUICK.name
        return sorted(one for one in self.ids if one > after)[:limit]

    async def delete_jobs(self, queue: str, job_ids: Sequence[bytes]) -> None:
        await asyncio.sleep(0)
        self.ids -= set(job_ids)


@pytest.fixture
def cancel(redis: Redis, producer: QueueProducer) -> Callable[[str], Awaitable[str]]:
    """Returns the cancel of a job by its id."""
    control = JobControl(redis, producer)
    return lambda job_id: control.cancel(QUICK, job_id)


async def make_older(redis: Redis, job_id: str, ms: int) -> None:
    """Makes the entry of the abort set as old as if `ms` had passed."""
    await redis.command("ZINCRBY", ABORT, -ms, job_id)


CANCELLED = [
    pytest.param([job("a")], "a", id="waiting"),
    pytest.param([job("a", delay_ms=DAY_MS)], "a", id="delayed"),
    pytest.param([job("head", group="g"), job("a", group="g")], "a", id="behind a group head"),
    pytest.param([job("a", group="g"), job("second", group="g")], "a", id="group head"),
]


@pytest.mark.parametrize(("jobs", "key"), CANCELLED)
async def test_a_cancelled_job_of_a_paused_queue_stays_cancelled_for_a_day(
    redis: Redis,
    producer: QueueProducer,
    start_worker: StartWorker,
    letters: Letters,
    cancel: Callable[[str], Awaitable[str]],
    jobs: list[NewJob],
    key: str,
) -> None:
    """Other jobs run meanwhile, so that the abort set is read and pruned."""
    await producer.enqueue_many(jobs)
    job_id = QUICK.job_id(key)
    assert await cancel(job_id) == "done"
    await make_older(redis, job_id, DAY_MS)
    await redis.command("RENAME", QUICK.name, "{notifications}:paused")
    busy = Recorder(lambda *_: asyncio.sleep(0.8))
    start_worker([function(busy)])
    await producer.enqueue(job("other"))
    await eventually(lambda: busy.keys)
    await asyncio.gather(*(JobCancels(redis, QUICK, None, "w").sync() for _ in range(2)))
    await eventually(lambda: nothing_claimed(redis))
    await redis.command("ZUNIONSTORE", QUICK.name, 2, QUICK.name, "{notifications}:paused")
    await eventually(lambda: letters.ids == [job_id])
    assert letters.stored[0].error.kind == "cancelled"
    rest = [one.job_id for one in jobs if one.job_id != job_id]
    await eventually(lambda: [context.job_id for context in busy.contexts[1:]] == rest)
    assert not await redis.command("ZSCORE", ABORT, job_id)


async def nothing_claimed(redis: Redis) -> bool:
    return not await redis.command("ZCARD", redis.keys(QUICK.name).named("active"))


async def test_a_cancelled_job_stays_cancelled_if_the_worker_dies_that_claimed_it(
    redis: Redis,
    producer: QueueProducer,
    start_worker: StartWorker,
    letters: Letters,
    cancel: Callable[[str], Awaitable[str]],
) -> None:
    new = job("a")
    await producer.enqueue(new)
    await cancel(new.job_id)
    assert await claim_one(redis, lease_ms=50) == new.job_id
    seen = Recorder()
    start_worker([function(seen)])
    await eventually(lambda: letters.ids == [new.job_id])
    assert seen.keys == []


async def test_a_job_that_is_cancelled_between_two_attempts_is_not_tried_again(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters, cancel: Callable[[str], Awaitable[str]]
) -> None:
    """The handler also catches the interruption of its first attempt and fails in another way."""

    async def stubborn(*_: Any) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            raise ValueError("caught") from None

    seen = Recorder(stubborn)
    new = job("a")
    start_worker([function(seen)])
    await producer.enqueue(new)
    await eventually(lambda: seen.keys)
    assert await cancel(new.job_id) == "running"
    await eventually(lambda: letters.ids == [new.job_id])
    assert (len(seen.keys), letters.stored[0].error.kind) == (1, "cancelled")


async def test_a_stored_cancel_survives_the_loss_of_redis(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """The cancels are loaded before the first claim, and not before Postgres is available. Afterwards the stored cancel
    is deleted, so that the id can be used again."""
    new = job("a")
    stored, seen = StoredCancels(new.job_id), Recorder()
    stored.unavailable = True
    worker = start_worker([function(seen)], cancels=stored)
    await producer.enqueue_many([new, job("other")])
    await eventually(lambda: worker.problem == "postgres: connection refused")
    stored.unavailable = False
    await eventually(lambda: letters.ids == [new.job_id])
    await eventually(lambda: seen.keys == ["other"])
    await redis.client.flushdb()
    await producer.enqueue_many([new, job("third")])
    await eventually(lambda: seen.keys == ["other", "third"])
    await eventually(lambda: len(letters.ids) == 2)
    assert stored.ids == {new.job_id.encode()}
    await redis.command("DEL", redis.keys(QUICK.name).named("cancels"))
    await JobCancels(redis, QUICK, stored, "w").sync()
    assert stored.ids == set()
    await redis.command("DEL", f"arq:result:{new.job_id}")
    await producer.enqueue(new)
    await eventually(lambda: seen.keys == ["other", "third", "a"])


async def test_a_job_that_ends_although_it_was_cancelled_ends_its_cancel(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, cancel: Callable[[str], Awaitable[str]]
) -> None:
    """A job in a batch is not interrupted."""
    release = asyncio.Event()

    async def batch(jobs: list[Any]) -> list[None]:
        await release.wait()
        return [None for _ in jobs]

    new = job("a")
    stored = StoredCancels()
    start_worker([function(batch, batch=True)], cancels=stored)
    await producer.enqueue(new)

    async def claimed() -> bool:
        return not await nothing_claimed(redis)

    await eventually(claimed)
    stored.ids.add(new.job_id.encode())
    assert await cancel(new.job_id) == "running"
    release.set()
    await eventually(lambda: nothing_claimed(redis))
    await redis.command("DEL", redis.keys(QUICK.name).named("cancels"))
    await JobCancels(redis, QUICK, stored, "w").sync()
    assert stored.ids == set()
    assert not await redis.command("EXISTS", ABORT)


async def test_the_abort_set_keeps_the_jobs_that_exist(redis: Redis, producer: QueueProducer) -> None:
    """Entries without a job are removed after an hour, also those that a stock client with a wrong clock wrote."""
    new = job("a")
    await producer.enqueue(new)
    control = JobControl(redis, producer)
    await control.cancel(QUICK, new.job_id)
    await make_older(redis, new.job_id, DAY_MS)
    now = await redis.command("TIME")
    now_ms = int(now[0]) * 1000
    for number in range(1500):
        await redis.command("ZADD", ABORT, now_ms + (2 * KEPT_MS if number % 2 else -2 * KEPT_MS), f"gone-{number}")
    await redis.command("ZADD", ABORT, now_ms, "soon")
    await JobCancels(redis, QUICK, None, "w").sync()
    assert set(await redis.command("ZRANGE", ABORT, 0, -1)) == {new.job_id.encode(), b"soon"}


async def test_a_retried_job_that_is_cancelled_is_not_tried_again(
    redis: Redis,
    producer: QueueProducer,
    start_worker: StartWorker,
    letters: Letters,
    cancel: Callable[[str], Awaitable[str]],
) -> None:
    """It waits for its second attempt. The dead letter has the error of the first."""
    seen = Recorder(raising(ValueError("first")))
    new = job("a")
    start_worker([function(seen)], policy=SLOW)
    await producer.enqueue(new)

    async def retried() -> bool:
        return bool(await redis.command("EXISTS", f"arq:retry:{new.job_id}"))

    await eventually(retried)
    assert await cancel(new.job_id) == "done"
    await eventually(lambda: letters.ids == [new.job_id])
    assert (len(seen.keys), letters.stored[0].error.kind) == (1, "cancelled")
    assert letters.stored[0].history[0]["error"]["message"] == "first"
