"""Leases: the jobs of a dead worker run again, those of a live worker do not, and a lost lease permits no write."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable

import pytest

from filas.contract.jobs import NotificationJob
from filas.contract.policies import LEASE_S, MAX_LOST_LEASES
from filas.errors import PermanentError
from filas.observability import metrics
from filas.queue.job_functions import JobContext
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from tests.long_form import by_form
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, claim_one, function, job
from tests.waiting import PATIENCE_S, eventually

AGAIN_WITHIN_S = by_form(30.0, 10.0)
"""The promise is ten seconds: a lease, and a poll. The short form runs beside other tests, which may delay a poll."""


@contextlib.asynccontextmanager
async def crashing_worker(url: str, lease_s: float) -> AsyncIterator[asyncio.subprocess.Process]:
    """Starts a worker process that hangs in its jobs. It is killed when the block ends, if not before."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.shared.queue.crashing", url, str(lease_s), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def started(process: asyncio.subprocess.Process, number: int) -> set[str]:
    """Returns the keys of the first `number` jobs that the process has started."""
    assert process.stdout is not None
    return {(await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)).decode().strip() for _ in range(number)}


async def test_the_jobs_of_a_killed_worker_run_again_within_ten_seconds_in_order(
    redis_url: str, producer: QueueProducer, start_worker: StartWorker, stats: QueueStats, letters: Letters
) -> None:
    """kill -9, with the lease of production. Other jobs run meanwhile, and no attempt is used."""
    jobs = [job("a1", group="a"), job("a2", group="a"), job("b1"), job("c1")]
    async with crashing_worker(redis_url, LEASE_S) as process:
        await producer.enqueue_many(jobs)
        assert await started(process, 3) == {"a1", "b1", "c1"}
        process.kill()
        killed = time.monotonic()
    seen = Recorder()
    before = metrics.REGISTRY.get_sample_value("filas_leases_lost_total", {"queue": QUICK.name}) or 0.0
    start_worker([function(seen)])
    await producer.enqueue(job("fresh"))
    await eventually(lambda: seen.keys == ["fresh"], message="the other jobs ran before the leases ended")
    await eventually(lambda: len(seen.keys) == 5)
    assert time.monotonic() - killed < AGAIN_WITHIN_S
    assert set(seen.keys[1:4]) == {"a1", "b1", "c1"}
    assert seen.keys.index("a1") < seen.keys.index("a2")
    lost = {context.job_id.partition("}:")[2]: context.lost_leases for context in seen.contexts}
    assert lost == {"fresh": 0, "a1": 1, "b1": 1, "c1": 1, "a2": 0}
    assert {context.attempt for context in seen.contexts} == {1}
    assert (await stats.snapshot(QUICK)).lost_leases == 3
    assert metrics.REGISTRY.get_sample_value("filas_leases_lost_total", {"queue": QUICK.name}) == before + 3
    assert letters.stored == []


