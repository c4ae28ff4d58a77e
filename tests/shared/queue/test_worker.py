"""Running jobs: the policy of tries, time-outs, batches, bounds and the drain."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from filas.contract.jobs import NotificationJob
from filas.errors import PermanentError, RetryLater, StoreUnavailable
from filas.observability import metrics
from filas.queue.job_functions import JobContext
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import Script
from filas.queue.worker import claimer
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, function, job, raising
from tests.waiting import eventually


async def empty(redis: Redis) -> bool:
    """Whether nothing of any job is left but counters and records."""
    left = {key async for key in redis.client.scan_iter("arq:*")}
    return not left and not await redis.client.zcard(QUICK.name)


@pytest.mark.parametrize("timeout_s", [0.0, 0.0004, 0.001, 0.0014, 0.002])
async def test_a_wait_for_less_than_a_moment_is_none_for_ever(redis: Redis, timeout_s: float) -> None:
    """Redis 6 cuts 0.001 s to nothing, and waits for ever then."""
    begun = time.monotonic()
    assert not await redis.pop_blocking("nobody-puts-here", timeout_s)
    assert time.monotonic() - begun < 1.0


async def test_jobs_that_are_due_one_a_millisecond_are_run_one_a_millisecond(
    producer: QueueProducer, start_worker: StartWorker
) -> None:
    """None of the short waits between them becomes a long one."""
    late: list[float] = []
    first = int(time.time() * 1000) + 500

    def step(_context: JobContext, message: NotificationJob) -> None:
        late.append(time.time() * 1000 - int(message.channel_id))

    due = [first + number for number in range(500)]
    await producer.enqueue_many([job(text=str(when), defer_until_ms=when) for when in due])
    start_worker([function(Recorder(step))])
    await eventually(lambda: len(late) == len(due))
    assert min(late) > -2.0, "none before it is due"
    assert max(late) < 1000.0


async def test_a_failing_job_is_tried_again_after_the_policy_s_waits(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, stats: QueueStats, letters: Letters
) -> None:
    """Twice it fails, the third try succeeds; the waits are the base and twice the base; nothing is left."""
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


async def test_after_the_last_try_the_original_error_and_every_try_are_in_the_dead_letter(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, stats: QueueStats, letters: Letters
) -> None:
    """The letter has the message, the group, the times and the errors in their order."""
    new = job("a", text="hello", group="them")
    await producer.enqueue(new)
    start_worker([function(Recorder(raising(ValueError("one"), KeyError("two"), OSError("three"))))])
    await eventually(lambda: letters.stored)
    (letter,) = letters.stored
    assert (letter.queue, letter.job_id, letter.function) == (QUICK.name, new.job_id, QUICK.function)
    assert (letter.error.kind, letter.error.message, letter.attempts) == ("exception", "three", 3)
    assert [entry["error"]["message"] for entry in letter.history] == ["one", "'two'", "three"]
    assert [entry["attempt"] for entry in letter.history] == [1, 2, 3]
    assert b'"channelId":"hello"' in letter.payload
    assert letter.group_key == "them"
    assert letter.enqueued_at is not None
    await eventually(lambda: empty(redis))
    counts = await eventually(lambda: _drained(stats))
    assert (counts.failed, counts.dead_letters, counts.retries) == (1, 1, 2)
    assert (await stats.jobs(QUICK, "failed")).items[0].error.message == "three"


async def _drained(stats: QueueStats) -> Any:
    counts = await stats.snapshot(QUICK)
    return counts if counts.dead_letters_waiting == 0 else None


async def test_a_permanent_error_ends_the_job_at_its_first_try(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """There is nothing to wait for."""
    await producer.enqueue(job("a"))
    seen = Recorder(raising(PermanentError("never")))
    start_worker([function(seen)])
    await eventually(lambda: letters.stored)
    assert (len(seen.keys), letters.stored[0].error.kind, letters.stored[0].attempts) == (1, "permanent", 1)


async def test_retry_later_waits_as_long_as_it_asks_and_may_spend_no_try(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """Unspent tries don't count, however many; a spent one does."""
    unspent = RetryLater("busy", delay_s=0.02, uses_attempt=False)
    spent = RetryLater("limit", delay_s=0.1)
    seen = Recorder(raising(*[unspent] * 5, spent, None))
    await producer.enqueue(job("a"))
    start_worker([function(seen)])
    await eventually(lambda: len(seen.contexts) == 7)
    assert [context.attempt for context in seen.contexts] == [1, 1, 1, 1, 1, 1, 2]
    assert letters.stored == []


