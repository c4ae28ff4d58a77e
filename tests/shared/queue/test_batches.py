"""Batched calls: their encoding, and the outcome of each single job in a batch."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from arq.jobs import Job
from prometheus_client import CollectorRegistry, Histogram
from redis.asyncio.connection import Connection as StockConnection

from filas.errors import StoreUnavailable
from filas.observability.metrics import BatchHistogram
from filas.queue.job_format import deserialize
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.hiredis_connections import Connection
from filas.queue.redis_client.scripts import pad_json
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, function, job
from tests.waiting import PATIENCE_S, eventually

MANY = 120


@pytest.mark.parametrize(
    "command",
    [
        ("SET", "key", b"\xff\x00\r\n", "é", 5, 0.25),
        ("CONFIG GET", "save"),
        (b"MGET", *(f"key-{number}" for number in range(1000))),
    ],
    ids=["all types", "a name of two words", "many arguments"],
)
def test_a_command_is_encoded_as_by_redis_py(command: tuple[Any, ...]) -> None:
    """hiredis and redis-py encode a command to the same bytes."""
    packed: list[bytes] = StockConnection().pack_command(*command)
    assert b"".join(Connection().pack_command(*command)) == b"".join(packed)


def test_batched_observations_equal_single_ones() -> None:
    """Also for amounts on the bound of a bucket, below all bounds and above all bounds."""
    amounts = [0.0, 0.05, 0.1, 0.1000001, 3.0, 99.0, 0.05]
    registry = CollectorRegistry()
    batched = BatchHistogram("batched", "b", buckets=(0.1, 1.0, 5.0), registry=registry)
    single = Histogram("single", "s", buckets=(0.1, 1.0, 5.0), registry=registry)
    batched.observe_many(amounts)
    for amount in amounts:
        single.observe(amount)
    for sample in ("bucket", "count", "sum"):
        for bound in ("0.1", "1.0", "5.0", "+Inf") if sample == "bucket" else (None,):
            labels = {"le": bound} if bound else {}
            expected = registry.get_sample_value(f"single_{sample}", labels)
            assert registry.get_sample_value(f"batched_{sample}", labels) == expected


def test_blanks_give_the_jobs_of_a_batch_different_lengths() -> None:
    """32 jobs in a row have different lengths. The first one has no blanks."""
    assert len({len(pad_json(b"{}", number)) for number in range(32)}) == 32
    assert pad_json(b"{}", 0) == b"{}"


@pytest.mark.parametrize("grouped", [False, True], ids=["without groups", "with groups"])
async def test_each_of_many_jobs_leaves_its_own_result(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, stats: QueueStats, grouped: bool
) -> None:
    """A stock client reads the result of each job, although the jobs are claimed and finished in batches."""

    def step(context: Any, message: Any) -> str:
        if message.channel_id.endswith("7") and context.attempt == 1:
            raise ValueError("again")
        return f"done {message.channel_id}"

    jobs = [job(f"{n}", text=f"{n}", group=f"g{n % 50}" if grouped and n % 3 else None) for n in range(MANY)]
    await producer.enqueue_many(jobs)
    start_worker([function(Recorder(step), keep_result_s=60)])

    async def done() -> bool:
        return (await stats.snapshot(QUICK)).completed == MANY

    await eventually(done)
    for number, one in enumerate(jobs):
        stock = Job(one.job_id, redis.client, QUICK.name, deserialize)
        info = await stock.result_info()
        assert info is not None
        assert (info.success, info.result) == (True, f"done {number}")
        assert info.job_try == (2 if number % 10 == 7 else 1)
        assert info.kwargs["job"]["channelId"] == str(number)
        assert (info.function, info.queue_name, info.job_id) == (QUICK.function, QUICK.name, one.job_id)
    left = {key async for key in redis.client.scan_iter("arq:*")}
    assert left == {f"arq:result:{one.job_id}".encode() for one in jobs}
    counts = await stats.snapshot(QUICK)
    assert (counts.waiting, counts.active, counts.failed, counts.retries) == (0, 0, 0, MANY // 10)
    names = redis.keys(QUICK.name)
    assert not await redis.client.exists(names.named("heads"), names.named("grouped"))


class NoPayloads(Redis):
    """A Redis that is unavailable when the payloads of a large claim are read for the first time."""

    refused = 0

    async def command(self, *parts: Any) -> Any:
        """Raises StoreUnavailable for the first MGET."""
        if parts[0] == "MGET" and not self.refused:
            self.refused += 1
            raise StoreUnavailable("redis", "connection lost")
        return await super().command(*parts)


async def test_a_claim_whose_payloads_cannot_be_read_is_requeued_without_using_an_attempt(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, stats: QueueStats, letters: Letters
) -> None:
    """The jobs run in order as soon as Redis answers. No lease is lost and no dead letter is written."""
    keys: Sequence[str] = [str(number) for number in range(MANY)]
    await producer.enqueue_many([job(key) for key in keys])
    broken = NoPayloads(redis.client)
    seen = Recorder()
    async with asyncio.timeout(PATIENCE_S):
        start_worker([function(seen)], on=broken, concurrency=MANY)
        await eventually(lambda: len(seen.keys) == MANY)
    assert broken.refused == 1
    assert seen.keys == keys
    assert {(context.attempt, context.lost_leases) for context in seen.contexts} == {(1, 0)}
    assert (await stats.snapshot(QUICK)).lost_leases == 0
    assert letters.stored == []
