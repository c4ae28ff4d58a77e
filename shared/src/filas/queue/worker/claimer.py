"""Claims due jobs in batches, decodes them and passes them to the slots. A wake token in Redis wakes it at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from filas.contract.policies import LEASE_S, MAX_LOST_LEASES, QueuePolicy
from filas.errors import NewerVersionRequired, PermanentError, StoreUnavailable
from filas.observability import metrics
from filas.observability.logs import get_logger
from filas.queue.job_format import decode_call, decode_envelope, decode_message
from filas.queue.job_functions import JobFunction, StoreProblem
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.queue_keys import JOB
from filas.queue.redis_client.scripts import load
from filas.queue.worker.claimed_job import ClaimedJob, JobAborted
from filas.queue.worker.finisher import Finisher
from filas.queue.worker.job_records import dead_letter, history_entry
from filas.queue.worker.restoration import Restoration
from filas.queue.worker.retry_decision import decide_undecoded, describe
from filas.queue.worker.slots import Slots

FALLBACK_POLL_S: Final = 0.5
"""How soon a job is found whose producer writes no wake token, such as stock arq's."""

RESTORED_POLL_S: Final = 0.05
"""How soon a worker claims again while another one restores the queue."""

SOON_S: Final = 0.02
"""A job that is due within this time is awaited with a sleep, because a blocking pop in Redis may last 0.1 s longer. A
job that is enqueued during the sleep is found after it."""

_JOB: Final = JOB.encode()
_FIRST_WAIT_S: Final = 0.25
_CALM_S: Final = 10.0
_HEAD_FIELDS: Final = 6
"""The number of values at the start of every reply of `claim.lua`."""
_DATA_LOST: Final = 2
_PROGRESS_FIELDS: Final = 6
"""The number of values for each job in the reply that is not an ordinary first attempt."""
_log = get_logger(__name__)


class MissingPayload(PermanentError):
    """The job's id is in the queue, but its payload is missing."""


class TooManyLostLeases(PermanentError):
    """Workers that ran the job lost their lease too often: the job itself may crash them."""


class AttemptsExhausted(PermanentError):
    """All attempts are used, but no error was recorded: a stock worker crashed."""