async def test_a_store_that_is_away_uses_up_no_try_and_stops_the_claiming(
    producer: QueueProducer, start_worker: StartWorker, stats: QueueStats, letters: Letters
) -> None:
    """The job goes back, nothing else is claimed until the store answers, and then all of it is done."""
    away: list[str | None] = ["connection refused"]

    def step(context: JobContext, message: NotificationJob) -> None:
        if away[0]:
            raise StoreUnavailable("postgres", away[0])

    seen = Recorder(step)
    worker = start_worker([function(seen)], concurrency=2, store_problem=lambda: away[0] if seen.keys else None)
    await producer.enqueue_many([job(str(number)) for number in range(20)])
    await eventually(lambda: worker.problem)
    tried = len(seen.keys)
    assert tried <= 2
    assert (await stats.snapshot(QUICK)).waiting == 20
    away[0] = None
    await eventually(lambda: len(seen.keys) == 20 + tried)
    await eventually(lambda: worker.problem is None)
    assert {context.attempt for context in seen.contexts} == {1}
    assert letters.stored == []


async def test_a_job_that_takes_too_long_is_interrupted_and_tried_again(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters
) -> None:
    """Its time-out is an error like another."""

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


async def test_free_slots_are_filled_though_no_job_ends(producer: QueueProducer, start_worker: StartWorker) -> None:
    """After short jobs much is claimed ahead. When long ones follow, the claiming goes on while all of them run."""
    many = 700
    gate, running = asyncio.Event(), 0

    async def handler(context: JobContext, message: NotificationJob) -> None:
        nonlocal running
        if message.channel_id == "long":
            running += 1
            await gate.wait()

    await producer.enqueue_many([job() for _ in range(many)])
    worker = start_worker([function(handler)], concurrency=many, policy=replace(QUICK, timeout_s=60.0))
    await producer.enqueue_many([job(text="long") for _ in range(many)])
    try:
        await eventually(lambda: running == many, 30, message=f"only some of {many} slots were used")
        assert worker.running == many
    finally:
        gate.set()


async def test_no_more_handlers_run_than_allowed(producer: QueueProducer, start_worker: StartWorker) -> None:
    """Neither of one worker nor, for what it has claimed, ahead of another that is free."""
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


async def test_a_batch_function_gets_many_jobs_and_answers_for_each(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters, stats: QueueStats
) -> None:
    """One of them fails for good, one is tried again, the others are done."""
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


@pytest.mark.parametrize("answer", [[], None, "one too many"])
async def test_a_batch_function_that_answers_nonsense_fails_its_jobs_and_not_the_worker(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters, answer: Any
) -> None:
    """The jobs go the way of any error."""

    async def handler(batch: list[tuple[JobContext, NotificationJob]]) -> Any:
        return answer

    await producer.enqueue_many([job(), job()])
    start_worker([function(handler, batch=True, max_attempts=1)])
    await eventually(lambda: len(letters.stored) == 2)


async def test_a_stopping_worker_lets_handlers_finish_and_gives_the_rest_back(
    producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """What runs is done; what is claimed and not begun waits again, its try unspent and its place kept."""
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


async def test_a_handler_that_outlasts_the_drain_goes_back_unspent(
    producer: QueueProducer, start_worker: StartWorker
) -> None:
    """It is interrupted, and another worker begins it at once as its first try."""
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
    """Ten jobs, one after the other, are begun without the fallback poll, which would take forty seconds."""
    monkeypatch.setattr(claimer, "FALLBACK_POLL_S", 4.0)
    seen = Recorder()
    start_worker([function(seen)])
    await producer.enqueue(job())
    await eventually(lambda: seen.keys)
    async with asyncio.timeout(10):
        for _ in range(10):
            seen.began.clear()
            await producer.enqueue(job())
            await seen.began.wait()


class SlowClaims(Redis):
    """A Redis whose answer to a claim that took something comes late."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.claimed = asyncio.Event()
        self.go_on = asyncio.Event()

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """As ever, but for claims."""
        answer = await super().run(script, keys, args)
        if script.name == "claim" and len(answer) > 6:
            self.claimed.set()
            await self.go_on.wait()
        return answer


async def test_a_claim_under_way_when_the_worker_stops_is_given_back(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, stats: QueueStats
) -> None:
    """A deploy at that moment costs no job its lease: it waits again as soon as the answer is there."""
    slow = SlowClaims(redis.client)
    seen = Recorder()
    worker = start_worker([function(seen)], on=slow)
    await producer.enqueue(job("a"))
    await asyncio.wait_for(slow.claimed.wait(), 10)
    worker.stop()
    asyncio.get_running_loop().call_later(0.3, slow.go_on.set)

    async def waits_again() -> bool:
        counts = await stats.snapshot(QUICK)
        return (counts.waiting, counts.active) == (1, 0)

    await eventually(waits_again, timeout=5)
    assert seen.keys == []


async def test_runs_and_waits_are_measured_by_queue_and_function(
    producer: QueueProducer, start_worker: StartWorker
) -> None:
    """Histograms of wait and run, and a counter of outcomes."""

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
