"""Redis restarts, forgets, refuses, stalls: the worker waits, says so, and goes on by itself."""

import asyncio
from collections.abc import Callable

import pytest

from filas.contract.new_job import NewJob
from filas.errors import StoreUnavailable
from filas.queue.job_functions import JobContext
from filas.queue.producer import EnqueueOutcome, OutcomeUnknown, QueueProducer
from filas.queue.redis_client import connection as connection_module
from filas.queue.redis_client.connection import Redis, connect_url
from filas.queue.relay import Relay
from filas.queue.worker.worker import Worker
from filas_local.servers import RedisServer
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, function, job
from tests.shared.queue.proxy import Proxy
from tests.waiting import eventually

Connect = Callable[[str], Redis]


async def unready(worker: Worker) -> str:
    return await eventually(lambda: worker.problem, message="the worker never said that Redis was away")


async def ready(worker: Worker) -> None:
    await eventually(lambda: worker.problem is None, timeout=15, message="the worker never came back")


async def test_a_restart_is_waited_for_and_loses_nothing(
    own_redis: RedisServer, connect_more: Connect, start_worker: StartWorker, letters: Letters
) -> None:
    """kill -9 of Redis with a job running and others waiting: all are done after it, none by a second try."""
    redis = connect_more(own_redis.url)
    producer = QueueProducer(redis, retry_for_s=0.1)
    go = asyncio.Event()
    seen = Recorder(lambda _, message: go.wait() if message.channel_id == "slow" else None)
    worker = start_worker([function(seen)], on=redis, concurrency=1)
    await producer.enqueue_many([job("slow", text="slow"), job("next")])
    await eventually(lambda: seen.keys == ["slow"])
    own_redis.kill()
    go.set()  # its end can't be written now
    with pytest.raises(StoreUnavailable):
        await producer.enqueue(job())
    assert "redis" in await unready(worker)
    own_redis.start()
    await ready(worker)
    await producer.enqueue(job("after"))
    await eventually(lambda: seen.keys == ["slow", "next", "after"])
    assert [context.attempt for context in seen.contexts] == [1, 1, 1]
    assert letters.stored == []


async def test_a_read_only_replica_is_noticed_by_an_idle_worker(
    own_redis: RedisServer, connect_more: Connect, start_worker: StartWorker
) -> None:
    """It says so instead of sitting there, and works as soon as writes are taken again."""
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


