"""Enqueues jobs. Other Python code uses `filas.Producer`, which is built on this module."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from filas.batching import MicroBatcher, in_chunks
from filas.contract.new_job import NewJob
from filas.contract.policies import QueuePolicy
from filas.errors import StoreUnavailable
from filas.models.dead_letters import NewDeadLetter
from filas.observability import metrics
from filas.observability.logs import get_logger
from filas.queue.enqueue_spans import EnqueueSpans
from filas.queue.job_format import JobEncodeError, encode_job
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.redis_clock import RedisClock
from filas.queue.redis_client.scripts import load, pad_json
from filas.store_watch import CallSkipped
from filas.tracing import spans

PAYLOAD_KEPT_MS: Final = 30 * 24 * 3600 * 1000
"""How long a payload is kept after its job's due time. This is far longer than any retry or pause."""

MAX_BATCH: Final = 500
MAX_ID_BYTES: Final = 1024
PRIORITY_STEP_MS: Final = 100_000_000_000
"""How far one priority level moves a job ahead: three years, which is more than any queue is behind."""

_log = get_logger(__name__)


class EnqueueOutcome(StrEnum):
    """The outcome of enqueuing a job.

    `duplicate`: a job with this id is waiting, delayed or active, or has a stored result, or is a dead letter that is
    not in Postgres yet. `refused`: the job cannot be encoded (see JobEncodeError); only `enqueue_many` returns this.
    An unknown outcome is raised as OutcomeUnknown.
    """

    ENQUEUED = "enqueued"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


class OutcomeUnknown(StoreUnavailable):
    """Redis became unavailable after the job was sent, so the job may be in the queue or not.

    Enqueuing it again under the same id is safe.
    """


@dataclass(frozen=True, slots=True)
class EnqueueResult:
    """The id of a job, and whether it was enqueued or is a duplicate."""

    job_id: str
    outcome: EnqueueOutcome


ScriptArguments = tuple[bytes, bytes, int | str, int, bytes]
"""The arguments of `enqueue.lua` for one job: id, payload, due time in ms or `+ms` or '', ms to move it ahead, group
or b''."""


