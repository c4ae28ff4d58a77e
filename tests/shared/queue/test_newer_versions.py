"""Jobs of a newer version wait for a worker that knows them: without an attempt, in order, for at most a day."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings

from filas.contract.jobs import SCHEMA_VERSION, NotificationJob
from filas.contract.policies import NEWER_VERSION_MAX_AGE_S
from filas.errors import NewerVersionRequired
from filas.queue import job_format
from filas.queue.job_functions import JobContext, JobFunction
from filas.queue.operations.job_control import JobControl
from filas.queue.operations.newer_version_waiting import read_newer_version_waiting
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import EnqueueOutcome, QueueProducer
from filas.queue.redis_client.connection import Redis
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, function, job
from tests.waiting import PATIENCE_S, eventually

MESSAGE = b'{"notificationId":"0190e2a4-0000-7000-8000-000000000001","channelId":"c"'
UNKNOWN_FUNCTION = b'{"f":"deliver_fax","a":[1,2],"k":{"x":1},"et":9223372036854775807}'
NEXT = SCHEMA_VERSION + 1
NEWER = {
    "a newer version": b'{"f":"deliver_notification","k":{"job":{"schemaVersion":%d,"other":1}},"et":1}' % NEXT,
    "a newer version of the same fields": b'{"f":"deliver_notification","k":{"job":%b,"schemaVersion":%d}}}'
    % (MESSAGE, NEXT),
    "an unknown function": b'{"f":"deliver_fax","a":[],"k":{"job":' + MESSAGE + b'}},"et":1}',
    "an unknown function without a message": UNKNOWN_FUNCTION,
}


def next_function(handler: Any, name: str = "deliver_fax") -> JobFunction:
    """A function that only the next version has. It accepts any arguments."""
    return JobFunction(name, handler)


async def enqueue_newer(redis: Redis, raw_id: bytes, payload: bytes = UNKNOWN_FUNCTION) -> None:
    """Enqueues a job as a newer producer does."""
    await redis.client.set(b"arq:job:" + raw_id, payload)
    await redis.client.zadd(QUICK.name, {raw_id: time.time() * 1000})
    await redis.client.rpush(redis.keys(QUICK.name).named("wake"), "1")


async def waiting(redis: Redis) -> dict[bytes, bytes]:
    """The jobs that wait for a newer version."""
    found: dict[bytes, bytes] = await redis.client.hgetall(redis.keys(QUICK.name).named("newer"))
    return found


@pytest.mark.parametrize("payload", NEWER.values(), ids=NEWER)
async def test_a_job_of_a_newer_version_waits(
    payload: bytes, redis: Redis, start_worker: StartWorker, letters: Letters, stats: QueueStats
) -> None:
    """It uses no attempt, is neither failed nor a lost lease, and is not due at once. Other jobs run."""
    start_worker([function(Recorder())])
    await enqueue_newer(redis, b"newer", payload)
    await eventually(lambda: waiting(redis))
    await eventually(lambda: _delayed(stats, 1))
    counts = await stats.snapshot(QUICK)
    assert (counts.failed, counts.retries, counts.dead_letters, counts.lost_leases) == (0, 0, 0, 0)
    assert await redis.client.exists("arq:retry:newer", "arq:history:newer") == 0
    await eventually(lambda: _unclaimed(redis))
    assert letters.stored == []
    found = await read_newer_version_waiting(redis, QUICK)
    assert found is not None
    assert found.jobs == 1
    assert found.examples[0].startswith(("deliver_fax", f"deliver_notification (schema version {NEXT})"))


async def _unclaimed(redis: Redis) -> bool:
    """A worker looks at the job once a second at first."""
    return not await redis.client.exists("arq:in-progress:newer")


async def _delayed(stats: QueueStats, number: int) -> bool:
    counts = await stats.snapshot(QUICK)
    return (counts.delayed, counts.active, counts.waiting) == (number, 0, 0)


async def test_a_newer_worker_gets_the_job_although_the_older_one_waits_a_minute(
    redis: Redis, connect_more: Callable[[str], Redis], start_worker: StartWorker, stats: QueueStats
) -> None:
    """A worker that has not seen the job makes it due at once. It is the job's first attempt."""
    start_worker([function(Recorder())])
    await enqueue_newer(redis, b"newer")
    await eventually(lambda: waiting(redis))
    key = redis.keys(QUICK.name).named("newer")
    [(raw_id, value)] = (await waiting(redis)).items()
    # The job has waited for an hour, so the older worker looks at it once a minute.
    await redis.client.hset(key, raw_id, b"%d|%b" % ((time.time() - 3600) * 1000, value.split(b"|")[1]))
    await redis.client.zadd(QUICK.name, {raw_id: (time.time() + 60) * 1000})
    seen = Recorder()
    start_worker([function(Recorder()), next_function(_without_message(seen))], on=connect_more(""))
    await eventually(lambda: seen.keys)
    assert [context.attempt for context in seen.contexts] == [1]
    await eventually(lambda: _completed(stats, 1))
    await eventually(lambda: _empty(redis))


def _without_message(seen: Recorder) -> Any:
    async def handler(context: JobContext, _call: job_format.Call) -> None:
        seen.contexts.append(context)

    return handler


async def _completed(stats: QueueStats, number: int) -> bool:
    return (await stats.snapshot(QUICK)).completed == number


