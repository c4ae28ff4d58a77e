"""Redis loses its data: the queue is restored in the order of the rows, before anything is claimed."""

import asyncio
from collections.abc import Callable

import pytest

from filas.contract.new_job import NewJob
from filas.errors import StoreUnavailable
from filas.queue.job_functions import JobContext
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.queue.relay import GRACE_S, Relay
from filas.queue.worker import restoration
from filas.queue.worker.restoration import Restoration
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Recorder, function, job
from tests.waiting import eventually


class Rows:
    """A table with a job per row. A page has at most two rows, and is read when `may_read` is set."""

    name = "rows"

    def __init__(self, jobs: list[NewJob]) -> None:
        self.jobs = jobs
        self.done: set[str] = set()
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.pages = 0
        self.error: Exception | None = None
        self.age_s = 3.0

    async def due(self, limit: int, after: NewJob | None = None, *, older_than_s: float = GRACE_S) -> list[NewJob]:
        """By default, rows are three seconds old: a regular sweep does not see them."""
        start = self.jobs.index(after) + 1 if after else 0
        page = [one for one in self.jobs[start:] if one.key not in self.done][: min(limit, 2)]
        self.pages += 1
        await self.may_read.wait()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return page if self.age_s > older_than_s else []

    async def finish(self, context: JobContext, _message: object) -> None:
        """A handler that finishes the job's row."""
        self.done.add(context.job_id.partition("}:")[2])


def jobs(*keys: str) -> list[NewJob]:
    """Jobs of one group."""
    return [job(key, group="contact") for key in keys]


async def lose(redis: Redis) -> None:
    """Removes every key of the tests' queue. Other tests use the same server."""
    keys = [key async for key in redis.client.scan_iter(match=f"*{QUICK.name}*")]
    if keys:
        await redis.client.delete(*keys)


@pytest.fixture
def relay(redis: Redis, producer: QueueProducer) -> Callable[[Rows], Relay]:
    """Makes the relay of a table."""
    return lambda rows: Relay(redis, producer, rows, sweep_s=3600)


async def test_jobs_that_were_enqueued_after_the_loss_run_after_older_ones(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, relay: Callable[[Rows], Relay]
) -> None:
    """No worker has noticed the loss when they are enqueued. The head of the group is one of them."""
    rows = Rows(jobs("1", "2", "3", "4", "5"))
    await producer.enqueue_many(rows.jobs[:3])
    await lose(redis)
    await producer.enqueue_many(rows.jobs[3:])
    seen = Recorder(rows.finish)
    start_worker([function(seen)], relays=[relay(rows)])
    await eventually(lambda: len(seen.keys) == 5)
    assert seen.keys == ["1", "2", "3", "4", "5"]


async def test_jobs_that_are_enqueued_meanwhile_are_held_back(
    redis: Redis,
    producer: QueueProducer,
    stats: QueueStats,
    start_worker: StartWorker,
    relay: Callable[[Rows], Relay],
) -> None:
    """Their rows may be younger than the page that is being read. They count as waiting. A job without a group is not
    held back. Another worker claims nothing meanwhile."""
    rows = Rows(jobs("1", "2", "3"))
    rows.may_read.clear()
    order: list[str] = []

    async def note(context: JobContext, message: object) -> None:
        order.append(context.job_id.partition("}:")[2])
        await rows.finish(context, message)

    start_worker([function(note)], relays=[relay(rows)])
    await eventually(lambda: rows.pages)
    later = jobs("4", "5")
    await producer.enqueue_many([*later, job("single")])
    names = redis.keys(QUICK.name)
    assert await redis.command("ZRANGE", names.named("held"), 0, -1) == [one.job_id.encode() for one in later]
    assert (await stats.snapshot(QUICK)).waiting == 3
    start_worker([function(note)], relays=[relay(rows)])

    async def both_work() -> bool:
        return bool(await redis.command("HLEN", names.named("workers")) == 2)

    await eventually(both_work)
    assert order == []
    rows.may_read.set()
    await eventually(lambda: len(order) == 6)
    assert [key for key in order if key != "single"] == ["1", "2", "3", "4", "5"]
    assert await redis.command("ZCARD", names.named("held")) == 0
    assert (await stats.snapshot(QUICK)).waiting == 0


