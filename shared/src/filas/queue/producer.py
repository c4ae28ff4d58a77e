"""Putting jobs on the queues."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from filas.batching import MicroBatcher
from filas.contract.new_job import NewJob
from filas.contract.policies import QueuePolicy
from filas.errors import StoreUnavailable
from filas.models.dead_letters import NewDeadLetter
from filas.observability import metrics
from filas.observability.logs import get_logger
from filas.queue.job_format import JobEncodeError, encode_job
from filas.queue.job_spans import Sends
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load, spread
from filas.tracing import spans

PAYLOAD_KEPT_MS: Final = 30 * 24 * 3600 * 1000
"""How long a payload is kept beyond its job's due time: far longer than any retry or pause."""

MAX_BATCH: Final = 500
MAX_ID_BYTES: Final = 1024
PRIORITY_STEP_MS: Final = 100_000_000_000
"""A level of priority is three years of seniority: more than any queue is behind."""

_log = get_logger(__name__)


class EnqueueOutcome(StrEnum):
    """What became of a job that was put.

    `duplicate`: a job of that id waits, runs, has a kept result or is a dead letter on its way to Postgres.
    `refused`: it can't stand in a queue (no JSON, or no id); only `enqueue_many` answers so.
    An unknown outcome is no answer but an error: `OutcomeUnknown`.
    """

    ENQUEUED = "enqueued"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


class OutcomeUnknown(StoreUnavailable):
    """Redis was lost after a job was sent, and stayed away: it may stand in the queue, or not.

    Putting it again under the same id is always right.
    """


@dataclass(frozen=True, slots=True)
class EnqueueResult:
    """The id of a job that was put, and whether it was new."""

    job_id: str
    outcome: EnqueueOutcome


Arguments = tuple[bytes, bytes, int | str, int, bytes]
"""What the script takes for a job: id, payload, due time or '', ms of seniority, group or b''."""


