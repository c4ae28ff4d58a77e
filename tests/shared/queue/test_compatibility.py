"""arq 0.28 itself: its client on our queues, its worker beside ours, and its functions in our worker."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from arq import Retry, create_pool, cron, func
from arq.connections import ArqRedis, RedisSettings
from arq.jobs import Job, JobStatus
from arq.worker import Worker as StockWorker

from filas.contract.jobs import NotificationJob
from filas.queue.job_format import Call, JobFailed, deserialize, serialize
from filas.queue.job_functions import JobContext, JobFunction
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.queue.worker.arq_functions import arq_function
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, function, job
from tests.waiting import PATIENCE_S, eventually

ID = "{notifications}:stock"


@pytest.fixture
async def arq(redis_url: str) -> AsyncIterator[ArqRedis]:
    """Returns a stock client with our serializer."""
    pool = await create_pool(
        RedisSettings.from_dsn(redis_url),
        job_serializer=serialize,
        job_deserializer=deserialize,
        default_queue_name=QUICK.name,
    )
    yield pool
    await pool.aclose()


async def enqueue(arq: ArqRedis, name: str, *args: Any, **options: Any) -> Job:
    options.setdefault("_job_id", ID)
    found = await arq.enqueue_job(name, *args, **options)
    assert found is not None
    return found


async def add(context: JobContext, call: Call) -> int:
    """Returns the sum of the arguments. Raises ValueError for a negative argument."""
    if min(call.args) < 0:
        raise ValueError(f"{min(call.args)} is negative")
    total: int = sum(call.args) + sum(call.kwargs.values())
    return total


async def test_a_stock_job_runs_and_the_stock_client_reports_it_correctly(
    arq: ArqRedis, start_worker: StartWorker
) -> None:
    """status() and info() are right before, during and after the run. result() returns the function's result."""
    go = asyncio.Event()

    async def slow_add(context: JobContext, call: Call) -> int:
        await go.wait()
        return await add(context, call)

    one = await enqueue(arq, "add", 1, 2, more=3)
    assert await one.status() is JobStatus.queued
    start_worker([JobFunction("add", slow_add, keep_result_s=60)])

    async def in_progress() -> bool:
        return await one.status() is JobStatus.in_progress

    await eventually(in_progress)
    info = await one.info()
    assert info is not None
    assert (info.function, list(info.args), info.kwargs) == ("add", [1, 2], {"more": 3})
    go.set()
    assert await one.result(timeout=PATIENCE_S, poll_delay=0.02) == 6
    assert await one.status() is JobStatus.complete
    result = await one.result_info()
    assert result is not None
    assert (result.success, result.result, result.job_try, result.queue_name, result.job_id) == (
        True, 6, 1, QUICK.name, ID,
    )  # fmt: skip
    assert result.start_time <= result.finish_time
    assert await arq.enqueue_job("add", 1, _job_id=ID) is None


@pytest.mark.parametrize(("max_attempts", "attempts"), [(1, 1), (3, 3)])
async def test_the_error_of_a_failed_job_reaches_the_stock_client(
    arq: ArqRedis, start_worker: StartWorker, max_attempts: int, attempts: int
) -> None:
    """result() raises the error of the function, and not a serialization error."""
    start_worker([JobFunction("add", add, keep_result_s=60, max_attempts=max_attempts)])
    one = await enqueue(arq, "add", -1)
    with pytest.raises(ValueError, match="-1 is negative"):
        await one.result(timeout=PATIENCE_S, poll_delay=0.02)
    info = await one.result_info()
    assert info is not None
    assert (info.success, info.job_try) == (False, attempts)


async def test_an_unknown_error_type_reaches_the_stock_client_by_name(arq: ArqRedis, start_worker: StartWorker) -> None:
    """The client gets JobFailed with the name of the type and the text."""

    class Unfamiliar(Exception):
        pass

    async def fail(context: JobContext, call: Call) -> None:
        raise Unfamiliar("text")

    start_worker([JobFunction("fail", fail, keep_result_s=60, max_attempts=1)])
    with pytest.raises(JobFailed, match="Unfamiliar: text"):
        await (await enqueue(arq, "fail")).result(timeout=PATIENCE_S, poll_delay=0.02)


async def test_a_stock_client_s_deferred_job_runs_when_due(arq: ArqRedis, start_worker: StartWorker) -> None:
    """Its status is deferred until then."""
    start_worker([JobFunction("add", add, keep_result_s=60)])
    one = await enqueue(arq, "add", 1, _defer_by=timedelta(seconds=2))
    assert await one.status() is JobStatus.deferred
    assert await one.result(timeout=PATIENCE_S, poll_delay=0.02) == 1


async def test_a_stock_abort_stops_a_running_job_and_a_deferred_job(
    arq: ArqRedis, start_worker: StartWorker, letters: Letters
) -> None:
    """abort() returns True for both. No other worker claims the running job, whose score abort() has changed."""
    began: list[str] = []

    async def hang(context: JobContext, call: Call) -> None:
        began.append(context.job_id)
        await asyncio.sleep(60)

    start_worker([JobFunction("hang", hang, timeout_s=60, keep_result_s=60)])
    start_worker([JobFunction("hang", hang, timeout_s=60, keep_result_s=60)])
    running = await enqueue(arq, "hang")
    await eventually(lambda: began)
    deferred = await enqueue(arq, "hang", _job_id="{notifications}:later", _defer_by=3600)
    assert await running.abort(timeout=PATIENCE_S, poll_delay=0.02)
    assert await deferred.abort(timeout=PATIENCE_S, poll_delay=0.02)
    assert began == [ID]
    await eventually(lambda: len(letters.stored) == 2)


