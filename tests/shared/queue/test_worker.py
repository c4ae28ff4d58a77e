"""Running jobs: attempts, time limits, batches, limits and the drain."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from filas.batching import MicroBatcher
from filas.contract.jobs import NotificationJob
from filas.errors import PermanentError, RetryLater, StoreUnavailable
from filas.observability import metrics
from filas.queue.job_functions import JobContext
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import Script
from filas.queue.worker import claimer, slots
from tests.long_form import by_form
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, function, job, raising
from tests.waiting import PATIENCE_S, eventually

LATE_MS = by_form(4000.0, 1000.0)
"""The promise is one second. The short form runs beside other tests, which may delay a job; an endless wait is given up
after five seconds."""


async def empty(redis: Redis) -> bool:
    """Whether Redis holds no keys of jobs, other than counters and records."""
    left = {key async for key in redis.client.scan_iter("arq:*")}
    return not left and not await redis.client.zcard(QUICK.name)


@pytest.mark.parametrize("timeout_s", [0.0, 0.0004, 0.001, 0.0014, 0.002])
async def test_a_very_short_wait_is_not_endless(redis: Redis, timeout_s: float) -> None:
    """Redis 6 truncates 0.001 s to 0, which would mean to wait without end."""
    begun = time.monotonic()
    assert not await redis.pop_blocking("an-empty-list", timeout_s)
    assert time.monotonic() - begun < 4.0, "an endless wait is given up after five seconds"


async def test_jobs_that_are_due_each_millisecond_run_each_millisecond(
    producer: QueueProducer, start_worker: StartWorker
) -> None:
    """None of the short waits between them becomes a long wait."""
    late: list[float] = []
    first = int(time.time() * 1000) + 500

    def step(_context: JobContext, message: NotificationJob) -> None:
        late.append(time.time() * 1000 - int(message.channel_id))

    due = [first + number for number in range(500)]
    await producer.enqueue_many([job(text=str(when), defer_until_ms=when) for when in due])
    start_worker([function(Recorder(step))])
    await eventually(lambda: len(late) == len(due))
    assert min(late) > -2.0, "no job runs before it is due"
    assert max(late) < LATE_MS


async def test_a_failing_job_is_retried_with_the_policy_s_backoff(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, stats: QueueStats, letters: Letters
) -> None:
    """The third attempt succeeds. The waits are the base and twice the base. No keys of the job are left."""
    times: list[float] = []
    fail = raising(ValueError("no"), ValueError("no"), None)

    def step(context: JobContext, message: NotificationJob) -> Any:
        times.append(time.time())
        return fail(context, message)

    seen = Recorder(step)
    await producer.enqueue(job("a"))
    start_worker([function(seen)])
    await eventually(lambda: len(times) == 3)
    assert [context.attempt for context in seen.contexts] == [1, 2, 3]
    assert seen.contexts[2].is_last_attempt
    assert times[1] - times[0] >= QUICK.backoff_s - 0.005
    assert times[2] - times[1] >= 2 * QUICK.backoff_s - 0.005
    await eventually(lambda: empty(redis))
    counts = await stats.snapshot(QUICK)
    assert (counts.completed, counts.failed, counts.retries) == (1, 0, 2)
    assert letters.stored == []


async def test_the_dead_letter_has_the_original_error_and_all_attempts(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, stats: QueueStats, letters: Letters
) -> None:
    """It also has the message, the group and the times."""
    new = job("a", text="hello", group="team")
    await producer.enqueue(new)
    start_worker([function(Recorder(raising(ValueError("one"), KeyError("two"), OSError("three"))))])
    await eventually(lambda: letters.stored)
    (letter,) = letters.stored
    assert (letter.queue, letter.job_id, letter.function) == (QUICK.name, new.job_id, QUICK.function)
    assert (letter.error.kind, letter.error.message, letter.attempts) == ("exception", "three", 3)
    assert [entry["error"]["message"] for entry in letter.history] == ["one", "'two'", "three"]
    assert [entry["attempt"] for entry in letter.history] == [1, 2, 3]
    assert b'"channelId":"hello"' in letter.payload
    assert letter.group_key == "team"
    assert letter.enqueued_at is not None
    await eventually(lambda: empty(redis))
    counts = await eventually(lambda: _drained(stats))
    assert (counts.failed, counts.dead_letters, counts.retries) == (1, 1, 2)
    assert (await stats.jobs(QUICK, "failed")).items[0].error.message == "three"


async def _drained(stats: QueueStats) -> Any:
    counts = await stats.snapshot(QUICK)
    return counts if counts.dead_letters_waiting == 0 else None


async def test_a_permanent_error_ends_the_job_at_its_first_attempt(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """The job becomes a dead letter without a retry."""
    await producer.enqueue(job("a"))
    seen = Recorder(raising(PermanentError("never")))
    start_worker([function(seen)])
    await eventually(lambda: letters.stored)
    assert (len(seen.keys), letters.stored[0].error.kind, letters.stored[0].attempts) == (1, "permanent", 1)


async def test_retry_later_waits_as_long_as_it_states_and_need_not_use_an_attempt(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """Five retries without an attempt and one with an attempt make the next attempt the second."""
    without_attempt = RetryLater("busy", delay_s=0.02, uses_attempt=False)
    with_attempt = RetryLater("limit", delay_s=0.1)
    seen = Recorder(raising(*[without_attempt] * 5, with_attempt, None))
    await producer.enqueue(job("a"))
    start_worker([function(seen)])
    await eventually(lambda: len(seen.contexts) == 7)
    assert [context.attempt for context in seen.contexts] == [1, 1, 1, 1, 1, 1, 2]
    assert letters.stored == []


async def test_an_unavailable_store_uses_no_attempt_and_stops_the_claiming(
    producer: QueueProducer, start_worker: StartWorker, stats: QueueStats, letters: Letters
) -> None:
    """The job is requeued, and nothing is claimed until the store is available again. Then all jobs run."""
    problem: list[str | None] = ["connection refused"]

    def step(context: JobContext, message: NotificationJob) -> None:
        if problem[0]:
            raise StoreUnavailable("postgres", problem[0])

    seen = Recorder(step)
    worker = start_worker([function(seen)], concurrency=2, store_problem=lambda: problem[0] if seen.keys else None)
    await producer.enqueue_many([job(str(number)) for number in range(20)])
    await eventually(lambda: worker.problem)

    async def all_wait() -> bool:
        return (await stats.snapshot(QUICK)).waiting == 20

    await eventually(all_wait)  # what was claimed is requeued
    tried = len(seen.keys)
    assert tried <= 2
    problem[0] = None
    await eventually(lambda: len(seen.keys) == 20 + tried)
    await eventually(lambda: worker.problem is None)
    assert {context.attempt for context in seen.contexts} == {1}
    assert letters.stored == []


async def test_a_job_that_exceeds_its_time_limit_is_interrupted_and_retried(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """A time-out is handled like any other error."""

    async def handler(context: JobContext, message: NotificationJob) -> None:
        if context.attempt == 1:
            await asyncio.sleep(30)
        if context.attempt == 2:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                raise PermanentError("tidied up") from None

    await producer.enqueue(job("a"))
    start_worker([function(handler, timeout_s=0.1)])
    await eventually(lambda: letters.stored)
    (letter,) = letters.stored
    assert [entry["error"]["kind"] for entry in letter.history] == ["timeout", "permanent"]
    assert "0.1 s" in letter.history[0]["error"]["message"]


async def test_free_slots_are_filled_although_no_job_ends(producer: QueueProducer, start_worker: StartWorker) -> None:
    """Short jobs are claimed ahead. When long jobs follow, claiming continues until all slots are used."""
    many = 700
    release, running = asyncio.Event(), 0

    async def handler(context: JobContext, message: NotificationJob) -> None:
        nonlocal running
        if message.channel_id == "long":
            running += 1
            await release.wait()

    await producer.enqueue_many([job() for _ in range(many)])
    worker = start_worker([function(handler)], concurrency=many, policy=replace(QUICK, timeout_s=60.0))
    await producer.enqueue_many([job(text="long") for _ in range(many)])
    try:
        await eventually(lambda: running == many, message=f"only some of {many} slots were used")
        assert worker.running == many
    finally:
        release.set()


async def test_no_more_handlers_run_than_the_concurrency(producer: QueueProducer, start_worker: StartWorker) -> None:
    """The largest number of handlers that run at the same time is the concurrency."""
    now, most = 0, 0

    async def handler(context: JobContext, message: NotificationJob) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1

    seen = Recorder(handler)
    await producer.enqueue_many([job() for _ in range(100)])
    start_worker([function(seen)], concurrency=7)
    await eventually(lambda: len(seen.keys) == 100 and now == 0)
    assert most == 7


async def test_a_batch_function_gets_many_jobs_and_returns_an_outcome_for_each(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters, stats: QueueStats
) -> None:
    """One job becomes a dead letter, one is retried, and the others complete."""
    calls: list[list[str]] = []

    async def handler(batch: list[tuple[JobContext, NotificationJob]]) -> list[Any]:
        calls.append([message.channel_id for _, message in batch])
        return [_answer(context, message) for context, message in batch]

    def _answer(context: JobContext, message: NotificationJob) -> Any:
        if message.channel_id == "bad":
            return PermanentError("poisoned")
        return ValueError("once") if message.channel_id == "twice" and context.attempt == 1 else "fine"

    texts = ["a", "bad", "twice", *["b"] * 47]
    await producer.enqueue_many([job(text=text) for text in texts])
    start_worker([function(handler, batch=True, batch_limit=20)], concurrency=1)
    await eventually(lambda: sum(map(len, calls)) == 51 and letters.stored)
    assert max(map(len, calls)) == 20
    assert len(calls) <= 5
    assert letters.stored[0].error.message == "poisoned"

    async def done() -> bool:
        return (await stats.snapshot(QUICK)).completed == 49

    await eventually(done)


class HeldBatches:
    """A batch handler that records its calls. A call with the job `hold` lasts until `release` is set."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.release = asyncio.Event()

    async def __call__(self, batch: list[tuple[JobContext, NotificationJob]]) -> list[None]:
        names = [message.channel_id for _, message in batch]
        self.calls.append(names)
        if "hold" in names:
            await self.release.wait()
        return [None] * len(batch)