async def test_a_stalled_connection_is_given_up(
    own_redis: RedisServer, connect_more: Connect, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is refused and nothing answers: the time-out says so, and afterwards the work goes on."""
    monkeypatch.setattr(connection_module, "ANSWER_TIMEOUT_S", 1.0)
    async with Proxy(own_redis.url) as proxy:
        redis = connect_more(proxy.url)
        seen = Recorder()
        worker = start_worker([function(seen)], on=redis)
        await QueueProducer(redis).enqueue(job("before"))
        await eventually(lambda: seen.keys == ["before"])
        proxy.stall()
        await unready(worker)
        with pytest.raises(OutcomeUnknown):
            await QueueProducer(redis, retry_for_s=0.1).enqueue(job("unknown"))
        proxy.go_on()
        proxy.cut()
        await ready(worker)
        await QueueProducer(redis).enqueue(job("after"))
        await eventually(lambda: "after" in seen.keys)
        worker.stop()
        await eventually(lambda: worker.running == 0)


class Rows:
    """A table of rows, each with its job; those whose key is in `done` are finished."""

    name = "rows"

    def __init__(self, jobs: list[NewJob]) -> None:
        self.jobs = jobs
        self.done: set[str] = set()

    async def due(self, limit: int, after: NewJob | None = None) -> list[NewJob]:
        start = self.jobs.index(after) + 1 if after else 0
        return [one for one in self.jobs[start:] if one.key not in self.done][:limit]


async def test_after_flushall_the_relay_puts_everything_back_at_once(
    own_redis: RedisServer, connect_more: Connect, start_worker: StartWorker, letters: Letters
) -> None:
    """The worker finds the epoch gone and tells the relay; what ran is let go, and runs again."""
    redis = connect_more(own_redis.url)
    producer = QueueProducer(redis)
    rows = Rows([job(str(number), group=f"g{number % 7}") for number in range(1203)])
    relay = Relay(redis, producer, rows, sweep_s=3600)
    go = asyncio.Event()

    async def finish(context: JobContext, message: object) -> None:
        await go.wait()
        rows.done.add(context.job_id.partition("}:")[2])

    seen = Recorder(finish)
    start_worker([function(seen)], on=redis, concurrency=5, on_data_lost=relay.data_lost, lease_s=1.0)
    await producer.enqueue_many(rows.jobs)
    await eventually(lambda: len(seen.keys) == 5)
    relaying = asyncio.create_task(relay.run())
    own_redis.execute("FLUSHALL")
    await eventually(lambda: len(seen.keys) == 10)
    go.set()
    await eventually(lambda: len(rows.done) == 1203, timeout=20)
    relaying.cancel()
    assert len(seen.keys) <= 1203 + 5
    assert letters.stored == []


async def test_the_relay_leaves_alone_what_stands_in_the_queue(redis: Redis, producer: QueueProducer) -> None:
    """Waiting, behind a group's head, delayed, and dead letters that wait: nothing is doubled."""
    jobs = [job("a"), job("h", group="g"), job("b", group="g"), job("d", defer_until_ms=9_999_999_999_999)]
    await producer.enqueue_many(jobs)
    dead, lost = job("dead"), job("lost")
    await redis.client.hset(redis.keys(QUICK.name).named("dead"), dead.job_id, b"{}")
    relay = Relay(redis, producer, Rows([*jobs, dead, lost]))
    assert await relay.sweep() == 1
    assert await relay.sweep() == 0
    assert (await producer.enqueue(lost)).outcome is EnqueueOutcome.DUPLICATE


async def test_a_regular_sweep_goes_on_where_the_last_one_stopped(redis: Redis, producer: QueueProducer) -> None:
    """A long queue is looked through bit by bit."""
    relay = Relay(redis, producer, Rows([job(str(number)) for number in range(1300)]))
    assert [await relay.sweep(pages=1) for _ in range(4)] == [500, 500, 300, 0]


async def test_another_server_makes_the_relay_sweep(own_redis: RedisServer, connect_more: Connect) -> None:
    """A restart may have lost the last second: its rows are looked at without waiting for the sweep."""
    redis = connect_more(own_redis.url)
    producer = QueueProducer(redis)
    rows = Rows([])
    relay = Relay(redis, producer, rows, sweep_s=3600)
    relaying = asyncio.create_task(relay.run())

    async def swept() -> bool:
        return ":1\r\n" in own_redis.execute(f"ZCARD {QUICK.name}")

    rows.jobs = [job("first")]
    relay.data_lost()
    await eventually(swept)
    own_redis.kill()
    own_redis.start()
    own_redis.execute("FLUSHALL")
    await eventually(swept, timeout=15)
    relaying.cancel()


async def test_a_new_connection_to_nowhere_fails_in_time_and_is_no_unknown_outcome() -> None:
    """Nothing was sent, so nothing can have been put."""
    redis = connect_url("redis://127.0.0.1:1")
    with pytest.raises(StoreUnavailable) as caught:
        await QueueProducer(redis, retry_for_s=0.1).enqueue(job())
    assert not isinstance(caught.value, OutcomeUnknown)
    assert redis.problem is not None
    await redis.close()


class Pauses:
    """Which queues are paused; `away` while Postgres is."""

    def __init__(self) -> None:
        self.paused: set[str] = set()
        self.away = False

    async def all(self) -> set[str]:
        if self.away:
            raise StoreUnavailable("postgres", "away")
        return self.paused


async def test_a_pause_is_seen_by_all_workers_and_outlives_the_store(
    producer: QueueProducer, start_worker: StartWorker, connect_more: Connect
) -> None:
    """Within a second; a store that is away changes nothing; resuming is seen as soon."""
    pauses, seen = Pauses(), Recorder()
    workers = [start_worker([function(seen)], on=connect_more(""), pauses=pauses) for _ in range(2)]
    await producer.enqueue(job("before"))
    await eventually(lambda: seen.keys == ["before"])
    pauses.paused = {QUICK.name}
    await eventually(lambda: all(worker.paused for worker in workers), timeout=1.0)
    pauses.away = True
    await producer.enqueue_many([job("held") for _ in range(3)])
    assert all(worker.problem is None for worker in workers)
    assert seen.keys == ["before"]
    pauses.away, pauses.paused = False, set()
    await eventually(lambda: seen.keys == ["before", "held"])
