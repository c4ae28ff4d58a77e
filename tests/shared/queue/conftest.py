"""Fixtures of the queue's tests: a Redis database, a producer, and workers that are always stopped."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from filas.contract.policies import QueuePolicy
from filas.queue.job_functions import JobFunction
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.queue.worker.worker import Worker
from tests.redis_address import connect_url
from tests.shared.queue.jobs import QUICK, Letters

StartWorker = Callable[..., Worker]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """Returns a connection to an empty database."""
    connection = connect_url(redis_url)
    yield connection
    await connection.close()


@pytest.fixture
async def connect_more(redis_url: str) -> AsyncIterator[Callable[[str], Redis]]:
    """Opens more connections, to this database (`connect_more("")`) or another. Closes them after the workers."""
    opened: list[Redis] = []

    def connect_another(url: str) -> Redis:
        opened.append(connect_url(url or redis_url))
        return opened[-1]

    yield connect_another
    for connection in opened:
        await connection.close()


@pytest.fixture
def producer(redis: Redis) -> QueueProducer:
    """Returns a producer for the test's database."""
    return QueueProducer(redis)


@pytest.fixture
def stats(redis: Redis) -> QueueStats:
    """Returns the statistics of the test's database."""
    return QueueStats(redis)


@pytest.fixture
def letters() -> Letters:
    """Returns the sink for the dead letters of `start_worker`'s workers."""
    return Letters()


@pytest.fixture
async def start_worker(
    redis: Redis, letters: Letters, connect_more: Callable[[str], Redis]
) -> AsyncIterator[StartWorker]:
    """Starts a worker in the background: `start_worker([functions], **options of Worker)`."""
    running: list[tuple[Worker, asyncio.Task[None]]] = []

    def start(
        functions: list[JobFunction], *, on: Redis | None = None, policy: QueuePolicy = QUICK, **options: Any
    ) -> Worker:
        options.setdefault("dead_letters", letters)
        options.setdefault("drain_s", 5.0)
        worker = Worker(on or redis, policy, functions, **options)
        running.append((worker, asyncio.create_task(worker.run())))
        return worker

    yield start
    for worker, _ in running:
        worker.stop()
    await asyncio.gather(*(task for _, task in running))