class Claimer:
    """Claims as many jobs as the slots can start.

    Before each claim it checks that the queue is not paused (`unpaused`) and that `store_problem` returns None.
    If a claim finds that Redis has lost its data, `restoration` writes the stored cancels to Redis (`load_cancels`) and
    enqueues the missing jobs; until it has succeeded, nothing is claimed. `problem` is the reason why nothing is
    claimed now, or None.
    """

    def __init__(
        self,
        redis: Redis,
        policy: QueuePolicy,
        functions: Mapping[str, JobFunction],
        slots: Slots,
        finisher: Finisher,
        claimed: dict[bytes, ClaimedJob],
        restoration: Restoration,
        *,
        lease_s: float = LEASE_S,
    ) -> None:
        self._redis = redis
        self._policy = policy
        self._functions = functions
        self._slots = slots
        self._finisher = finisher
        self._claimed = claimed
        self._restoration = restoration
        self._lease_ms = int(lease_s * 1000)
        names = redis.keys(policy.name)
        self._keys = names.of("active", "wake", "grouped", "lost", "epoch", "fence", "abort", "counts", "restoring")
        self._wake_key = names.named("wake")
        self._dead_key = names.named("dead")
        self._prefix = names.required_prefix
        self._script = load("claim")
        self._unavailable: StoreUnavailable | None = None
        self._unavailable_since = 0.0
        self._wait_s = _FIRST_WAIT_S
        self._claiming: asyncio.Task[tuple[int, float]] | None = None
        self.unpaused = asyncio.Event()
        self.unpaused.set()
        self.store_problem: StoreProblem | None = None
        self.load_cancels: Callable[[], Awaitable[None]] | None = None
        self.problem: str | None = None

    def set_paused(self, paused: bool) -> None:
        """Stops or resumes claiming. Claimed jobs continue."""
        if paused:
            self.unpaused.clear()
        else:
            self.unpaused.set()

    def store_unavailable(self, error: StoreUnavailable) -> None:
        """A handler found a store unavailable: requeues what has not started, and claims nothing for a while."""
        if self._unavailable is None:
            self._unavailable = error
            # A new outage begins with short waits again.
            if time.monotonic() - self._unavailable_since > _CALM_S:
                self._wait_s = _FIRST_WAIT_S
            self._unavailable_since = time.monotonic()
            self.problem = str(error)
            _log.warning("worker.store_unavailable", queue=self._policy.name, store=error.store, reason=error.reason)
        for job in self._slots.remove_ready():
            self._finisher.requeue(job)

    async def run(self) -> None:
        """Claims until cancelled."""
        delay = 0.05
        while True:
            try:
                await self._wait_until_allowed()
                await self._claim_once()
                delay = 0.05
            except StoreUnavailable as error:
                if self.problem is None:
                    event = "worker.redis_unavailable" if error.store == "redis" else "worker.store_unavailable"
                    _log.warning(event, queue=self._policy.name, store=error.store, reason=error.reason)
                self.problem = str(error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)
            else:
                if self.problem is not None and self._unavailable is None:
                    _log.info("worker.resumed", queue=self._policy.name)
                    self.problem = None

    async def settle(self) -> None:
        """Waits for a claim in progress, after `run` was cancelled."""
        if self._claiming is not None:
            await asyncio.gather(self._claiming, return_exceptions=True)

    async def _wait_until_allowed(self) -> None:
        await self.unpaused.wait()
        if self._unavailable is not None:
            # Without a `store_problem`, another attempt after a while is the only test.
            await asyncio.sleep(self._wait_s)
            self._wait_s = min(self._wait_s * 2, 2.0)
            self._unavailable = None
        while self.store_problem is not None and (reason := self.store_problem()) is not None:
            self.problem = reason
            await asyncio.sleep(0.1)

    async def _claim_once(self) -> None:
        """Claims as many jobs as the slots can start, and waits if there were fewer jobs."""
        wanted = self._slots.wanted()
        if wanted <= 0:
            self._slots.room.clear()
            await self._slots.room.wait()
            return
        # A claim that was sent runs to its end even if this task is cancelled, so that its jobs are requeued.
        self._claiming = asyncio.create_task(self._claim(wanted))
        claimed, next_due = await asyncio.shield(self._claiming)
        if claimed < wanted and next_due <= SOON_S:
            await asyncio.sleep(next_due)
        elif claimed < wanted:
            # A job that is enqueued from now on leaves a wake token, so it cannot be missed.
            await self._redis.pop_blocking(self._wake_key, min(next_due, FALLBACK_POLL_S))

    async def _claim(self, limit: int) -> tuple[int, float]:
        """Claims up to `limit` jobs. Returns their number, and the seconds until the next job is due."""
        reply = await self._run_script(limit)
        if reply[_DATA_LOST]:
            if not await self._restoration.run(self.load_cancels):
                return 0, RESTORED_POLL_S
            reply = await self._run_script(limit)
        now = time.monotonic()
        now_ms, token, _, due, foreign, lost = reply[:_HEAD_FIELDS]
        if lost:
            metrics.LEASES_LOST.labels(self._policy.name).inc(lost)
        times = now, float(now_ms) / 1000
        for raw_id in foreign:
            await self._remove_foreign(raw_id, times)
        next_due = (float(due) - float(now_ms)) / 1000 if due else FALLBACK_POLL_S
        claimed = 0
        if len(reply) > _HEAD_FIELDS:
            ids, scores, payloads, progress = reply[_HEAD_FIELDS:]
            claimed = len(ids)
            payloads = payloads or await self._read_payloads(ids, scores, progress, token, times)
            self._start(self._claimed_jobs(ids, scores, payloads, progress, token, times))
        return claimed, max(next_due, 0.001)

    async def _run_script(self, limit: int) -> Any:
        args = [limit, self._lease_ms, self._prefix, self._slots.wanted_bytes()]
        return await self._redis.run(self._script, self._keys, args)

    def _claimed_jobs(
        self,
        ids: list[bytes],
        scores: list[bytes],
        payloads: Sequence[bytes | None],
        progress: list[Any],
        token: bytes,
        times: tuple[float, float],
    ) -> list[ClaimedJob]:
        """Returns the claimed jobs of a reply of `claim.lua`. `times`: `ClaimedJob.claimed` and `claimed_at`."""
        jobs = [ClaimedJob(*one, token, *times) for one in zip(ids, scores, payloads, strict=True)]
        for at in range(0, len(progress), _PROGRESS_FIELDS):
            jobs[progress[at]].set_progress(*progress[at + 1 : at + _PROGRESS_FIELDS])
        return jobs

    async def _read_payloads(
        self, ids: list[bytes], scores: list[bytes], progress: list[Any], token: bytes, times: tuple[float, float]
    ) -> list[bytes | None]:
        """Returns the payloads of a large claim. If Redis is unavailable, requeues the jobs."""
        try:
            payloads: list[bytes | None] = await self._redis.command("MGET", *[_JOB + one for one in ids])
        except StoreUnavailable:
            for job in self._claimed_jobs(ids, scores, [None] * len(ids), progress, token, times):
                self._claimed[job.raw_id] = job
                self._finisher.requeue(job)
            raise
        return payloads

    def _start(self, jobs: list[ClaimedJob]) -> None:
        """Registers claimed jobs and passes them to the slots. A job that cannot be decoded becomes a dead letter, or
        waits for a newer worker."""
        ready: list[ClaimedJob] = []
        for job in jobs:
            earlier = self._claimed.get(job.raw_id)
            if earlier is not None:
                # This process did not renew the lease in time (it was suspended), and has now claimed its own job.
                earlier.lease_lost = True
            self._claimed[job.raw_id] = job
            try:
                self._decode(job)
            except Exception as error:
                self._finisher.fail(job, error, decide_undecoded(error), job.claimed)
            else:
                ready.append(job)
        if ready:
            self._slots.add(ready)

    async def _remove_foreign(self, raw_id: bytes, times: tuple[float, float]) -> None:
        """Makes a dead letter of an id whose keys are in another hash slot of the Cluster, where no script can be."""
        job = ClaimedJob(raw_id, b"0", None, b"", *times)
        error = describe(MissingPayload("the id lacks the queue's name in braces, so its keys are in another slot"))
        letter = dead_letter(job, self._policy.name, error, history_entry(job, error, times[1], times[1]), times[1])
        await self._redis.command("HSET", self._dead_key, raw_id, letter)
        await self._redis.command("ZREM", self._policy.name, raw_id)
        self._finisher.dead_letters.set()
        _log.error("job.foreign_slot", queue=self._policy.name, job_id=job.job_id)

    def _decode(self, job: ClaimedJob) -> None:
        """Decodes the job. Raises the error of a job that does not run."""
        context = job.context
        if job.payload is None:
            raise MissingPayload("the job's payload is missing from Redis")
        envelope = decode_envelope(job.payload)
        context.function = envelope.f
        context.enqueued_at_ms = envelope.et
        if envelope.et:
            context.age_s = max(job.claimed_at - envelope.et / 1000, 0.0)
        if job.aborted:
            raise JobAborted("cancelled before it ran")
        if job.lost_leases >= MAX_LOST_LEASES:
            raise TooManyLostLeases(f"{job.lost_leases} workers lost the job's lease while they ran it")
        function = self._functions.get(envelope.f)
        if function is None:
            raise NewerVersionRequired(f"this worker of {self._policy.name} knows no function {envelope.f[:200]!r}")
        job.function = function
        context.max_attempts = self._policy.max_attempts if function.max_attempts is None else function.max_attempts
        context.attempt = max(context.attempt, envelope.t or 1)
        if context.attempt > context.max_attempts:
            raise AttemptsExhausted(f"all {context.max_attempts} attempts are used")
        if function.message_type is None:
            job.message = decode_call(job.payload)
        else:
            job.message = decode_message(self._policy, envelope, function.message_type)
