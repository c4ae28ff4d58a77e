"""Claiming jobs: woken by whoever puts one, many a call, and decoded here."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from filas.contract.policies import LEASE_S, MAX_LOST_LEASES, QueuePolicy
from filas.errors import JobDecodeError, PermanentError, StoreUnavailable
from filas.observability import metrics
from filas.observability.logs import get_logger
from filas.queue.job_format import decode_call, decode_envelope, decode_message
from filas.queue.job_functions import JobFunction, StoreProblem
from filas.queue.job_records import dead_letter, history_entry
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.queue_keys import JOB
from filas.queue.redis_client.scripts import load
from filas.queue.worker.claimed_job import HeldJob, JobAborted
from filas.queue.worker.finisher import Finisher
from filas.queue.worker.retry_decision import Decision, describe
from filas.queue.worker.slots import Slots

FALLBACK_POLL_S: Final = 0.5
"""How soon a job is seen whose producer wakes nobody: stock arq's, or another data centre's clock."""

SOON_S: Final = 0.02
"""A job that is due so soon is waited for here: Redis would let us wait up to 0.1 s too long. A job that is put
meanwhile is seen when this time is over."""

_JOB: Final = JOB.encode()
_FIRST_WAIT_S: Final = 0.25
_CALM_S: Final = 10.0
_FIXED: Final = 6
_ODD: Final = 6
_log = get_logger(__name__)


class MissingPayload(PermanentError):
    """The job's id stands in the queue, but its content is gone."""


class TooManyLostLeases(PermanentError):
    """The worker that ran the job vanished too often: the job itself may be the cause."""


class TriesExhausted(PermanentError):
    """The tries were used up by somebody who recorded no error: a stock worker that crashed."""