async def test_the_group_waits_for_its_head(
    redis: Redis, producer: QueueProducer, connect_more: Callable[[str], Redis], start_worker: StartWorker
) -> None:
    """The conversation's order is kept: what follows a job of a newer version runs after it. Other groups continue."""
    newer: dict[str, bool] = {"known": False}

    def step(_context: JobContext, message: NotificationJob) -> None:
        if message.channel_id == "first" and not newer["known"]:
            raise NewerVersionRequired("a channel of a newer version")

    seen = Recorder(step)
    start_worker([function(seen)])
    await producer.enqueue_many([job("1", text="first", group="g"), job("2", group="g"), job("3", group="other")])
    await eventually(lambda: waiting(redis))
    await eventually(lambda: "3" in seen.keys)
    assert "2" not in seen.keys
    newer["known"] = True
    await eventually(lambda: seen.keys[-1] == "2")
    assert seen.keys[-2:] == ["1", "2"]
    assert {context.attempt for context in seen.contexts} == {1}
    await eventually(lambda: _empty(redis))


async def test_a_job_that_no_worker_knows_for_a_day_is_a_dead_letter(
    redis: Redis, start_worker: StartWorker, letters: Letters
) -> None:
    """By the store's clock, from when a worker first saw the job: `et` is the producer's clock."""
    key = redis.keys(QUICK.name).named("newer")
    day_ms = int(NEWER_VERSION_MAX_AGE_S * 1000)
    now_ms = int(time.time() * 1000)
    seen = {b"old": b"%d|x" % (now_ms - day_ms), b"younger": b"%d|x" % (now_ms - day_ms // 2)}
    await redis.client.hset(key, mapping=seen)
    await enqueue_newer(redis, b"old")
    await enqueue_newer(redis, b"younger")
    start_worker([function(Recorder())])
    await eventually(lambda: letters.stored)
    assert letters.ids == ["old"]
    assert letters.stored[0].error.kind == "newer-version"
    assert letters.stored[0].function == "deliver_fax"
    await eventually(lambda: _only(redis, b"younger"))
    assert await redis.client.exists("arq:job:old") == 0
    score = await redis.client.zscore(QUICK.name, b"younger")
    assert 10_000 < score - time.time() * 1000 <= 60_000, "it is looked at once a minute, not once a second"


async def _only(redis: Redis, raw_id: bytes) -> bool:
    return list(await waiting(redis)) == [raw_id]


async def test_many_waiting_jobs_are_all_offered(
    redis: Redis, connect_more: Callable[[str], Redis], start_worker: StartWorker, stats: QueueStats
) -> None:
    """More than one page of them."""
    worker = start_worker([function(Recorder())], concurrency=50)
    for number in range(700):
        await enqueue_newer(redis, b"newer-%d" % number)
    await eventually(lambda: _delayed(stats, 700))
    worker.stop()
    async for raw_id, _ in redis.client.zscan_iter(QUICK.name):
        await redis.client.zadd(QUICK.name, {raw_id: (time.time() + 60) * 1000})
    seen = Recorder()
    start_worker([next_function(_without_message(seen))], on=connect_more(""), concurrency=50)
    await eventually(lambda: _completed(stats, 700))
    assert len({context.job_id for context in seen.contexts}) == len(seen.contexts) == 700


async def test_a_waiting_job_can_be_cancelled_and_is_a_duplicate_for_the_relay(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """The cancelled job is a dead letter of the kind `cancelled`. The relay creates no second job."""

    def step(_context: JobContext, _message: NotificationJob) -> None:
        raise NewerVersionRequired("a channel of a newer version")

    start_worker([function(Recorder(step))])
    new = job("a")
    await producer.enqueue(new)
    await eventually(lambda: waiting(redis))
    assert (await producer.enqueue(new)).outcome is EnqueueOutcome.DUPLICATE
    await JobControl(redis, producer).cancel(QUICK, new.job_id)
    await eventually(lambda: letters.stored)
    assert letters.stored[0].error.kind == "cancelled"
    await eventually(lambda: _empty(redis))


@pytest.fixture
async def arq(redis_url: str) -> AsyncIterator[ArqRedis]:
    """A stock producer."""
    pool = await create_pool(
        RedisSettings.from_dsn(redis_url),
        job_serializer=job_format.serialize,
        job_deserializer=job_format.deserialize,
        default_queue_name=QUICK.name,
    )
    yield pool
    await pool.aclose()


async def test_a_job_of_a_stock_producer_waits_too(
    arq: ArqRedis, redis: Redis, connect_more: Callable[[str], Redis], start_worker: StartWorker
) -> None:
    """Its result reaches the producer when a worker knows the function."""
    start_worker([function(Recorder())])
    stock = await arq.enqueue_job("deliver_fax", 7, _job_id="stock")
    assert stock is not None
    await eventually(lambda: waiting(redis))

    async def handler(_context: JobContext, call: job_format.Call) -> int:
        return int(call.args[0]) + 1

    start_worker([JobFunction("deliver_fax", handler, keep_result_s=60)], on=connect_more(""))
    assert await asyncio.wait_for(stock.result(poll_delay=0.05), PATIENCE_S) == 8


async def test_an_entry_without_a_job_is_removed(redis: Redis, start_worker: StartWorker) -> None:
    """A stock worker has finished the job, or an operator has deleted it."""
    await redis.client.hset(redis.keys(QUICK.name).named("newer"), "gone", b"1|x")
    assert await read_newer_version_waiting(redis, QUICK) is None
    start_worker([function(Recorder())])
    await eventually(lambda: _empty(redis))


async def _empty(redis: Redis) -> bool:
    return await waiting(redis) == {}