async def test_a_job_that_kills_its_worker_ends_after_five_lost_leases(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """The sixth claim makes the job a dead letter without running it."""
    new = job("killer")
    await producer.enqueue(new)
    for _ in range(MAX_LOST_LEASES):
        # A claim whose worker never writes an end.
        await eventually(lambda: claim_one(redis, lease_ms=50))
    seen = Recorder()
    start_worker([function(seen)])
    await eventually(lambda: letters.stored)
    assert seen.keys == []
    assert "5 workers lost the job's lease" in letters.stored[0].error.message
    await eventually(lambda: no_lost_leases(redis))


async def no_lost_leases(redis: Redis) -> bool:
    return not await redis.client.exists(redis.keys(QUICK.name).named("lost"))


async def test_a_running_job_keeps_its_lease_however_long_it_runs(
    producer: QueueProducer, start_worker: StartWorker, stats: QueueStats, connect_more: Callable[[str], Redis]
) -> None:
    """The job runs for five leases, and another worker cannot claim it."""
    slow = Recorder(lambda *_: asyncio.sleep(4.0))
    start_worker([function(slow)], lease_s=0.8)
    await producer.enqueue(job("a"))
    await eventually(lambda: slow.keys)
    other = Recorder()
    start_worker([function(other)], on=connect_more(""), lease_s=0.8)
    assert (await stats.snapshot(QUICK)).active == 1

    async def done() -> bool:
        return (await stats.snapshot(QUICK)).completed == 1

    await eventually(done)
    assert (slow.keys, other.keys) == (["a"], [])


async def test_a_score_that_a_stock_abort_has_changed_is_restored(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker
) -> None:
    """A stock abort sets the score of a running job to 1. The next claim restores the end of the lease."""
    new = job("a")
    await producer.enqueue(new)
    assert await claim_one(redis, lease_ms=60_000)
    await redis.client.zadd(QUICK.name, {new.job_id: 1})
    other = Recorder()
    start_worker([function(other)])

    async def restored() -> bool:
        return float(await redis.client.zscore(QUICK.name, new.job_id)) > time.time() * 1000

    await eventually(restored)
    assert other.keys == []


@pytest.mark.parametrize(
    ("outcome", "keep_result_s"),
    [(None, 0.0), (None, 60.0), (ValueError("again"), 0.0), (PermanentError("never"), 0.0)],
    ids=["completed", "completed with a result", "retried", "dead"],
)
async def test_a_worker_without_the_fencing_token_writes_nothing(
    redis: Redis,
    producer: QueueProducer,
    start_worker: StartWorker,
    stats: QueueStats,
    letters: Letters,
    outcome: Exception | None,
    keep_result_s: float,
) -> None:
    """A worker ends its attempt after another worker has claimed the job: its outcome changes nothing."""
    go = asyncio.Event()
    new = job("a")

    async def sleep(context: JobContext, message: NotificationJob) -> None:
        await go.wait()
        if outcome is not None:
            raise outcome

    suspended = Recorder(sleep)
    start_worker([function(suspended, keep_result_s=keep_result_s)], lease_s=60.0)
    await producer.enqueue(new)
    await eventually(lambda: suspended.keys)
    # As if the lease had expired and another worker had claimed the job.
    await redis.client.set(f"arq:in-progress:{new.job_id}", "another-token")
    before = lost_outcomes()
    go.set()
    await eventually(lambda: lost_outcomes() == before + 1)
    counts = await stats.snapshot(QUICK)
    assert (counts.completed, counts.failed, counts.retries, counts.active) == (0, 0, 0, 1)
    assert await redis.client.exists(f"arq:job:{new.job_id}")
    assert not await redis.client.exists(f"arq:result:{new.job_id}")
    assert await redis.client.get(f"arq:in-progress:{new.job_id}") == b"another-token"
    assert letters.stored == []


async def test_a_job_whose_lease_was_lost_is_interrupted_while_it_runs(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker
) -> None:
    """The next renewal finds another token: another worker may run the job now, so this one stops."""
    interrupted = asyncio.Event()

    async def wait_forever(*_: object) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            interrupted.set()
            raise

    seen = Recorder(wait_forever)
    worker = start_worker([function(seen)], lease_s=1.5)
    new = job("a")
    await producer.enqueue(new)
    await eventually(lambda: seen.keys)
    before = lost_outcomes()
    await redis.client.set(f"arq:in-progress:{new.job_id}", "another-token")
    await asyncio.wait_for(interrupted.wait(), PATIENCE_S)
    await eventually(lambda: worker.running == 0)
    await eventually(lambda: lost_outcomes() == before + 1)
    assert await redis.client.get(f"arq:in-progress:{new.job_id}") == b"another-token"


def lost_outcomes() -> float:
    labels = {"queue": QUICK.name, "function": QUICK.function, "outcome": "lost"}
    return metrics.REGISTRY.get_sample_value("filas_jobs_total", labels) or 0.0
