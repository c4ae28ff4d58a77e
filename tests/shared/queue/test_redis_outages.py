"""Redis restarts, loses data, refuses writes or stalls: the worker waits, reports it, and resumes."""

import asyncio
from collections.abc import Callable

import pytest

from filas.contract.new_job import NewJob
from filas.errors import StoreUnavailable
from filas.queue.job_functions import JobContext
from filas.queue.producer import EnqueueOutcome, OutcomeUnknown, QueueProducer
from filas.queue.redis_client import connection as connection_module
from filas.queue.redis_client.connection import Redis
from filas.queue.relay import GRACE_S, Relay
from filas.queue.worker.worker import PAUSE_POLL_S, Worker
from filas_local.servers import RedisServer
from tests.redis_address import connect_url
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, function, job
from tests.shared.queue.proxy import Proxy
from tests.waiting import eventually

Connect = Callable[[str], Redis]


async def unready(worker: Worker) -> str:
    return await eventually(lambda: worker.problem, message="the worker did not report that Redis was unavailable")


async def ready(worker: Worker) -> None:
    await eventually(lambda: worker.problem is None, message="the worker did not resume")


async def test_a_restart_of_redis_loses_nothing(
    own_redis: RedisServer, connect_more: Connect, start_worker: StartWorker, letters: Letters
) -> None:
    """kill -9 of Redis while one job runs and others wait. Afterwards all jobs complete at their first attempt."""
    redis = connect_more(own_redis.url)
    producer = QueueProducer(redis, retry_for_s=0.1)
    go = asyncio.Event()
    seen = Recorder(lambda _, message: go.wait() if message.channel_id == "slow" else None)
    worker = start_worker([function(seen)], on=redis, concurrency=1)
    await producer.enqueue_many([job("slow", text="slow"), job("next")])
    await eventually(lambda: seen.keys == ["slow"])
    own_redis.kill()
    go.set()  # the end of the job cannot be written now
    with pytest.raises(StoreUnavailable):
        await producer.enqueue(job())
    assert "redis" in await unready(worker)
    own_redis.start()
    await ready(worker)
    await producer.enqueue(job("after"))
    await eventually(lambda: seen.keys == ["slow", "next", "after"])
    assert [context.attempt for context in seen.contexts] == [1, 1, 1]
    assert letters.stored == []


async def test_an_idle_worker_detects_a_read_only_replica(
    own_redis: RedisServer, connect_more: Connect, start_worker: StartWorker
) -> None:
    """It reports the problem, and works as soon as writes are accepted again."""
    redis = connect_more(own_redis.url)
    seen = Recorder()
    worker = start_worker([function(seen)], on=redis)
    await QueueProducer(redis).enqueue(job("before"))
    await eventually(lambda: seen.keys == ["before"])
    own_redis.execute("REPLICAOF 127.0.0.1 1")
    await eventually(lambda: "read only" in (worker.problem or ""))
    with pytest.raises(StoreUnavailable) as caught:
        await QueueProducer(redis, retry_for_s=0).enqueue(job("refused"))
    assert not isinstance(caught.value, OutcomeUnknown)
    own_redis.execute("REPLICAOF NO ONE")
    await ready(worker)
    await QueueProducer(redis).enqueue(job("after"))
    await eventually(lambda: seen.keys == ["before", "after"])


