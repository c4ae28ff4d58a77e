"""Measures this engine: `python -m tests.benchmarks.queue.ours URL`. No guarantee is switched off."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop

from filas.contract.jobs import NotificationJob
from filas.contract.new_job import NewJob
from filas.contract.policies import NOTIFICATIONS
from filas.observability import logs
from filas.queue.job_functions import JobContext, JobFunction
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.queue.worker.worker import Worker
from filas.service.garbage_collection import collect_rarely
from tests.benchmarks.queue.measure import (
    TEXT,
    Countdown,
    Figures,
    by_callers,
    idle_cpu,
    memory,
    pickups,
    print_figures,
    rate,
)
from tests.redis_address import connect_url
from tests.waiting import eventually

JOBS = 30_000
CHUNK = 500
GROUPS = 1_000
CONCURRENCY = 100


def new(number: int, *, groups: bool = False) -> NewJob:
    """Returns a job with its own key."""
    message = NotificationJob(notification_id=uuid.UUID(int=number), channel_id=TEXT)
    return NewJob(NOTIFICATIONS, f"job-{number}", message, group=f"group-{number % GROUPS}" if groups else None)


async def bulk(producer: QueueProducer, *, groups: bool = False) -> None:
    """Enqueues JOBS jobs, CHUNK per call."""
    for start in range(0, JOBS, CHUNK):
        await producer.enqueue_many([new(start + number, groups=groups) for number in range(CHUNK)])


@asynccontextmanager
async def working(redis: Redis, counter: Countdown, keep_result_s: float = 0.0) -> AsyncIterator[None]:
    """Runs a worker whose handler does nothing."""

    async def nothing(context: JobContext, message: NotificationJob) -> str:
        counter.one()
        return "done"

    function = JobFunction(NOTIFICATIONS.function, nothing, NotificationJob, keep_result_s=keep_result_s)
    worker = Worker(redis, NOTIFICATIONS, [function], concurrency=CONCURRENCY)
    task = asyncio.create_task(worker.run())
    yield
    worker.stop()
    await task


async def processing(redis: Redis, *, keep_result_s: float = 0.0, groups: bool = False) -> float:
    """Returns jobs per second, from the start of the worker until the end of the last job is written."""
    await redis.client.flushdb()
    await bulk(QueueProducer(redis), groups=groups)
    counter, stats = Countdown(JOBS), QueueStats(redis)

    async def all_done() -> bool:
        return (await stats.snapshot(NOTIFICATIONS)).completed == JOBS

    async def work() -> None:
        async with working(redis, counter, keep_result_s):
            await counter.all_began.wait()
            await eventually(all_done, timeout=120)

    return await rate(JOBS, work())


async def main(url: str) -> None:
    """Measures and prints all figures."""
    logs.configure("error", "json", "benchmark")
    collect_rarely()  # as every service does
    redis = connect_url(url)
    figures = Figures()
    producer = QueueProducer(redis)
    figures.enqueue_bulk = await rate(JOBS, bulk(producer))
    await redis.client.flushdb()
    figures.enqueue_single = await rate(JOBS, by_callers(JOBS, lambda number: producer.enqueue(new(number))))
    figures.process = await processing(redis)
    figures.process_results = await processing(redis, keep_result_s=3600)
    figures.process_groups = await processing(redis, groups=True)
    await redis.client.flushdb()
    counter = Countdown(-1)
    async with working(redis, counter):
        await asyncio.sleep(0.3)
        figures.pickup_p50, figures.pickup_p99 = await pickups(counter, lambda number: producer.enqueue(new(number)))
        figures.idle_cpu = await idle_cpu()
        figures.rss, figures.private = memory()
    await redis.close()
    print_figures(figures)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