async def test_jobs_that_become_due_during_a_batch_make_the_next_one(
    producer: QueueProducer, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although a second slot is free, the jobs are not claimed one by one."""
    monkeypatch.setattr(slots, "_SLOW_BATCH_S", 3600.0)
    handler = HeldBatches()
    await producer.enqueue(job(text="hold"))
    start_worker([function(handler, batch=True, batch_limit=20)], concurrency=2)
    await eventually(lambda: handler.calls)
    for number in range(5):
        await producer.enqueue(job(text=f"{number}"))
    handler.release.set()
    await eventually(lambda: sum(map(len, handler.calls)) == 6)
    assert handler.calls == [["hold"], ["0", "1", "2", "3", "4"]]


@pytest.mark.parametrize("reason", ["slow", "full"])
async def test_a_batch_begins_beside_one_that_is_slow_or_full(
    producer: QueueProducer, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """A batch that waits for a lock does not stop the queue. More jobs than one batch takes are not left waiting."""
    monkeypatch.setattr(slots, "_SLOW_BATCH_S", 0.01 if reason == "slow" else 3600.0)
    handler = HeldBatches()
    await producer.enqueue(job(text="hold"))
    start_worker([function(handler, batch=True, batch_limit=20 if reason == "slow" else 1)], concurrency=2)
    await eventually(lambda: handler.calls)
    for number in range(3):
        await producer.enqueue(job(text=f"{number}"))
    try:
        await eventually(lambda: sum(map(len, handler.calls)) == 4)
    finally:
        handler.release.set()


async def test_jobs_that_were_claimed_together_begin_together(
    producer: QueueProducer, start_worker: StartWorker
) -> None:
    """Their first calls to a store make one batch."""
    batches: list[int] = []

    async def flush(items: Sequence[str]) -> Sequence[str]:
        batches.append(len(items))
        return items

    batcher = MicroBatcher[str, str](flush)

    async def handler(context: JobContext, message: NotificationJob) -> str:
        return await batcher.add(context.job_id)

    await producer.enqueue_many([job() for _ in range(10)])
    start_worker([function(handler)], concurrency=10)
    await eventually(lambda: sum(batches) == 10)
    assert batches == [10]


@pytest.mark.parametrize("answer", [[], None, "one too many"])
async def test_a_batch_function_with_a_wrong_answer_fails_its_jobs_but_not_the_worker(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters, answer: Any
) -> None:
    """Its jobs fail as with any other error."""

    async def handler(batch: list[tuple[JobContext, NotificationJob]]) -> Any:
        return answer

    await producer.enqueue_many([job(), job()])
    start_worker([function(handler, batch=True, max_attempts=1)])
    await eventually(lambda: len(letters.stored) == 2)


async def test_a_stopping_worker_lets_handlers_finish_and_requeues_the_other_jobs(
    producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """Running jobs complete. Claimed jobs that have not started keep their place and use no attempt."""
    go = asyncio.Event()
    seen = Recorder(lambda *_: go.wait())
    worker = start_worker([function(seen)], concurrency=2)
    await producer.enqueue_many([job(str(number)) for number in range(10)])
    await eventually(lambda: len(seen.keys) == 2)
    worker.stop()
    assert worker.problem == "stopping"
    asyncio.get_running_loop().call_later(0.2, go.set)

    async def done() -> bool:
        counts = await stats.snapshot(QUICK)
        return (counts.completed, counts.waiting, counts.active) == (2, 8, 0)

    await eventually(done)
    again = Recorder()
    start_worker([function(again)], concurrency=1)
    await eventually(lambda: len(again.keys) == 8)
    assert again.keys == [str(number) for number in range(2, 10)]
    assert {context.attempt for context in again.contexts} == {1}


async def test_a_handler_that_outlasts_the_drain_is_requeued_without_using_an_attempt(
    producer: QueueProducer, start_worker: StartWorker
) -> None:
    """It is interrupted, and another worker starts it at once as its first attempt."""
    first = Recorder(lambda *_: asyncio.sleep(60))
    worker = start_worker([function(first)], drain_s=0.1)
    await producer.enqueue(job("a"))
    await eventually(lambda: first.keys)
    worker.stop()
    second = Recorder()
    start_worker([function(second)])
    await eventually(lambda: second.keys)
    assert (second.contexts[0].attempt, second.contexts[0].lost_leases) == (1, 0)


async def test_an_idle_worker_is_woken_by_the_enqueue(
    producer: QueueProducer, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten jobs in a row start without the fallback poll, which would take ten minutes."""
    monkeypatch.setattr(claimer, "FALLBACK_POLL_S", 60.0)
    seen = Recorder()
    start_worker([function(seen)])
    await producer.enqueue(job())
    await eventually(lambda: seen.keys)
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(10):
            seen.began.clear()
            await producer.enqueue(job())
            await seen.began.wait()


class SlowClaims(Redis):
    """A Redis whose reply to a successful claim is delayed."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.claimed = asyncio.Event()
        self.release = asyncio.Event()

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Delays the reply to a claim until `release` is set."""
        answer = await super().run(script, keys, args)
        if script.name == "claim" and len(answer) > 6:
            self.claimed.set()
            await self.release.wait()
        return answer


async def test_a_claim_in_progress_when_the_worker_stops_is_requeued(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """A deploy at that moment costs no lease: the job is requeued when the reply arrives."""
    slow = SlowClaims(redis.client)
    seen = Recorder()
    worker = start_worker([function(seen)], on=slow)
    await producer.enqueue(job("a"))
    await asyncio.wait_for(slow.claimed.wait(), PATIENCE_S)
    worker.stop()
    asyncio.get_running_loop().call_later(0.3, slow.release.set)

    async def waits_again() -> bool:
        counts = await stats.snapshot(QUICK)
        return (counts.waiting, counts.active) == (1, 0)

    await eventually(waits_again)
    assert seen.keys == []


async def test_run_and_wait_times_are_measured_by_queue_and_function(
    producer: QueueProducer, start_worker: StartWorker
) -> None:
    """There is a histogram for each time, and a counter of outcomes."""

    def value(outcome: str) -> float:
        labels = {"queue": QUICK.name, "function": QUICK.function, "outcome": outcome}
        return metrics.REGISTRY.get_sample_value("filas_jobs_total", labels) or 0.0

    def observed(name: str) -> float:
        labels = {"queue": QUICK.name, "function": QUICK.function}
        return metrics.REGISTRY.get_sample_value(f"{name}_count", labels) or 0.0

    completed, retried = value("completed"), value("retried")
    waits, runs = observed("filas_job_wait_seconds"), observed("filas_job_run_seconds")
    await producer.enqueue(job())
    start_worker([function(Recorder(raising(ValueError("no"), None)))])
    await eventually(lambda: value("completed") == completed + 1)
    assert value("retried") == retried + 1
    assert observed("filas_job_wait_seconds") == waits + 2
    assert observed("filas_job_run_seconds") == runs + 2