async def test_a_job_that_is_held_back_comes_after_the_jobs_of_all_rows(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, relay: Callable[[Rows], Relay]
) -> None:
    """Also if its own row is read, and if a row before it is read too late: jobs are held back in the order in which
    they are enqueued."""
    rows = Rows(jobs("1", "2", "4"))
    rows.may_read.clear()
    seen = Recorder(rows.finish)
    start_worker([function(seen)], relays=[relay(rows)])
    await eventually(lambda: rows.pages)
    await producer.enqueue_many(jobs("3", "4"))
    rows.may_read.set()
    await eventually(lambda: len(seen.keys) == 4)
    assert seen.keys == ["1", "2", "3", "4"]


async def test_a_regular_sweep_leaves_jobs_with_a_group_to_the_restorer(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, relay: Callable[[Rows], Relay]
) -> None:
    """The relay of another process would enqueue an old job behind the new ones."""
    rows = Rows(jobs("1", "2"))
    rows.may_read.clear()
    seen = Recorder(rows.finish)
    start_worker([function(seen)], relays=[relay(rows)])
    await eventually(lambda: rows.pages)
    await producer.enqueue_many(jobs("3"))
    old = Rows([*rows.jobs, job("single")])
    old.age_s = 60.0
    assert [await relay(old).sweep(), await relay(old).sweep()] == [1, 0]
    rows.may_read.set()
    await eventually(lambda: len(seen.keys) == 4)
    assert [key for key in seen.keys if key != "single"] == ["1", "2", "3"]


async def test_another_worker_restores_if_the_first_one_dies(
    redis: Redis,
    producer: QueueProducer,
    start_worker: StartWorker,
    relay: Callable[[Rows], Relay],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its place expires. The other one begins again, and what was held back stays so until the end."""
    monkeypatch.setattr(restoration, "PLACE_MS", 1500)
    rows = Rows(jobs("1", "2", "3"))
    rows.may_read.clear()
    dying = asyncio.create_task(Restoration(redis, QUICK, [relay(rows)]).run(None))
    await eventually(lambda: rows.pages)
    dying.cancel()
    await producer.enqueue_many(jobs("4"))
    rows.may_read.set()
    seen = Recorder(rows.finish)
    start_worker([function(seen)], relays=[relay(rows)])
    await eventually(lambda: len(seen.keys) == 4)
    assert seen.keys == ["1", "2", "3", "4"]


async def test_a_worker_that_has_lost_its_place_changes_no_order(
    redis: Redis, producer: QueueProducer, relay: Callable[[Rows], Relay]
) -> None:
    """Redis loses its data again while the first worker reads. It does not release what another one holds back."""
    rows = Rows(jobs("1", "2"))
    rows.may_read.clear()
    first = asyncio.create_task(Restoration(redis, QUICK, [relay(rows)]).run(None))
    await eventually(lambda: rows.pages)
    await lose(redis)
    second = asyncio.create_task(Restoration(redis, QUICK, [relay(rows)]).run(None))
    await eventually(lambda: rows.pages == 2)
    await producer.enqueue_many(jobs("3"))
    rows.may_read.set()
    assert not await first
    assert await second
    names = redis.keys(QUICK.name)
    assert await redis.command("LRANGE", names.group_prefix + "contact", 0, -1) == [
        one.job_id.encode() for one in jobs("2", "3")
    ]


async def test_a_restoration_begins_again_after_a_store_was_unavailable(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, relay: Callable[[Rows], Relay]
) -> None:
    """Nothing is claimed before it has succeeded."""
    rows = Rows(jobs("1", "2", "3"))
    rows.error = StoreUnavailable("postgres", "refused")
    await producer.enqueue_many(rows.jobs[2:])
    seen = Recorder(rows.finish)
    start_worker([function(seen)], relays=[relay(rows)])
    await eventually(lambda: len(seen.keys) == 3)
    assert seen.keys == ["1", "2", "3"]


async def test_a_cancelled_job_that_was_held_back_does_not_run(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, relay: Callable[[Rows], Relay]
) -> None:
    """Its payload is gone when the jobs are released. The counts are those of the other jobs."""
    rows = Rows([])
    rows.may_read.clear()
    seen = Recorder(rows.finish)
    start_worker([function(seen)], relays=[relay(rows)])
    await eventually(lambda: rows.pages)
    gone, kept = jobs("gone", "kept")
    await producer.enqueue_many([gone, kept])
    await redis.command("DEL", f"arq:job:{gone.job_id}")
    rows.may_read.set()
    await eventually(lambda: seen.keys == ["kept"])
    assert await redis.command("GET", redis.keys(QUICK.name).named("waiting")) == b"0"
