"""Enqueuing jobs: the outcomes that callers get, and the order in which the jobs run."""

import asyncio
import time

import pytest

from filas.contract.new_job import NewJob
from filas.queue.job_format import JobEncodeError
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import EnqueueOutcome, QueueProducer
from filas.queue.redis_client.connection import Redis
from tests.redis_address import connect_url
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Recorder, function, job
from tests.shared.queue.proxy import Proxy
from tests.waiting import eventually

NEW, DUPLICATE, REFUSED = EnqueueOutcome.ENQUEUED, EnqueueOutcome.DUPLICATE, EnqueueOutcome.REFUSED


async def test_the_second_job_of_an_id_is_a_duplicate(producer: QueueProducer) -> None:
    """In the same call, in a concurrent call and later."""
    assert await producer.enqueue_many([job("a"), job("a"), job("b")]) == [NEW, DUPLICATE, NEW]
    results = await asyncio.gather(*(producer.enqueue(job("c")) for _ in range(3)))
    assert [result.outcome for result in results] == [NEW, DUPLICATE, DUPLICATE]
    assert results[0].job_id == "{notifications}:c"
    assert (await producer.enqueue(job("b"))).outcome is DUPLICATE


async def test_concurrent_callers_share_calls_and_keep_their_order(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker
) -> None:
    """A thousand concurrent calls need few calls to Redis, and their jobs run in the order of the calls."""
    before = (await redis.client.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})["calls"]
    await asyncio.gather(*(producer.enqueue(job(str(number))) for number in range(1000)))
    after = (await redis.client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert after - before <= 10
    seen = Recorder()
    start_worker([function(seen)], concurrency=1)
    await eventually(lambda: len(seen.keys) == 1000)
    assert seen.keys == [str(number) for number in range(1000)]


async def test_priority_orders_the_due_jobs_and_is_fifo_within_a_level(
    producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """Level 1 runs before 2, and 2 before 3. A job without a level has level 3. The reported age is right."""
    levels = [None, 3, 2, 1, 2, 1, None]
    await producer.enqueue_many([job(f"{number}", priority=level) for number, level in enumerate(levels)])
    counts = await stats.snapshot(QUICK)
    assert counts.waiting == 7
    assert 0 <= counts.oldest_waiting_ms < 60_000
    seen = Recorder()
    start_worker([function(seen)], concurrency=1)
    await eventually(lambda: len(seen.keys) == 7)
    assert seen.keys == ["3", "5", "2", "4", "0", "1", "6"]


async def test_a_deferred_job_runs_when_it_is_due(
    producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """Not earlier than that. A due time in the past means now."""
    due = time.time() + 3.0
    await producer.enqueue(job("later", defer_until_ms=int(due * 1000)))
    await producer.enqueue(job("past", defer_until_ms=1))
    began: list[float] = []
    seen = Recorder(lambda *_: began.append(time.time()))
    assert (await stats.snapshot(QUICK)).delayed == 1
    start_worker([function(seen)])
    await eventually(lambda: len(began) == 2)
    assert seen.keys == ["past", "later"]
    assert began[1] >= due - 0.005


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(job(text="\ud800"), id="a lone surrogate in its message"),
        pytest.param(job("\ud800"), id="a lone surrogate in its key"),
        pytest.param(NewJob(QUICK, "", job().message), id="no key"),
        pytest.param(job("x" * 2000), id="a key that is too long"),
        pytest.param(job(priority=4), id="an unknown priority"),
    ],
)
async def test_a_job_that_cannot_be_encoded_fails_alone(producer: QueueProducer, bad: NewJob) -> None:
    """Only its own caller gets the error. The other jobs of the batch are enqueued."""
    assert await producer.enqueue_many([job(), bad, job()]) == [NEW, REFUSED, NEW]
    answers = await asyncio.gather(
        producer.enqueue(job()), producer.enqueue(bad), producer.enqueue(job()), return_exceptions=True
    )
    assert isinstance(answers[1], JobEncodeError)
    assert not isinstance(answers[0], BaseException)
    assert not isinstance(answers[2], BaseException)


async def test_any_text_can_be_a_key(producer: QueueProducer, start_worker: StartWorker) -> None:
    """Keys with blanks, quotes, braces, NUL, line ends and other scripts are unchanged."""
    keys = ["a b", '"', "{}", "a\0b", "a\r\nb", "日本", "🦜", "%s", "*", "a:b", "'; --"]
    assert await producer.enqueue_many([job(key, group=key) for key in keys]) == [NEW] * len(keys)
    seen = Recorder()
    start_worker([function(seen)], concurrency=1)
    await eventually(lambda: len(seen.contexts) == len(keys))
    assert [context.job_id for context in seen.contexts] == [QUICK.job_id(key) for key in keys]
    assert [context.group for context in seen.contexts] == keys


async def test_a_lost_answer_is_not_reported_as_a_duplicate(redis_url: str, redis: Redis) -> None:
    """The connection is lost after Redis has enqueued the job. The repeated call reports that the job is new."""
    async with Proxy(redis_url) as proxy:
        through = connect_url(proxy.url)
        producer = QueueProducer(through)
        await producer.enqueue(job("first"))
        proxy.drop_next_answer()
        result = await producer.enqueue(job("second"))
        await through.close()
    assert result.outcome is NEW
    assert await redis.client.zcard(QUICK.name) == 2
