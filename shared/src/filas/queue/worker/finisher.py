"""Writes the ends of attempts to Redis in batches: those that end during one call are written by the next call."""

import asyncio
import time
from collections import Counter
from typing import Any, Final

from filas.batching import in_chunks
from filas.contract.policies import (
    NEWER_VERSION_FIRST_S,
    NEWER_VERSION_LONGEST_S,
    NEWER_VERSION_MAX_AGE_S,
    QueuePolicy,
)
from filas.errors import StoreUnavailable
from filas.observability import metrics
from filas.observability.logs import get_logger
from filas.queue.producer import PAYLOAD_KEPT_MS
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load, pad_json
from filas.queue.worker.claimed_job import ClaimedJob, JobAborted
from filas.queue.worker.job_records import dead_letter, history_entry, result_record, ring_record
from filas.queue.worker.newer_version_jobs import SEEN_ID_CHARS, ReasonLog
from filas.queue.worker.retry_decision import Decision, describe

MAX_BATCH: Final = 500
ABORT_RESULT_MS: Final = 60_000
"""How long the result of an aborted job is kept at least: a stock `Job.abort()` waits for it."""

_NEWER_VERSION_MS: Final = tuple(
    int(seconds * 1000) for seconds in (NEWER_VERSION_FIRST_S, NEWER_VERSION_LONGEST_S, NEWER_VERSION_MAX_AGE_S)
)

_PLAIN: Final = 3
"""The number of arguments of a plain job (see `finish.lua`): record, result, ms to keep it."""

_log = get_logger(__name__)


class EndedAttempt:
    """An attempt whose end is to be written.

    `arguments`: those of `finish.lua` for this job, other than its id, token and group. `ran_s` is the run time in
    seconds. `outcome`: the outcome in `filas_jobs_total`. `error`: why a newer version is required. `size`: the
    bytes of a dead letter or a stored result.
    """

    __slots__ = ("arguments", "error", "job", "outcome", "ran_s", "size")

    def __init__(
        self, job: ClaimedJob, outcome: str, ran_s: float, arguments: tuple[Any, ...], *, size: int = 0
    ) -> None:
        self.job = job
        self.outcome = outcome
        self.ran_s = ran_s
        self.arguments = arguments
        self.error: BaseException | None = None
        self.size = size


