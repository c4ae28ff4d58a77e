"""Many jobs a call: how they travel, and that being many changes nothing for any of them."""

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
from tests.waiting import eventually

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
def test_a_command_is_packed_as_redis_py_does(command: tuple[Any, ...]) -> None:
    """The bytes on the wire are the same."""
    packed: list[bytes] = StockConnection().pack_command(*command)
    assert b"".join(Connection().pack_command(*command)) == b"".join(packed)


def test_batched_observations_are_those_made_one_by_one() -> None:
    """On a bucket's bound, below all, beyond all."""
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


def test_blanks_tell_the_jobs_of_a_batch_apart() -> None:
    """32 in a row have different lengths; the first has none."""
    assert len({len(pad_json(b"{}", number)) for number in range(32)}) == 32
    assert pad_json(b"{}", 0) == b"{}"


@pytest.mark.parametrize("grouped", [False, True], ids=["without groups", "with groups"])
async def test_each_of_many_jobs_leaves_its_own_result(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, stats: QueueStats, grouped: bool
) -> None:
    """Claimed and ended together, some with a group, some tried twice: a stock client reads what each returned."""

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
    """A Redis that is away when the payloads of a large claim are read, the first time."""

    refused = 0

    async def command(self, *parts: Any) -> Any:
        """As ever, but for that."""
        if parts[0] == "MGET" and not self.refused:
            self.refused += 1
            raise StoreUnavailable("redis", "away")
        return await super().command(*parts)


async def test_a_claim_whose_payloads_can_t_be_read_is_given_back_unspent(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, stats: QueueStats, letters: Letters
) -> None:
    """The jobs run in their order as soon as Redis answers, no lease lost, no try spent, no dead letter."""
    keys: Sequence[str] = [str(number) for number in range(MANY)]
    await producer.enqueue_many([job(key) for key in keys])
    broken = NoPayloads(redis.client)
    seen = Recorder()
    async with asyncio.timeout(10):
        start_worker([function(seen)], on=broken, concurrency=MANY)
        await eventually(lambda: len(seen.keys) == MANY)
    assert broken.refused == 1
    assert seen.keys == keys
    assert {(context.attempt, context.lost_leases) for context in seen.contexts} == {(1, 0)}
    assert (await stats.snapshot(QUICK)).lost_leases == 0
    assert letters.stored == []
