"""Heartbeats: workers report that they are alive, and how busy they are."""

import asyncio

from filas.observability import metrics
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.queue.worker_presence import PRESENT_MS, beat, leave, read_load
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Recorder, function, job
from tests.waiting import eventually


async def test_a_worker_is_counted_while_it_runs(
    redis: Redis, producer: QueueProducer, stats: QueueStats, start_worker: StartWorker
) -> None:
    """Its slots count from its start until it stops. The jobs that it finished are counted too."""
    release = asyncio.Event()
    recorder = Recorder(lambda _context, _message: release.wait())
    worker = start_worker([function(recorder)], concurrency=3)

    async def one_with_three_slots() -> bool:
        load = await read_load(redis, QUICK)
        return (load.workers, load.slots) == (1, 3)

    await eventually(one_with_three_slots)
    await producer.enqueue_many([job(), job()])

    async def two_run() -> bool:
        return (await read_load(redis, QUICK)).running == 2

    await eventually(two_run)
    await stats.publish([QUICK])
    free = metrics.REGISTRY.get_sample_value("filas_worker_slots", {"queue": QUICK.name, "state": "free"})
    assert (metrics.REGISTRY.get_sample_value("filas_workers", {"queue": QUICK.name}), free) == (1, 1)
    release.set()

    async def two_finished() -> bool:
        load = await read_load(redis, QUICK)
        return load.finished == 2 and 60_000 <= load.finished_ms < 120_000

    await eventually(two_finished)
    worker.stop()

    async def no_worker() -> bool:
        return (await read_load(redis, QUICK)).workers == 0

    await eventually(no_worker)


async def test_a_dead_worker_is_removed(redis: Redis) -> None:
    """A worker whose heartbeat has expired does not count. The next heartbeat of another worker removes it."""
    key = redis.keys(QUICK.name).named("workers")
    await beat(redis, QUICK, "alive", 1, 4)
    at_ms = (await read_load(redis, QUICK)).at_ms
    await redis.command("HSET", key, "dead", f"{at_ms - 1}|2|4", "unreadable", "text")
    load = await read_load(redis, QUICK)
    assert (load.workers, load.running, load.slots) == (1, 1, 4)
    await beat(redis, QUICK, "alive", 2, 4)
    assert set(await redis.command("HKEYS", key)) == {b"alive"}
    stored = await redis.command("HGET", key, "alive")
    assert 0 < int(stored.split(b"|")[0]) - at_ms <= PRESENT_MS + 5_000
    await leave(redis, QUICK, "alive")
    assert await redis.command("EXISTS", key) == 0
