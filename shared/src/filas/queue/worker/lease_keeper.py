"""Renews the leases of claimed jobs in one call, enforces time limits, and cancels aborted jobs."""

import math
import time
from collections.abc import Callable
from typing import Any, Final

from filas.contract.policies import LEASE_S, QueuePolicy
from filas.errors import StoreUnavailable
from filas.periodic import periodic
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load
from filas.queue.worker.claimed_job import ClaimedJob
from filas.queue.worker.finisher import Finisher
from filas.queue.worker.slots import Slots

TICK_S: Final = 0.1
ABORT_POLL_S: Final = 0.5
_STALE_S: Final = 0.3
"""A claimed job that has not started after this time is requeued, because another worker may have a free slot."""
_CHUNK: Final = 1000


class LeaseKeeper:
    """Checks the claimed jobs ten times a second, while there are any. `clock` returns monotonic seconds."""

    def __init__(
        self,
        redis: Redis,
        policy: QueuePolicy,
        slots: Slots,
        finisher: Finisher,
        claimed: dict[bytes, ClaimedJob],
        *,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._slots = slots
        self._finisher = finisher
        self._claimed = claimed
        self._lease_s = lease_s
        self._clock = clock
        names = redis.keys(policy.name)
        self._keys = names.of("active")
        self._abort_key = names.abort
        self._script = load("renew")
        self._renewed_at = -math.inf
        self._aborts_read_at = -math.inf

    async def run(self) -> None:
        """Keeps the leases until cancelled."""
        await periodic("job-leases", self._tick, TICK_S, wait_first=True)

    async def _tick(self) -> None:
        if not self._claimed:
            return
        now = self._clock()
        self._cancel_overdue(now)
        self._requeue_stale(now)
        try:
            if now - self._aborts_read_at >= ABORT_POLL_S and self._slots.calls:
                self._aborts_read_at = now
                await self._cancel_aborted()
            if now - self._renewed_at >= self._lease_s / 3:
                self._renewed_at = now
                await self._renew()
        except StoreUnavailable:
            # The claimer reports it. While Redis is unavailable, no other worker can claim the jobs either.
            self._renewed_at = now - self._lease_s / 6

    def _cancel_overdue(self, now: float) -> None:
        for call in tuple(self._slots.calls):
            if call.deadline <= now:
                call.deadline = now + 1.0  # a handler that ignores the cancellation is cancelled again
                call.cancel("timeout")

    def _requeue_stale(self, now: float) -> None:
        ready = self._slots.ready
        if ready and now - ready[0].claimed > _STALE_S and now - ready[-1].claimed > _STALE_S:
            for job in self._slots.remove_ready():
                self._finisher.requeue(job)

    async def _cancel_aborted(self) -> None:
        # One job of a batch cannot be interrupted alone.
        calls = [call for call in self._slots.calls if len(call.jobs) == 1 and call.reason is None]
        for start in range(0, len(calls), _CHUNK):
            chunk = calls[start : start + _CHUNK]
            marks = await self._redis.command("ZMSCORE", self._abort_key, *(call.jobs[0].raw_id for call in chunk))
            for call, mark in zip(chunk, marks, strict=True):
                # The call may have ended meanwhile, and its slot may run another job.
                if mark is not None and call in self._slots.calls:
                    call.cancel("abort")

    async def _renew(self) -> None:
        jobs = [job for job in self._claimed.values() if not job.lease_lost]
        for start in range(0, len(jobs), _CHUNK):
            chunk = jobs[start : start + _CHUNK]
            args: list[Any] = [int(self._lease_s * 1000)]
            for job in chunk:
                args += (job.raw_id, job.token)
            for number in await self._redis.run(self._script, self._keys, args):
                # A job that ended during the call has no token either, but it is no longer claimed.
                if self._claimed.get(chunk[number].raw_id) is chunk[number]:
                    chunk[number].lease_lost = True
        self._drop_lost()

    def _drop_lost(self) -> None:
        """Stops the jobs whose lease was lost: another worker may run them already."""
        for call in tuple(self._slots.calls):
            if all(job.lease_lost for job in call.jobs):
                call.cancel("lease")
        if any(job.lease_lost for job in self._slots.ready):
            jobs = self._slots.remove_ready()
            if kept := [job for job in jobs if not job.lease_lost]:
                self._slots.add(kept)
            for job in jobs:
                if job.lease_lost:
                    self._finisher.drop(job)
