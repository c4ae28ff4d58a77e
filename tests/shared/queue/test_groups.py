"""Group keys: the jobs of a group run one at a time, in order."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from filas.contract.jobs import NotificationJob
from filas.contract.new_job import NewJob
from filas.errors import PermanentError, RetryLater
from filas.queue.job_functions import JobContext
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import EnqueueOutcome, QueueProducer
from filas.queue.redis_client.connection import Redis
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, function, job, raising
from tests.waiting import eventually


class Groups:
    """A handler that counts overlapping jobs of a group and records the order in which jobs end."""

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.overlaps = 0
        self.done: dict[str, list[int]] = defaultdict(list)
        self.random = random.Random(7)

    async def __call__(self, context: JobContext, message: NotificationJob) -> None:
        group = context.group or ""
        self.overlaps += group in self.running
        self.running.add(group)
        try:
            await asyncio.sleep(self.random.random() * 0.004)
            if self.random.random() < 0.15 and not context.is_last_attempt:
                raise ValueError("retry")
            self.done[group].append(int(message.channel_id))
        finally:
            self.running.discard(group)


async def test_groups_run_in_order_across_workers_through_retries(
    connect_more: Callable[[str], Redis], producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """30 groups of 10 jobs run on three workers, and a seventh of the attempts fail. No two jobs of a group overlap."""
    jobs = [job(f"{n}-{g}", text=str(n), group=f"g{g}") for n in range(10) for g in range(30)]
    await producer.enqueue_many(jobs)
    assert (await stats.snapshot(QUICK)).waiting == 300
    groups = Groups()
    connections = [connect_more("") for _ in range(3)]
    for connection in connections:
        start_worker([function(groups)], on=connection, concurrency=5)
    await eventually(lambda: sum(map(len, groups.done.values())) == 300)
    assert groups.overlaps == 0
    assert all(done == list(range(10)) for done in groups.done.values())
    await eventually(lambda: nothing_left(connections[0]))


async def nothing_left(redis: Redis) -> bool:
    """Whether no keys of groups are left."""
    keys = redis.keys(QUICK.name)
    left = [key async for key in redis.client.scan_iter(keys.group_prefix + "*")]
    heads, grouped = keys.named("heads"), keys.named("grouped")
    return not left and not await redis.client.exists(heads, grouped) and await waiting(redis) == 0


async def waiting(redis: Redis) -> int:
    return int(await redis.client.get(redis.keys(QUICK.name).named("waiting")) or 0)


async def test_a_deferred_or_retrying_head_holds_back_its_own_group_only(
    producer: QueueProducer, start_worker: StartWorker
) -> None:
    """The other group and the jobs without a group run meanwhile."""
    seen = Recorder(
        lambda context, message: (
            raising(RetryLater("later", delay_s=1.5))(context, message)
            if (message.channel_id, context.attempt) == ("a1", 1)
            else None
        )
    )
    start_worker([function(seen)])
    await producer.enqueue_many(
        [
            job("a1", text="a1", group="a"),
            job("a2", text="a2", group="a"),
            job("b1", text="b1", group="b"),
            job("free", text="free"),
            job("b2", text="b2", group="b"),
        ]
    )
    await eventually(lambda: len(seen.keys) == 6)
    assert seen.keys[:1] == ["a1"]
    assert set(seen.keys[1:4]) == {"b1", "free", "b2"}
    assert seen.keys[4:] == ["a1", "a2"]
    assert seen.keys.index("b1") < seen.keys.index("b2")


async def test_a_dead_letter_at_the_head_lets_the_next_job_run(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """The group continues after a permanent error of its head."""
    seen = Recorder(
        lambda context, message: (
            raising(PermanentError("no"))(context, message) if message.channel_id == "bad" else None
        )
    )
    await producer.enqueue_many([job(text="bad", group="g"), job(text="good", group="g"), job(text="fine", group="g")])
    start_worker([function(seen)])
    await eventually(lambda: seen.texts == ["bad", "good", "fine"])
    await eventually(lambda: len(letters.stored) == 1)


async def test_a_head_without_a_payload_is_reported_and_the_group_continues(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """The dead letter names the id, from which the relay can build the job again."""
    first: NewJob = job("first", group="g")
    await producer.enqueue_many([first, job("second", group="g")])
    await redis.client.delete(f"arq:job:{first.job_id}")
    seen = Recorder()
    start_worker([function(seen)])
    await eventually(lambda: seen.keys == ["second"])
    await eventually(lambda: letters.ids == [first.job_id])
    assert "payload is missing" in letters.stored[0].error.message


async def test_a_waiting_job_of_a_group_is_a_duplicate_too(producer: QueueProducer) -> None:
    """A second job with the id of a job after the group head is a duplicate."""
    outcomes: list[Any] = await producer.enqueue_many([job("a", group="g"), job("b", group="g"), job("b", group="g")])
    assert outcomes[2] is EnqueueOutcome.DUPLICATE


async def test_the_sweep_promotes_the_next_job_after_a_stock_worker_has_finished_the_head(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker
) -> None:
    """A stock worker removes the keys of the head and promotes no job. Our worker corrects that within seconds."""
    head = job("head", group="g")
    await producer.enqueue_many([head, job("next", group="g")])
    await redis.client.zrem(QUICK.name, head.job_id)
    await redis.client.delete(f"arq:job:{head.job_id}")
    seen = Recorder()
    start_worker([function(seen)])
    await eventually(lambda: seen.keys == ["next"])
    await eventually(lambda: nothing_left(redis))
