"""Ending tries: what has ended while the last call was under way is written by the next one."""

import asyncio
import time
from collections import Counter
from typing import Any, Final

from filas.contract.policies import QueuePolicy
from filas.errors import StoreUnavailable
from filas.observability import metrics
from filas.observability.logs import get_logger
from filas.queue.job_records import dead_letter, history_entry, result_record, ring_record
from filas.queue.producer import PAYLOAD_KEPT_MS
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load, spread
from filas.queue.worker.claimed_job import HeldJob, JobAborted
from filas.queue.worker.retry_decision import Decision, describe

MAX_BATCH: Final = 500
ABORT_RESULT_MS: Final = 60_000
"""How long the result of an aborted job is kept at least: a stock `Job.abort()` waits for it."""

_PLAIN: Final = 3
"""How many things a plain end tells the script: record, result, ms to keep it."""

_log = get_logger(__name__)


class Ended:
    """A try that ended, ready to be written. `tail`: what the script takes beyond id, token and group."""

    __slots__ = ("job", "outcome", "ran_s", "tail")

    def __init__(self, job: HeldJob, outcome: str, ran_s: float, tail: tuple[Any, ...]) -> None:
        self.job = job
        self.outcome = outcome
        self.ran_s = ran_s
        self.tail = tail


class Finisher:
    """Writes the ends of tries in batches. Redis away: it keeps them and goes on when it is back.

    `held` are the worker's claimed jobs; a job leaves them when its end is written.
    """

    def __init__(self, redis: Redis, policy: QueuePolicy, held: dict[bytes, HeldJob], *, ring: int = 1000) -> None:
        self._redis = redis
        self._policy = policy
        self._held = held
        names = redis.keys(policy.name)
        self._keys = names.of(
            "active", "wake", "grouped", "lost", "heads", "dead", "completed", "failed", "counts",
            "ring:completed", "ring:failed", "abort", "waiting",
        )  # fmt: skip
        self._head = [ring, names.group_prefix, PAYLOAD_KEPT_MS]
        self._script = load("finish")
        self._pending: list[Ended] = []
        self._work = asyncio.Event()
        self._written = asyncio.Event()
        self.dead_letters = asyncio.Event()
        """Set when dead letters wait in Redis."""

    def complete(self, job: HeldJob, result: Any, started: float) -> None:
        """The try succeeded. A result that is no JSON is noted as such; the job is done all the same."""
        now = time.time()
        keep_ms = int(job.function.keep_result_s * 1000)
        record = ring_record(job, started, now, None)
        stored = result_record(job, self._policy.name, True, result, (started, now)) if keep_ms > 0 else b""
        if job.spent or job.lost_leases:
            self._add(Ended(job, "completed", now - started, (b"complete", stored, keep_ms, record, b"")))
        else:
            self._add(Ended(job, "completed", now - started, (record, stored, keep_ms)))

    def fail(self, job: HeldJob, error: BaseException, decision: Decision, started: float) -> None:
        """The try failed; `decision` says what follows."""
        now = time.time()
        if decision.what == "return":
            self.give_back(job, now - started)
            return
        detail = describe(error)
        fields = {"queue": self._policy.name, "job_id": job.job_id, "attempt": job.attempt, "error_kind": detail.kind}
        if decision.what == "retry":
            # A job that costs no try may be put off as often as its destination wants.
            say = _log.info if decision.spent else _log.debug
            say("job.retry_scheduled", delay_s=decision.delay_s, spent=decision.spent, **fields)
            spent = job.attempt if decision.spent else job.spent
            entry = history_entry(job, detail, started, now) if decision.spent else b""
            outcome = "retried" if decision.spent else "requeued"
            self._add(Ended(job, outcome, now - started, (b"retry", int(decision.delay_s * 1000), spent, entry, b"")))
            return
        _log.warning("job.failed", error=detail.message, **fields)
        letter = dead_letter(job, self._policy.name, detail, history_entry(job, detail, started, now), now)
        keep_ms = int(job.function.keep_result_s * 1000)
        if isinstance(error, JobAborted):
            # A stock Job.abort() waits for this very exception.
            error, keep_ms = asyncio.CancelledError(), max(keep_ms, ABORT_RESULT_MS)
        stored = result_record(job, self._policy.name, False, error, (started, now)) if keep_ms else b""
        record = ring_record(job, started, now, detail)
        self._add(Ended(job, "failed", now - started, (b"dead", stored, keep_ms, record, letter)))

    def give_back(self, job: HeldJob, ran_s: float = 0.0) -> None:
        """Put the job back to its place, the try not counted."""
        self._add(Ended(job, "requeued", ran_s, (b"return", job.score, b"", b"", b"")))

    def forget(self, job: HeldJob) -> None:
        """The job's lease is lost and nothing of it runs here: there is nothing to write."""
        if self._held.get(job.raw_id) is job:
            del self._held[job.raw_id]
            metrics.JOBS.labels(self._policy.name, job.function.name, "lost").inc()
            _log.warning("job.lease_lost", queue=self._policy.name, job_id=job.job_id)
        self._written.set()

    async def run(self) -> None:
        """Write what ends, for as long as the task lives."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._pending:
                batch = self._pending[:MAX_BATCH]
                del self._pending[:MAX_BATCH]
                await self._write(batch)
                # Nothing may end for an hour, and a batch holds its jobs' payloads.
                del batch
            self._written.set()

    async def drain(self) -> None:
        """Wait until the end of every held job is written."""
        while self._pending or self._held:
            self._written.clear()
            await self._written.wait()

    def _add(self, ended: Ended) -> None:
        self._pending.append(ended)
        self._work.set()

    async def _write(self, batch: list[Ended]) -> None:
        ordered, args = self._arguments(batch)
        delay, repeated = 0.05, False
        while True:
            try:
                waiting, lost = await self._redis.run(self._script, self._keys, args)
                break
            except StoreUnavailable as error:
                repeated = repeated or self._redis.outcome_unknown(error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 1.0)
        if waiting:
            self.dead_letters.set()
        for ended in ordered:
            # The job may have been claimed anew by ourselves meanwhile.
            if self._held.get(ended.job.raw_id) is ended.job:
                del self._held[ended.job.raw_id]
        # The tokens of a repeated call may be gone because the first call did its work.
        self._count(ordered, frozenset() if repeated else frozenset(lost))

    def _arguments(self, batch: list[Ended]) -> tuple[list[Ended], list[Any]]:
        """`batch` in the order in which the script takes it, and the script's arguments."""
        runs: dict[tuple[bytes, int, bool], list[Ended]] = {}
        others: list[Ended] = []
        for ended in batch:
            if len(ended.tail) == _PLAIN:
                key = (ended.job.token, ended.tail[2], bool(ended.job.group))
                run = runs.get(key)
                if run is None:
                    run = runs[key] = []
                run.append(ended)
            else:
                others.append(ended)
        ordered: list[Ended] = []
        args: list[Any] = [*self._head, len(runs)]
        for (token, keep_ms, grouped), run in runs.items():
            args += (token, keep_ms or b"", b"1" if grouped else b"", len(run))
            for number, ended in enumerate(run):
                job, tail = ended.job, ended.tail
                args += (job.raw_id, tail[0])
                if keep_ms:
                    args.append(spread(tail[1], number))
                if grouped:
                    args.append(job.group)
            ordered += run
        for ended in others:
            job, tail = ended.job, ended.tail
            args += (tail[0], job.raw_id, job.token, job.group, job.lost_leases, *tail[1:])
        return ordered + others, args

    def _count(self, batch: list[Ended], lost: frozenset[int]) -> None:
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
            waits, runs = times[name]
            wait_s = job.claimed - max(job.due, job.context.enqueued_at_ms / 1000)
            waits.append(wait_s if wait_s > 0 else 0.0)
            runs.append(ended.ran_s)
        for name, (waits, runs) in times.items():
            metrics.JOB_WAIT.labels(queue, name).observe_many(waits)
            metrics.JOB_RUN.labels(queue, name).observe_many(runs)
        for (name, outcome), number in outcomes.items():
            metrics.JOBS.labels(queue, name, outcome).inc(number)
            if outcome == "failed":
                metrics.DEAD_LETTERS.labels(queue).inc(number)
