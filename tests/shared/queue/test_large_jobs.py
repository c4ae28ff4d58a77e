"""Large jobs: the memory that a worker uses for them is bounded."""

import asyncio
import gc
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from filas.contract.jobs import NotificationJob
from filas.errors import PermanentError
from filas.memory_budget import MemoryBudget
from filas.models.dead_letters import NewDeadLetter
from filas.models.record import ErrorDetail
from filas.queue.job_functions import JobContext
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import Script
from filas.queue.worker.claimed_job import ClaimedJob
from filas.queue.worker.dead_letter_drain import DeadLetterDrain
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, function, job
from tests.waiting import PATIENCE_S, eventually

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
    assert first <= 4 + 4, "two calls of at most 4 MiB, and what waits for them"
    release.set()
    most = 0

    async def done() -> bool:
        nonlocal most
        most = max(most, await claimed())
        return seen == 150

    await eventually(done)
    assert most <= 8 + 2 * 4 + 2, "16 MiB of memory wait for a slot, and two calls of 4 MiB run"


async def test_a_claim_counts_decoded_messages(
    producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """A payload of many small objects takes 30 times its size in memory. Few of them are claimed."""
    release, seen = asyncio.Event(), 0

    async def handler(_: JobContext, message: NotificationJob) -> None:
        nonlocal seen
        await release.wait()
        seen += 1

    budget = MemoryBudget(64 * MIB)
    await producer.enqueue_many([job(text="{},[]" * (MIB // 5)) for _ in range(30)])
    start_worker([function(handler)], concurrency=30, budget=budget)
    await eventually(lambda: budget.room <= 0, message="the budget is used")
    assert (await stats.snapshot(QUICK)).active < 10
    assert budget.held < 2 * budget.max_bytes
    release.set()
    await eventually(lambda: seen == 30)
    await eventually(lambda: budget.held == 0, message="all memory is released")


async def test_a_job_larger_than_the_budget_runs_alone(producer: QueueProducer, start_worker: StartWorker) -> None:
    """Each of them is claimed when the worker holds no other job."""
    running, most, seen = 0, 0, 0

    async def handler(_: JobContext, message: NotificationJob) -> None:
        nonlocal running, most, seen
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        seen += 1

    await producer.enqueue_many([job(text="x" * MIB) for _ in range(5)])
    start_worker([function(handler)], concurrency=10, budget=MemoryBudget(MIB // 2))
    await eventually(lambda: seen == 5)
    assert most == 1


async def test_enqueued_jobs_are_sent_in_calls_of_bounded_size(
    producer: QueueProducer, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs that are enqueued together, and jobs of concurrent callers, share calls of at most 4 MiB."""
    sizes: list[int] = []
    run = Redis.run

    async def recorded(self: Redis, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        sizes.append(sum(len(one) for one in args if isinstance(one, bytes)))
        return await run(self, script, keys, args)

    monkeypatch.setattr(Redis, "run", recorded)
    await producer.enqueue_many([job(text="x" * MIB) for _ in range(10)])
    await asyncio.gather(*(producer.enqueue(job(text="x" * MIB)) for _ in range(10)))
    await producer.enqueue(job(text="x" * (5 * MIB)))
    assert max(sizes[:-1]) < 4.5 * MIB
    assert sum(sizes) > 25 * MIB


async def test_dead_letters_are_drained_in_batches_of_bounded_size(
    producer: QueueProducer, start_worker: StartWorker, redis: Redis
) -> None:
    """A batch has at most 4 MiB. Every dead letter is stored."""
    batches: list[list[int]] = []
    stored = asyncio.Event()

    async def sink(letters: list[NewDeadLetter], /) -> None:
        batches.append([len(letter.payload) for letter in letters])
        if sum(map(len, batches)) >= 30:
            stored.set()

    async def handler(_: JobContext, message: NotificationJob) -> None:
        raise PermanentError("never")

    await producer.enqueue_many([job(text="x" * MIB) for _ in range(30)])
    start_worker([function(handler)], concurrency=30, dead_letters=sink)
    await asyncio.wait_for(stored.wait(), PATIENCE_S)
    assert all(sum(batch) <= 4 * MIB for batch in batches if len(batch) > 1)


async def test_a_drain_reads_few_large_dead_letters_at_a_time(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead letters that Redis holds (Postgres was unavailable) are read in parts of some MiB."""
    answers: list[int] = []
    command = Redis.command

    async def recorded(self: Redis, *parts: Any) -> Any:
        answer = await command(self, *parts)
        if parts[0] == "HSCAN":
            answers.append(sum(map(len, answer[1].values())))
        return answer

    monkeypatch.setattr(Redis, "command", recorded)
    key = redis.keys(QUICK.name).named("dead")
    letter = NewDeadLetter(
        queue=QUICK.name, job_id="", function="f", payload=b"x" * MIB, group_key=None, attempts=1, history=[],
        error=ErrorDetail(kind="k", message="m"), enqueued_at=None, failed_at=datetime.now(UTC),
    )  # fmt: skip
    for number in range(60):
        one = msgspec.structs.replace(letter, job_id=str(number))
        await redis.command("HSET", key, str(number), msgspec.json.encode(one))
    letters = Letters()
    assert await DeadLetterDrain(redis, QUICK, letters, asyncio.Event()).drain() == 60
    assert len(letters.ids) == 60
    assert max(answers) < 24 * MIB, "base64 makes a payload a third larger"


async def test_a_list_of_large_jobs_ends_early(producer: QueueProducer, stats: QueueStats) -> None:
    """A page has at most 1 MiB of payloads, but at least one job. Its cursor continues the list."""
    sizes = [300_000] * 6 + [3 * MIB] + [100] * 20
    await producer.enqueue_many([job(text="x" * size) for size in sizes])
    pages: list[list[int]] = []
    cursor = None
    while True:
        page = await stats.jobs(QUICK, "waiting", 50, cursor)
        pages.append([len(info.data["channelId"]) for info in page.items])
        cursor = page.next_cursor
        if cursor is None:
            break
    assert [size for page in pages for size in page] == sizes
    assert all(sum(page) <= MIB for page in pages if len(page) > 1)
    assert len(pages) <= 5


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