class Claimer:
    """Keeps the slots busy.

    `paused` and `store_problem` are asked before each claim; `on_data_lost` is called when the claim found
    that Redis had lost its data. `problem` says why nothing is claimed now, or None.
    """

    def __init__(
        self,
        redis: Redis,
        policy: QueuePolicy,
        functions: Mapping[str, JobFunction],
        slots: Slots,
        finisher: Finisher,
        held: dict[bytes, HeldJob],
        *,
        lease_s: float = LEASE_S,
    ) -> None:
        self._redis = redis
        self._policy = policy
        self._functions = functions
        self._slots = slots
        self._finisher = finisher
        self._held = held
        self._lease_ms = int(lease_s * 1000)
        names = redis.keys(policy.name)
        self._keys = names.of("active", "wake", "grouped", "lost", "epoch", "fence", "abort", "counts")
        self._wake_key = names.named("wake")
        self._dead_key = names.named("dead")
        self._prefix = names.required_prefix
        self._script = load("claim")
        self._trouble: StoreUnavailable | None = None
        self._trouble_s = _FIRST_WAIT_S
        self._troubled = 0.0
        self._claiming: asyncio.Task[tuple[int, float]] | None = None
        self.unpaused = asyncio.Event()
        self.unpaused.set()
        self.store_problem: StoreProblem | None = None
        self.on_data_lost: Callable[[], None] | None = None
        self.problem: str | None = None

    def pause(self, paused: bool) -> None:
        """Stop or go on claiming. What is claimed runs on."""
        if paused:
            self.unpaused.clear()
        else:
            self.unpaused.set()

    def trouble(self, error: StoreUnavailable) -> None:
        """A handler met a store that is away: claim no more until it is back."""
        if self._trouble is None:
            self._trouble = error
            # Another outage than the last one begins with short waits again.
            if time.monotonic() - self._troubled > _CALM_S:
                self._trouble_s = _FIRST_WAIT_S
            self._troubled = time.monotonic()
            self.problem = str(error)
            _log.warning("worker.store_unavailable", queue=self._policy.name, store=error.store, reason=error.reason)
        for job in self._slots.take_back():
            self._finisher.give_back(job)

    async def run(self) -> None:
        """Claim for as long as the task lives."""
        delay = 0.05
        while True:
            try:
                await self._wait_until_allowed()
                await self._once()
                delay = 0.05
            except StoreUnavailable as error:
                if self.problem is None:
                    _log.warning("worker.redis_unavailable", queue=self._policy.name, reason=error.reason)
                self.problem = str(error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)
            else:
                if self.problem is not None and self._trouble is None:
                    _log.info("worker.resumed", queue=self._policy.name)
                    self.problem = None

    async def settle(self) -> None:
        """Wait for a claim that is under way, after `run` was cancelled."""
        if self._claiming is not None:
            await asyncio.gather(self._claiming, return_exceptions=True)

    async def _wait_until_allowed(self) -> None:
        await self.unpaused.wait()
        if self._trouble is not None:
            # Without anybody to ask, trying again after a while is the only way to know.
            await asyncio.sleep(self._trouble_s)
            self._trouble_s = min(self._trouble_s * 2, 2.0)
            self._trouble = None
        while self.store_problem is not None and (reason := self.store_problem()) is not None:
            self.problem = reason
            await asyncio.sleep(0.1)

    async def _once(self) -> None:
        wanted = self._slots.wanted()
        if wanted <= 0:
            self._slots.room.clear()
            await self._slots.room.wait()
            return
        # A claim that has been sent is waited for, even when this task is cancelled: what it took goes back.
        self._claiming = asyncio.create_task(self._claim(wanted))
        claimed, next_due = await asyncio.shield(self._claiming)
        if claimed < wanted and next_due <= SOON_S:
            await asyncio.sleep(next_due)
        elif claimed < wanted:
            # Whoever puts a job from now on leaves a token, so nothing can slip in between.
            await self._redis.pop_blocking(self._wake_key, min(next_due, FALLBACK_POLL_S))

    async def _claim(self, limit: int) -> tuple[int, float]:
        """Claim up to `limit`; returns how many came, and the seconds until the next job is due."""
        args = [limit, self._lease_ms, uuid4().hex[:16], self._prefix]
        reply = await self._redis.run(self._script, self._keys, args)
        now_ms, token, fresh, due, foreign, lost = reply[:_FIXED]
        if fresh and self.on_data_lost:
            self.on_data_lost()
        if lost:
            metrics.LEASES_LOST.labels(self._policy.name).inc(lost)
        for raw_id in foreign:
            await self._refuse(raw_id)
        next_due = (float(due) - float(now_ms)) / 1000 if due else FALLBACK_POLL_S
        claimed = 0
        if len(reply) > _FIXED:
            ids, scores, payloads, odd = reply[_FIXED:]
            claimed = len(ids)
            self._take(self._held_jobs(ids, scores, payloads or await self._read(ids, scores, odd, token), odd, token))
        return claimed, max(next_due, 0.001)

    def _held_jobs(
        self, ids: list[bytes], scores: list[bytes], payloads: Sequence[bytes | None], odd: list[Any], token: bytes
    ) -> list[HeldJob]:
        """The claimed jobs, as `claim.lua` tells them."""
        now = time.time()
        jobs = [HeldJob(*one, token, now) for one in zip(ids, scores, payloads, strict=True)]
        for at in range(0, len(odd), _ODD):
            jobs[odd[at]].tell(*odd[at + 1 : at + _ODD])
        return jobs

    async def _read(self, ids: list[bytes], scores: list[bytes], odd: list[Any], token: bytes) -> list[bytes | None]:
        """The payloads of the claimed jobs `ids`. Redis away: they go back."""
        try:
            payloads: list[bytes | None] = await self._redis.command("MGET", *[_JOB + one for one in ids])
        except StoreUnavailable:
            for job in self._held_jobs(ids, scores, [None] * len(ids), odd, token):
                self._held[job.raw_id] = job
                self._finisher.give_back(job)
            raise
        return payloads

    def _take(self, claimed: list[HeldJob]) -> None:
        """Hold the jobs, and let those run that can."""
        ready: list[HeldJob] = []
        for job in claimed:
            before = self._held.get(job.raw_id)
            if before is not None:
                before.token_gone = True  # we slept through its lease, and have just taken it from ourselves
            self._held[job.raw_id] = job
            try:
                self._prepare(job)
            except Exception as error:
                self._finisher.fail(job, error, Decision("dead"), job.claimed)
            else:
                ready.append(job)
        if ready:
            self._slots.put(ready)

    async def _refuse(self, raw_id: bytes) -> None:
        """Make a dead letter of an id whose keys lie in another slot of the Cluster, where no script reaches."""
        now = time.time()
        job = HeldJob(raw_id, b"0", None, b"", now)
        error = describe(MissingPayload("its id lacks the queue's name in braces, so its keys lie in another slot"))
        letter = dead_letter(job, self._policy.name, error, history_entry(job, error, now, now), now)
        await self._redis.command("HSET", self._dead_key, raw_id, letter)
        await self._redis.command("ZREM", self._policy.name, raw_id)
        self._finisher.dead_letters.set()
        _log.error("job.foreign_slot", queue=self._policy.name, job_id=job.job_id)

    def _prepare(self, job: HeldJob) -> None:
        """Decode the job. Raises what makes it a dead letter before it has run."""
        context = job.context
        if job.payload is None:
            raise MissingPayload("the job's payload is gone from Redis")
        envelope = decode_envelope(job.payload)
        context.function = envelope.f
        context.enqueued_at_ms = envelope.et
        if job.aborted:
            raise JobAborted("cancelled before it ran")
        if job.lost_leases >= MAX_LOST_LEASES:
            raise TooManyLostLeases(f"its worker vanished {job.lost_leases} times while it ran")
        function = self._functions.get(envelope.f)
        if function is None:
            raise JobDecodeError(f"{self._policy.name} has no function {envelope.f[:200]!r}")
        job.function = function
        context.max_attempts = self._policy.max_attempts if function.max_attempts is None else function.max_attempts
        context.attempt = max(context.attempt, envelope.t or 1)
        if context.attempt > context.max_attempts:
            raise TriesExhausted(f"its {context.max_attempts} tries are used up")
        if function.message_type is None:
            job.message = decode_call(job.payload)
        else:
            job.message = decode_message(self._policy, envelope, function.message_type)