class Finisher:
    """Writes the ends of attempts in batches. While Redis is unavailable, it keeps them and tries again.

    `claimed` are the worker's claimed jobs by id. A job is removed from them when its end is written. `ring` is the
    number of records kept of finished jobs, for each state.
    """

    def __init__(
        self,
        redis: Redis,
        policy: QueuePolicy,
        claimed: dict[bytes, ClaimedJob],
        *,
        ring: int = 1000,
        worker_id: str = "",
    ) -> None:
        self._redis = redis
        self._policy = policy
        self._claimed = claimed
        names = redis.keys(policy.name)
        self._keys = names.of(
            "active", "wake", "grouped", "lost", "heads", "dead", "completed", "failed", "counts",
            "ring:completed", "ring:failed", "abort", "waiting", "newer",
            "cancelled",
        )  # fmt: skip
        self._head = [ring, names.group_prefix, PAYLOAD_KEPT_MS]
        self._script = load("finish")
        self._newer_reasons = ReasonLog(policy)
        self._newer_arguments = (worker_id[:SEEN_ID_CHARS] or "-", *_NEWER_VERSION_MS)
        self._pending: list[EndedAttempt] = []
        self._work = asyncio.Event()
        self._written = asyncio.Event()
        self.dead_letters = asyncio.Event()
        """Set when Redis holds dead letters."""

    def complete(self, job: ClaimedJob, result: Any, started: float) -> None:
        """The attempt succeeded. A result that cannot be encoded is stored as such; the job completes nevertheless.

        `started` is in monotonic seconds.
        """
        now = time.monotonic()
        times = job.unix(started), job.unix(now)
        keep_ms = int(job.function.keep_result_s * 1000)
        record = ring_record(job, *times, None)
        stored = result_record(job, self._policy.name, True, result, times) if keep_ms > 0 else b""
        if job.attempts_used or job.lost_leases:
            arguments: tuple[Any, ...] = (b"complete", stored, keep_ms, record, b"")
        else:
            arguments = (record, stored, keep_ms)
        self._add(EndedAttempt(job, "completed", now - started, arguments, size=len(stored)))

    def fail(self, job: ClaimedJob, error: BaseException, decision: Decision, started: float) -> None:
        """The attempt failed, and `decision` states what follows. `started` is in monotonic seconds."""
        now = time.monotonic()
        if decision.action == "requeue":
            self.requeue(job, now - started)
        elif decision.action == "await-newer":
            self._await_newer(job, error, started, now)
        elif decision.action == "retry":
            self._retry(job, error, decision, started, now)
        else:
            self._make_dead_letter(job, error, started, now)

    def requeue(self, job: ClaimedJob, ran_s: float = 0.0) -> None:
        """Returns the job to its place in the queue without using an attempt."""
        self._add(EndedAttempt(job, "requeued", ran_s, (b"requeue", job.score, b"", b"", b"")))

    def drop(self, job: ClaimedJob) -> None:
        """The job's lease was lost and the job does not run here, so nothing is written."""
        if self._claimed.get(job.raw_id) is job:
            del self._claimed[job.raw_id]
            metrics.JOBS.labels(self._policy.name, job.function.name, "lost").inc()
            _log.warning("job.lease_lost", queue=self._policy.name, job_id=job.job_id)
        self._written.set()

    async def run(self) -> None:
        """Writes ended attempts until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._pending:
                batch = list(next(in_chunks(self._pending[:MAX_BATCH], _size, limit=MAX_BATCH)))
                del self._pending[: len(batch)]
                await self._write(batch)
                # The next batch may be an hour away, and this one holds the payloads of its jobs.
                del batch
            self._written.set()

    async def drain(self) -> None:
        """Waits until the end of every claimed job is written."""
        while self._pending or self._claimed:
            self._written.clear()
            await self._written.wait()

    def _retry(self, job: ClaimedJob, error: BaseException, decision: Decision, started: float, now: float) -> None:
        detail = describe(error)
        fields = {"queue": self._policy.name, "job_id": job.job_id, "attempt": job.attempt, "error_kind": detail.kind}
        if decision.uses_attempt:
            _log.info("job.retry_scheduled", delay_s=decision.delay_s, **fields)
        else:
            # A flow that waits, or a paused channel, may be retried any number of times.
            _log.debug("job.deferred", delay_s=decision.delay_s, **fields)
        used = job.attempt if decision.uses_attempt else job.attempts_used
        entry = history_entry(job, detail, job.unix(started), job.unix(now)) if decision.uses_attempt else b""
        outcome = "retried" if decision.uses_attempt else "requeued"
        arguments = (b"retry", int(decision.delay_s * 1000), used, entry, b"")
        self._add(EndedAttempt(job, outcome, now - started, arguments))

    def _await_newer(self, job: ClaimedJob, error: BaseException, started: float, now: float) -> None:
        self._newer_reasons.add(job.job_id, job.context.function, describe(error).message)
        metrics.JOBS_NEWER_VERSION.labels(self._policy.name).inc()
        ended = EndedAttempt(job, "requeued", now - started, (b"newer", *self._newer_arguments))
        ended.error = error
        self._add(ended)

    def _make_dead_letter(self, job: ClaimedJob, error: BaseException, started: float, now: float) -> None:
        detail = describe(error)
        _log.warning(
            "job.failed",
            queue=self._policy.name,
            job_id=job.job_id,
            attempt=job.attempt,
            error_kind=detail.kind,
            error=detail.message,
        )
        times = job.unix(started), job.unix(now)
        letter = dead_letter(job, self._policy.name, detail, history_entry(job, detail, *times), times[1])
        keep_ms = int(job.function.keep_result_s * 1000)
        if isinstance(error, JobAborted):
            # A stock Job.abort() waits for exactly this exception.
            error, keep_ms = asyncio.CancelledError(), max(keep_ms, ABORT_RESULT_MS)
        stored = result_record(job, self._policy.name, False, error, times) if keep_ms else b""
        record = ring_record(job, *times, detail)
        size = len(stored) + len(letter)
        self._add(EndedAttempt(job, "failed", now - started, (b"dead", stored, keep_ms, record, letter), size=size))

    def _add(self, ended: EndedAttempt) -> None:
        # While Redis is unavailable, the end waits. Only a job that may have waited too long for a newer version, and
        # then becomes a dead letter, needs its content.
        if ended.error is None:
            ended.job.payload = ended.job.message = None
        self._pending.append(ended)
        self._work.set()

    async def _write(self, batch: list[EndedAttempt]) -> None:
        ordered, args = self._script_arguments(batch)
        delay, repeated = 0.05, False
        while True:
            try:
                dead_letters, lost, too_old = await self._redis.run(self._script, self._keys, args)
                break
            except StoreUnavailable as error:
                repeated = repeated or self._redis.outcome_unknown(error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 1.0)
        if dead_letters:
            self.dead_letters.set()
        if too_old:
            ordered, lost = self._without_too_old(ordered, lost, too_old)
        for ended in ordered:
            # This worker may have claimed the job again meanwhile.
            if self._claimed.get(ended.job.raw_id) is ended.job:
                del self._claimed[ended.job.raw_id]
        # In a repeated call, tokens may be missing because the first call succeeded.
        self._count(ordered, frozenset() if repeated else frozenset(lost))

    def _without_too_old(
        self, ordered: list[EndedAttempt], lost: list[int], too_old: list[int]
    ) -> tuple[list[EndedAttempt], list[int]]:
        """Makes dead letters of the jobs that have waited too long for a newer version. Returns the other attempts, and
        the indexes of those whose lease was lost."""
        expired = set(too_old)
        for number in too_old:
            ended = ordered[number]
            if ended.error is not None:
                now = time.monotonic()
                self._make_dead_letter(ended.job, ended.error, now - ended.ran_s, now)
        kept = [number for number in range(len(ordered)) if number not in expired]
        places = {number: place for place, number in enumerate(kept)}
        return [ordered[number] for number in kept], [places[number] for number in lost]

    def _script_arguments(self, batch: list[EndedAttempt]) -> tuple[list[EndedAttempt], list[Any]]:
        """Returns `batch` in the order of the script's arguments, and these arguments (see `finish.lua`)."""
        runs: dict[tuple[bytes, int, bool], list[EndedAttempt]] = {}
        others: list[EndedAttempt] = []
        for ended in batch:
            if len(ended.arguments) == _PLAIN:
                key = (ended.job.token, ended.arguments[2], bool(ended.job.group))
                run = runs.get(key)
                if run is None:
                    run = runs[key] = []
                run.append(ended)
            else:
                others.append(ended)
        ordered: list[EndedAttempt] = []
        args: list[Any] = [*self._head, len(runs)]
        for (token, keep_ms, grouped), run in runs.items():
            args += (token, keep_ms or b"", b"1" if grouped else b"", len(run))
            for number, ended in enumerate(run):
                job, own = ended.job, ended.arguments
                args += (job.raw_id, own[0])
                if keep_ms:
                    args.append(pad_json(own[1], number))
                if grouped:
                    args.append(job.group)
            ordered += run
        for ended in others:
            job, own = ended.job, ended.arguments
            args += (own[0], job.raw_id, job.token, job.group, job.lost_leases, *own[1:])
        return ordered + others, args

    def _count(self, batch: list[EndedAttempt], lost: frozenset[int]) -> None:
        queue = self._policy.name
        outcomes: Counter[tuple[str, str]] = Counter()
        times: dict[str, tuple[list[float], list[float]]] = {}
        for number, ended in enumerate(batch):
            job, outcome = ended.job, ended.outcome
            name = job.function.name
            if number in lost:
                _log.warning("job.lease_lost", queue=queue, job_id=job.job_id, outcome=outcome)
                outcome = "lost"
            outcomes[name, outcome] += 1
            if name not in times:
                times[name] = ([], [])
            waits, run_times = times[name]
            wait_s = job.claimed_at - max(job.due, job.context.enqueued_at_ms / 1000)
            waits.append(wait_s if wait_s > 0 else 0.0)
            run_times.append(ended.ran_s)
        for name, (waits, run_times) in times.items():
            metrics.JOB_WAIT.labels(queue, name).observe_many(waits)
            metrics.JOB_RUN.labels(queue, name).observe_many(run_times)
        for (name, outcome), number in outcomes.items():
            metrics.JOBS.labels(queue, name, outcome).inc(number)
            if outcome == "failed":
                metrics.DEAD_LETTERS.labels(queue).inc(number)


def _size(ended: EndedAttempt) -> int:
    return ended.size