class QueueProducer:
    """Enqueues jobs on the queues of one Redis. Concurrent callers of one event loop share one call to Redis.

    Every method raises StoreUnavailable if Redis is unavailable, and its subclass OutcomeUnknown if the job may have
    been enqueued nevertheless. Every method except `enqueue_many` raises JobEncodeError for a job that cannot be
    encoded. After an unknown outcome, a call is repeated under the same id for `retry_for_s` seconds.
    """

    def __init__(self, redis: Redis, *, retry_for_s: float = 2.0) -> None:
        self._redis = redis
        self._retry_for_s = retry_for_s
        self._script = load("enqueue")
        self._clock = RedisClock()
        self._batchers: dict[str, MicroBatcher[ScriptArguments, EnqueueOutcome]] = {}

    async def enqueue(self, job: NewJob) -> EnqueueResult:
        """Enqueues one job. Concurrent calls are sent to Redis together, in the order in which they were made."""
        if spans.is_on():
            with EnqueueSpans([job]) as sending:
                outcome = await self._enqueue(sending.jobs[0])
                sending.outcomes = [outcome]
            return EnqueueResult(job.job_id, outcome)
        return EnqueueResult(job.job_id, await self._enqueue(job))

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> list[EnqueueOutcome]:
        """Enqueues jobs of any queues in the given order. Returns one outcome per job, in the same order."""
        return await self._traced(jobs)

    async def revive(self, policy: QueuePolicy, letter: NewDeadLetter) -> EnqueueOutcome:
        """Enqueues the job of a dead letter that is still in Redis, under its id, and removes the dead letter."""
        try:
            message = msgspec.Raw(letter.payload)
            payload = encode_job(letter.function, message, self._clock.now_ms())
        except JobEncodeError:
            return EnqueueOutcome.REFUSED
        group = letter.group_key.encode() if letter.group_key else b""
        (outcome,) = await self._run_script(policy.name, [(letter.job_id.encode(), payload, "", 0, group)], mode="2")
        return outcome

    async def restore_many(self, jobs: Sequence[NewJob], token: str) -> list[EnqueueOutcome]:
        """Like `enqueue_many`, for the worker that restores the queue under `token`: each job with a group goes to the
        end of its group, also if it is enqueued already. See `restore.lua`."""
        return await self._traced(jobs, token)

    async def relay_many(self, jobs: Sequence[NewJob]) -> list[EnqueueOutcome]:
        """Like `enqueue_many`, for rows whose jobs may be missing. While a worker restores the queue, jobs with a group
        are left to it; they count as duplicates."""
        return await self._traced(jobs, "3")

    async def drain(self) -> None:
        """Waits until every job that was passed to this producer has an outcome."""
        await asyncio.gather(*(batcher.drain() for batcher in self._batchers.values()))

    def _enqueue(self, job: NewJob) -> Awaitable[EnqueueOutcome]:
        return self._batcher(job.policy.name).add(_script_arguments(job, self._clock.now_ms()))

    async def _traced(self, jobs: Sequence[NewJob], mode: str = "") -> list[EnqueueOutcome]:
        if spans.is_on():
            with EnqueueSpans(jobs) as sending:
                outcomes = await self._enqueue_many(sending.jobs, mode)
                sending.outcomes = outcomes
            return outcomes
        return await self._enqueue_many(jobs, mode)

    async def _enqueue_many(self, jobs: Sequence[NewJob], mode: str = "") -> list[EnqueueOutcome]:
        outcomes = [EnqueueOutcome.REFUSED] * len(jobs)
        by_queue: dict[str, list[tuple[int, ScriptArguments]]] = {}
        now = self._clock.now_ms()
        for index, job in enumerate(jobs):
            try:
                by_queue.setdefault(job.policy.name, []).append((index, _script_arguments(job, now)))
            except JobEncodeError as error:
                _log.warning("job.refused", queue=job.policy.name, job_key=ascii(job.key)[:200], reason=str(error))
        for queue, indexed in by_queue.items():
            for chunk in in_chunks(indexed, lambda pair: _payload_bytes(pair[1]), limit=MAX_BATCH):
                answers = await self._run_script(queue, [arguments for _, arguments in chunk], mode)
                for (index, _), outcome in zip(chunk, answers, strict=True):
                    outcomes[index] = outcome
        return outcomes

    def _batcher(self, queue: str) -> MicroBatcher[ScriptArguments, EnqueueOutcome]:
        batcher = self._batchers.get(queue)
        if batcher is None:

            async def flush(batch: Sequence[ScriptArguments]) -> list[EnqueueOutcome]:
                return await self._run_script(queue, batch)

            # One batch at a time: on two connections, a later batch could overtake an earlier one.
            batcher = self._batchers[queue] = MicroBatcher(flush, limit=MAX_BATCH, size_of=_payload_bytes)
        return batcher

    async def _run_script(self, queue: str, batch: Sequence[ScriptArguments], mode: str = "") -> list[EnqueueOutcome]:
        """Runs `enqueue.lua`, again if its outcome is unknown. `mode`: see the script; empty for the usual one."""
        names = self._redis.keys(queue)
        keys = names.of("wake", "dead", "heads", "grouped", "last", "waiting", "held", "restoring")
        # The client of a Cluster repeats commands automatically, so every call there may be a repetition.
        head: list[object] = [PAYLOAD_KEPT_MS, mode or ("1" if self._redis.cluster else "0"), names.group_prefix]
        body: list[object] = []
        for number, (job_id, payload, *rest) in enumerate(batch):
            body += (job_id, pad_json(payload, number), *rest)
        deadline = time.monotonic() + self._retry_for_s
        delay, sent = 0.02, False
        while True:
            try:
                *answers, now_ms = await self._redis.run(self._script, keys, head + body)
                break
            except StoreUnavailable as error:
                # A server that refuses the call has enqueued nothing. After a lost connection, that is unknown.
                sent = sent or self._redis.outcome_unknown(error)
                if isinstance(error, CallSkipped) or time.monotonic() + delay > deadline:
                    raise (OutcomeUnknown("redis", error.reason) if sent else error) from error
                await asyncio.sleep(delay)
                delay = min(delay * 2, 0.5)
                head[1] = "1" if sent and not mode else head[1]
        self._clock.set(int(now_ms))
        outcomes = [EnqueueOutcome.ENQUEUED if answer else EnqueueOutcome.DUPLICATE for answer in answers]
        enqueued = outcomes.count(EnqueueOutcome.ENQUEUED)
        metrics.JOBS_ENQUEUED.labels(queue, "enqueued").inc(enqueued)
        if enqueued < len(outcomes):
            metrics.JOBS_ENQUEUED.labels(queue, "duplicate").inc(len(outcomes) - enqueued)
        return outcomes


def _payload_bytes(arguments: ScriptArguments) -> int:
    return len(arguments[1])


def _script_arguments(job: NewJob, now_ms: int) -> ScriptArguments:
    """Raises JobEncodeError."""
    if not job.key:
        raise JobEncodeError("a job's key is empty")
    try:
        job_id = job.job_id.encode()
        group = job.group.encode() if job.group else b""
    except UnicodeEncodeError as error:
        raise JobEncodeError(f"a job's key or group cannot be encoded as UTF-8: {error}") from None
    if len(job_id) > MAX_ID_BYTES or len(group) > MAX_ID_BYTES:
        raise JobEncodeError(f"a job's id or group exceeds {MAX_ID_BYTES} bytes")
    if job.priority is not None and not 1 <= job.priority <= 3:
        raise JobEncodeError(f"a job's priority must be 1, 2 or 3, not {job.priority}")
    payload = encode_job(job.function or job.policy.function, job.message, now_ms)
    due: int | str = "" if job.defer_until_ms is None else job.defer_until_ms
    if job.delay_ms is not None:
        due = f"+{max(job.delay_ms, 0)}"
    return job_id, payload, due, (3 - (job.priority or 3)) * PRIORITY_STEP_MS, group