class Producer:
    """Puts jobs on the queues of one Redis. Callers of one event loop share one call to Redis.

    Every method raises StoreUnavailable when Redis can't be reached or takes no writes, its subclass
    OutcomeUnknown when the job may have been put all the same, and (but for `enqueue_many`)
    JobEncodeError for a job that can't stand in a queue. `retry_for_s`: how long a call is repeated, under
    the same id, after its outcome became unknown.
    """

    def __init__(self, redis: Redis, *, retry_for_s: float = 2.0) -> None:
        self._redis = redis
        self._retry_for_s = retry_for_s
        self._script = load("enqueue")
        self._batchers: dict[str, MicroBatcher[Arguments, EnqueueOutcome]] = {}

    async def enqueue(self, job: NewJob) -> EnqueueResult:
        """Put one job. Concurrent calls go to Redis together, in the order in which they were made."""
        if spans.is_on():
            with Sends([job]) as sends:
                sends.outcomes = [await self._enqueue(sends.jobs[0])]
            return EnqueueResult(job.job_id, sends.outcomes[0])
        return EnqueueResult(job.job_id, await self._enqueue(job))

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> list[EnqueueOutcome]:
        """Put `jobs` in their order, whatever their queues; one outcome each, in the same order."""
        if spans.is_on():
            with Sends(jobs) as sends:
                sends.outcomes = await self._enqueue_many(sends.jobs)
            return sends.outcomes
        return await self._enqueue_many(jobs)

    def _enqueue(self, job: NewJob) -> Awaitable[EnqueueOutcome]:
        return self._batcher(job.policy.name).add(_arguments(job, int(time.time() * 1000)))

    async def _enqueue_many(self, jobs: Sequence[NewJob]) -> list[EnqueueOutcome]:
        outcomes = [EnqueueOutcome.REFUSED] * len(jobs)
        by_queue: dict[str, list[tuple[int, Arguments]]] = {}
        now = int(time.time() * 1000)
        for place, job in enumerate(jobs):
            try:
                by_queue.setdefault(job.policy.name, []).append((place, _arguments(job, now)))
            except JobEncodeError as error:
                _log.warning("job.refused", queue=job.policy.name, job_key=ascii(job.key)[:200], reason=str(error))
        for queue, placed in by_queue.items():
            for start in range(0, len(placed), MAX_BATCH):
                chunk = placed[start : start + MAX_BATCH]
                answers = await self._put(queue, [arguments for _, arguments in chunk])
                for (place, _), outcome in zip(chunk, answers, strict=True):
                    outcomes[place] = outcome
        return outcomes

    async def revive(self, policy: QueuePolicy, letter: NewDeadLetter) -> EnqueueOutcome:
        """Put the job of a dead letter that is still in Redis back under its id; the letter is gone then."""
        try:
            message = msgspec.Raw(letter.payload)
            payload = encode_job(letter.function, message, int(time.time() * 1000))
        except JobEncodeError:
            return EnqueueOutcome.REFUSED
        group = letter.group_key.encode() if letter.group_key else b""
        (outcome,) = await self._put(policy.name, [(letter.job_id.encode(), payload, "", 0, group)], mode="2")
        return outcome

    async def drain(self) -> None:
        """Wait until everything that was given to this producer has its outcome."""
        await asyncio.gather(*(batcher.drain() for batcher in self._batchers.values()))

    def _batcher(self, queue: str) -> MicroBatcher[Arguments, EnqueueOutcome]:
        batcher = self._batchers.get(queue)
        if batcher is None:

            async def flush(batch: Sequence[Arguments]) -> list[EnqueueOutcome]:
                return await self._put(queue, batch)

            # One batch at a time: two connections could overtake each other, and order would be lost.
            batcher = self._batchers[queue] = MicroBatcher(flush, limit=MAX_BATCH)
        return batcher

    async def _put(self, queue: str, batch: Sequence[Arguments], mode: str = "") -> list[EnqueueOutcome]:
        names = self._redis.keys(queue)
        keys = names.of("wake", "dead", "heads", "grouped", "last", "waiting")
        # A Cluster's client repeats a command by itself, so any call there may be a repetition.
        head: list[object] = [PAYLOAD_KEPT_MS, mode or ("1" if self._redis.cluster else "0"), names.group_prefix]
        body: list[object] = []
        for number, (job_id, payload, *rest) in enumerate(batch):
            body += (job_id, spread(payload, number), *rest)
        deadline = time.monotonic() + self._retry_for_s
        delay, sent = 0.02, False
        while True:
            try:
                answers = await self._redis.run(self._script, keys, head + body)
                break
            except StoreUnavailable as error:
                # A server that refused is sure not to have put anything; a lost connection says nothing.
                sent = sent or self._redis.outcome_unknown(error)
                if time.monotonic() + delay > deadline:
                    raise (OutcomeUnknown("redis", error.reason) if sent else error) from error
                await asyncio.sleep(delay)
                delay = min(delay * 2, 0.5)
                head[1] = "1" if sent and not mode else head[1]
        outcomes = [EnqueueOutcome.ENQUEUED if answer else EnqueueOutcome.DUPLICATE for answer in answers]
        enqueued = outcomes.count(EnqueueOutcome.ENQUEUED)
        metrics.JOBS_ENQUEUED.labels(queue, "enqueued").inc(enqueued)
        if enqueued < len(outcomes):
            metrics.JOBS_ENQUEUED.labels(queue, "duplicate").inc(len(outcomes) - enqueued)
        return outcomes


def _arguments(job: NewJob, now_ms: int) -> Arguments:
    if not job.key:
        raise JobEncodeError("a job's key is empty")
    try:
        job_id = job.job_id.encode()
        group = job.group.encode() if job.group else b""
    except UnicodeEncodeError as error:
        raise JobEncodeError(f"a job's key or group can't be written as UTF-8: {error}") from None
    if len(job_id) > MAX_ID_BYTES or len(group) > MAX_ID_BYTES:
        raise JobEncodeError(f"a job's id and group have at most {MAX_ID_BYTES} bytes")
    if job.priority is not None and not 1 <= job.priority <= 3:
        raise JobEncodeError(f"a priority is 1, 2 or 3, not {job.priority}")
    payload = encode_job(job.function or job.policy.function, job.message, now_ms)
    due = "" if job.defer_until_ms is None else job.defer_until_ms
    return job_id, payload, due, (3 - (job.priority or 3)) * PRIORITY_STEP_MS, group