async def test_a_stock_producer_can_enqueue_our_messages(
    arq: ArqRedis, producer: QueueProducer, start_worker: StartWorker
) -> None:
    """The message is the keyword `job` or the only argument. It is decoded as strictly as ours."""
    seen = Recorder()
    start_worker([function(seen)])
    message = {"notificationId": "0190e2a4-0000-7000-8000-000000000001", "channelId": "stock"}
    await enqueue(arq, QUICK.function, job=message)
    await enqueue(arq, QUICK.function, message, _job_id="{notifications}:positional")
    await producer.enqueue(job(text="ours"))
    await eventually(lambda: sorted(seen.texts) == ["ours", "stock", "stock"])


async def test_a_stock_job_without_braces_in_its_id_runs(arq: ArqRedis, start_worker: StartWorker) -> None:
    """By default, arq makes ids of 32 hexadecimal digits."""
    start_worker([JobFunction("add", add, keep_result_s=60)])
    one = await arq.enqueue_job("add", 2, 2)
    assert one is not None
    assert await one.result(timeout=PATIENCE_S, poll_delay=0.02) == 4


async def test_a_stock_worker_runs_our_jobs(
    redis_url: str, producer: QueueProducer, arq: ArqRedis, redis: Redis
) -> None:
    """With our serializer, it gets the message as `job`. The jobs run in the order of our scores."""
    seen: list[str] = []

    async def deliver(ctx: dict[Any, Any], job: dict[str, Any]) -> str:
        seen.append(job["channelId"])
        return "done"

    await producer.enqueue_many([job(str(number), text=str(number)) for number in range(20)])
    worker = StockWorker(
        [func(deliver, name=QUICK.function)], redis_pool=arq, queue_name=QUICK.name, burst=True, max_jobs=1,
        handle_signals=False, poll_delay=0.01, job_serializer=serialize, job_deserializer=deserialize,
    )  # fmt: skip
    await asyncio.wait_for(worker.async_run(), PATIENCE_S)
    assert seen == [str(number) for number in range(20)]
    assert await Job(QUICK.job_id("3"), arq, QUICK.name, deserialize).result(timeout=PATIENCE_S) == "done"


async def test_beside_a_stock_worker_no_job_is_lost_and_none_runs_twice(
    redis_url: str, producer: QueueProducer, arq: ArqRedis, redis: Redis, start_worker: StartWorker
) -> None:
    """Both workers run some of 10,000 jobs on one queue."""
    runs: Counter[str] = Counter()
    runs_by_worker: Counter[str] = Counter()

    async def stock(ctx: dict[Any, Any], job: dict[str, Any]) -> None:
        runs[ctx["job_id"]] += 1
        runs_by_worker["stock"] += 1

    async def ours(context: JobContext, message: NotificationJob) -> None:
        runs[context.job_id] += 1
        runs_by_worker["ours"] += 1
        await asyncio.sleep(0.0005)

    jobs = [job(str(number)) for number in range(10_000)]
    await producer.enqueue_many(jobs)
    worker = StockWorker(
        [func(stock, name=QUICK.function, keep_result=0)], redis_pool=arq, queue_name=QUICK.name, max_jobs=50,
        handle_signals=False, poll_delay=0.01, job_serializer=serialize, job_deserializer=deserialize,
    )  # fmt: skip
    task = asyncio.create_task(worker.async_run())
    await eventually(lambda: runs_by_worker["stock"] >= 50)
    start_worker([function(ours)], concurrency=4)
    await eventually(lambda: len(runs) == 10_000, timeout=200)  # a loaded machine is slow
    await eventually(lambda: nothing_left(redis))
    task.cancel()
    await asyncio.gather(task, *worker.tasks.values(), return_exceptions=True)
    assert set(runs) == {one.job_id for one in jobs}
    assert set(runs.values()) == {1}
    assert min(runs_by_worker["stock"], runs_by_worker["ours"]) > 0


async def nothing_left(redis: Redis) -> bool:
    left = [key async for key in redis.client.scan_iter("arq:job:*")]
    return not left and not await redis.client.zcard(QUICK.name)


async def test_functions_written_for_arq_run_in_our_worker(
    arq: ArqRedis, start_worker: StartWorker, redis: Redis
) -> None:
    """They get `ctx` and their arguments, and can raise `Retry`. The options of `func` are used."""
    attempts: list[int] = []

    async def stock(ctx: dict[str, Any], name: str) -> str:
        attempts.append(ctx["job_try"])
        if ctx["job_try"] < 2:
            raise Retry(defer=0.05)
        return f"hello {name}"

    start_worker([arq_function(func(stock, name="greet", max_tries=2))])
    assert await (await enqueue(arq, "greet", "you")).result(timeout=PATIENCE_S, poll_delay=0.02) == "hello you"
    assert attempts == [1, 2]


async def test_a_cron_job_runs_once_although_every_worker_has_it(
    start_worker: StartWorker, connect_more: Callable[[str], Redis], stats: QueueStats
) -> None:
    """arq's `cron()` runs a job every second on two workers."""
    runs: list[str] = []

    async def tick(ctx: dict[str, Any]) -> None:
        runs.append(ctx["job_id"])

    start_worker([], cron_jobs=[cron(tick, name="tick", second=set(range(60)), microsecond=0)])
    start_worker([], cron_jobs=[cron(tick, name="tick", second=set(range(60)), microsecond=0)], on=connect_more(""))
    await eventually(lambda: len(runs) >= 2)
    assert len(runs) == len(set(runs))
    assert all(one.startswith("{notifications}:cron:tick:") for one in runs)
    assert (await stats.snapshot(QUICK)).failed == 0
