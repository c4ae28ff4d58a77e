"""Large jobs: the memory that a worker uses for them is bounded."""

import asyncio
import gc
from typing import Any

from filas.contract.jobs import NotificationJob
from filas.queue.job_functions import JobContext
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import QueueProducer
from filas.queue.worker.claimed_job import ClaimedJob
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, function, job
from tests.waiting import eventually

MIB = 2**20
Batch = list[tuple[JobContext, NotificationJob]]


def alive(ids: set[str]) -> int:
    """Returns how many of these jobs are in the memory of this process."""
    return sum(isinstance(one, ClaimedJob) and one.raw_id.decode() in ids for one in gc.get_objects())


async def test_a_batch_of_large_jobs_has_few_jobs(producer: QueueProducer, start_worker: StartWorker) -> None:
    """A call has at most 4 MiB. A larger job has a call of its own."""
    calls: list[list[int]] = []

    async def handler(batch: Batch) -> list[Any]:
        calls.append([len(message.channel_id) for _, message in batch])
        return ["fine"] * len(batch)

    sizes = [MIB, MIB, MIB, 5 * MIB, MIB, *[1000] * 40]
    await producer.enqueue_many([job(text="x" * size) for size in sizes])
    start_worker([function(handler, batch=True, batch_limit=50)], concurrency=1)
    await eventually(lambda: sum(map(len, calls)) == len(sizes))
    assert [size for call in calls for size in call] == sizes
    assert all(sum(call) <= 4 * MIB for call in calls if len(call) > 1)
    assert [5 * MIB] in calls
    assert len(calls) <= 6, "small jobs share calls"


async def test_claimed_large_jobs_are_bounded(
    producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """The payloads of claimed jobs that do not run yet are bounded, although slots are free. All jobs run."""
    release, seen = asyncio.Event(), 0

    async def handler(batch: Batch) -> list[Any]:
        nonlocal seen
        await release.wait()
        seen += len(batch)
        return ["fine"] * len(batch)

    await producer.enqueue_many([job(text="x" * MIB) for _ in range(150)])
    start_worker([function(handler, batch=True, batch_limit=75)], concurrency=2)

    async def claimed() -> int:
        return (await stats.snapshot(QUICK)).active

    first = await eventually(claimed)
    # The first claim assumes jobs of 256 KiB. Their size is known afterwards.
    assert first <= 64
    release.set()
    most = 0

    async def done() -> bool:
        nonlocal most
        if 64 < seen < 150:
            most = max(most, await claimed())
        return seen == 150

    await eventually(done, timeout=30)
    assert most <= 16 + 2 * 4 + 1


async def test_an_idle_worker_frees_the_memory_of_its_last_jobs(
    producer: QueueProducer, start_worker: StartWorker
) -> None:
    """No claimed job is left in memory."""
    seen: set[str] = set()

    async def handler(batch: Batch) -> list[Any]:
        seen.update(context.job_id for context, _ in batch)
        return ["fine"] * len(batch)

    start_worker([function(handler, batch=True, batch_limit=10)], concurrency=2)
    await producer.enqueue_many([job(text="x" * MIB) for _ in range(10)])
    await eventually(lambda: len(seen) == 10)
    await eventually(lambda: alive(seen) == 0, message="claimed jobs are still in memory")