async def test_a_stalled_connection_is_closed(
    own_redis: RedisServer, connect_more: Connect, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis neither refuses nor answers. The time-out ends the wait, and the worker resumes later."""
    monkeypatch.setattr(connection_module, "ANSWER_TIMEOUT_S", 1.0)
    async with Proxy(own_redis.url) as proxy:
        redis = connect_more(proxy.url)
        seen = Recorder()
        worker = start_worker([function(seen)], on=redis)
        await QueueProducer(redis).enqueue(job("before"))
        await eventually(lambda: seen.keys == ["before"])
        proxy.stall()
        # It is sent before anything has noticed the outage. Later calls may be skipped.
        unknown = asyncio.create_task(QueueProducer(redis, retry_for_s=0.1).enqueue(job("unknown")))
        await unready(worker)
        with pytest.raises(OutcomeUnknown):
            await unknown
        proxy.resume()
        proxy.cut()
        await ready(worker)
        await QueueProducer(redis).enqueue(job("after"))
        await eventually(lambda: "after" in seen.keys)
        worker.stop()
        await eventually(lambda: worker.running == 0)


class Rows:
    """A table with a job per row. Rows whose key is in `done` are finished."""

    name = "rows"

    def __init__(self, jobs: list[NewJob]) -> None:
        self.jobs = jobs
        self.done: set[str] = set()

    async def due(self, limit: int, after: NewJob | None = None, *, older_than_s: float = GRACE_S) -> list[NewJob]:
        start = self.jobs.index(after) + 1 if after else 0
        return [one for one in self.jobs[start:] if one.key not in self.done][:limit]


async def test_after_flushall_all_jobs_are_enqueued_at_once(
    own_redis: RedisServer, connect_more: Connect, start_worker: StartWorker, letters: Letters
) -> None:
    """The worker finds no epoch and restores the queue. Jobs that were running run again."""
    redis = connect_more(own_redis.url)
    producer = QueueProducer(redis)
    rows = Rows([job(str(number), group=f"g{number % 7}") for number in range(1203)])
    relay = Relay(redis, producer, rows, sweep_s=3600)
    go = asyncio.Event()

    async def finish(context: JobContext, message: object) -> None:
        await go.wait()
        rows.done.add(context.job_id.partition("}:")[2])

    seen = Recorder(finish)
    start_worker([function(seen)], on=redis, concurrency=5, relays=[relay], lease_s=3.0)
    await producer.enqueue_many(rows.jobs)
    await eventually(lambda: len(seen.keys) == 5)
    own_redis.execute("FLUSHALL")
    await eventually(lambda: len(seen.keys) == 10)
    go.set()
    await eventually(lambda: len(rows.done) == 1203)
    assert len(seen.keys) <= 1203 + 5
    assert letters.stored == []


async def test_the_relay_enqueues_only_missing_jobs(redis: Redis, producer: QueueProducer) -> None:
    """Waiting jobs, jobs after a group head, delayed jobs and dead letters in Redis are left unchanged."""
    jobs = [job("a"), job("h", group="g"), job("b", group="g"), job("d", defer_until_ms=9_999_999_999_999)]
    await producer.enqueue_many(jobs)
    dead, lost = job("dead"), job("lost")
    await redis.client.hset(redis.keys(QUICK.name).named("dead"), dead.job_id, b"{}")
    relay = Relay(redis, producer, Rows([*jobs, dead, lost]))
    assert await relay.sweep() == 1
    assert await relay.sweep() == 0
    assert (await producer.enqueue(lost)).outcome is EnqueueOutcome.DUPLICATE


async def test_a_regular_sweep_continues_where_the_last_one_stopped(redis: Redis, producer: QueueProducer) -> None:
    """So a long table is read in parts."""
    relay = Relay(redis, producer, Rows([job(str(number)) for number in range(1300)]))
    assert [await relay.sweep(pages=1) for _ in range(4)] == [500, 500, 300, 0]


async def test_another_server_makes_the_relay_sweep(own_redis: RedisServer, connect_more: Connect) -> None:
    """A restart may have lost the last second, so the relay sweeps at once."""
    redis = connect_more(own_redis.url)
    producer = QueueProducer(redis)
    rows = Rows([])
    relay = Relay(redis, producer, rows, sweep_s=3600)
    relaying = asyncio.create_task(relay.run())

    async def swept() -> bool:
        return ":1\r\n" in own_redis.execute(f"ZCARD {QUICK.name}")

    rows.jobs = [job("first")]
    await relay.sweep()
    await eventually(swept)
    own_redis.kill()
    own_redis.start()
    own_redis.execute("FLUSHALL")
    await eventually(swept)
    relaying.cancel()


async def test_a_refused_connection_fails_in_time_and_is_not_an_unknown_outcome() -> None:
    """Nothing was sent, so no job can have been enqueued."""
    redis = connect_url("redis://127.0.0.1:1")
    with pytest.raises(StoreUnavailable) as caught:
        await QueueProducer(redis, retry_for_s=0.1).enqueue(job())
    assert not isinstance(caught.value, OutcomeUnknown)
    assert redis.problem is not None
    await redis.close()


class Pauses:
    """A source of paused queues. `unavailable` simulates an outage of Postgres."""

    def __init__(self) -> None:
        self.paused: set[str] = set()
        self.unavailable = False

    async def all(self) -> set[str]:
        if self.unavailable:
            raise StoreUnavailable("postgres", "refused")
        return self.paused


async def test_a_pause_is_seen_by_all_workers_and_outlasts_an_outage_of_its_store(
    producer: QueueProducer, start_worker: StartWorker, connect_more: Connect
) -> None:
    """Workers read the pauses more than once a second. An unavailable store changes nothing. Resuming is seen too."""
    assert PAUSE_POLL_S < 1.0
    pauses, seen = Pauses(), Recorder()
    workers = [start_worker([function(seen)], on=connect_more(""), pauses=pauses) for _ in range(2)]
    await producer.enqueue(job("before"))
    await eventually(lambda: seen.keys == ["before"])
    pauses.paused = {QUICK.name}
    await eventually(lambda: all(worker.paused for worker in workers))
    pauses.unavailable = True
    await producer.enqueue_many([job("waiting") for _ in range(3)])
    assert all(worker.problem is None for worker in workers)
    assert seen.keys == ["before"]
    pauses.unavailable, pauses.paused = False, set()
    await eventually(lambda: seen.keys == ["before", "waiting"])
