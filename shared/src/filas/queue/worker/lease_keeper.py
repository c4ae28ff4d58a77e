"""Keeping what is claimed: leases renewed in one call, time-outs, and the jobs that somebody cancels."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from filas.contract.policies import LEASE_S, QueuePolicy
from filas.errors import StoreUnavailable
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load
from filas.queue.worker.claimed_job import HeldJob
from filas.queue.worker.finisher import Finisher
from filas.queue.worker.slots import Slots

TICK_S: Final = 0.1
ABORTS_S: Final = 0.5
_STALE_S: Final = 0.3
"""A claimed job that has not begun after so long goes back, in case another worker has a free slot."""
_ABORT_KEPT_MS: Final = 3_600_000
_CHUNK: Final = 1000


class Keeper:
    """Looks after the held jobs, ten times a second while there are any."""

    def __init__(
        self,
        redis: Redis,
        policy: QueuePolicy,
        slots: Slots,
        finisher: Finisher,
        held: dict[bytes, HeldJob],
        *,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._slots = slots
        self._finisher = finisher
        self._held = held
        self._lease_s = lease_s
        self._clock = clock
        names = redis.keys(policy.name)
        self._keys = names.of("active")
        self._abort_key = names.abort
        self._script = load("renew")
        self._renewed = 0.0
        self._looked = 0.0

    async def run(self) -> None:
        """Keep for as long as the task lives."""
        while True:
            await asyncio.sleep(TICK_S)
            if not self._held:
                continue
            now = self._clock()
            self._end_overdue(now)
            self._return_stale(now)
            try:
                if now - self._looked >= ABORTS_S and self._slots.runs:
                    self._looked = now
                    await self._abort(now)
                if now - self._renewed >= self._lease_s / 3:
                    self._renewed = now
                    await self._renew()
            except StoreUnavailable:
                # The claimer says so; while Redis is away nobody else can take a lease either.
                self._renewed = now - self._lease_s / 6

    def _end_overdue(self, now: float) -> None:
        for run in tuple(self._slots.runs):
            if run.deadline <= now:
                run.deadline = now + 1.0  # a handler that swallows it is asked again
                run.cancel("timeout")

    def _return_stale(self, now: float) -> None:
        ready = self._slots.ready
        if ready and now - ready[0].claimed > _STALE_S and now - ready[-1].claimed > _STALE_S:
            for job in self._slots.take_back():
                self._finisher.give_back(job)

    async def _abort(self, now: float) -> None:
        found: list[bytes] = await self._redis.command("ZRANGE", self._abort_key, 0, -1)
        if not found:
            return
        wanted, running = set(found), {}
        for run in self._slots.runs:
            # One job of a batch can't be interrupted alone.
            if len(run.jobs) == 1 and run.jobs[0].raw_id in wanted:
                running[run.jobs[0].raw_id] = run
        old = int((now * 1000) - _ABORT_KEPT_MS)
        await self._redis.command("ZREMRANGEBYSCORE", self._abort_key, "-inf", old)
        if running:
            await self._redis.command("ZREM", self._abort_key, *running)
            for run in running.values():
                run.cancel("abort")

    async def _renew(self) -> None:
        jobs = [job for job in self._held.values() if not job.token_gone]
        for start in range(0, len(jobs), _CHUNK):
            chunk = jobs[start : start + _CHUNK]
            args: list[Any] = [int(self._lease_s * 1000)]
            for job in chunk:
                args += (job.raw_id, job.token)
            for number in await self._redis.run(self._script, self._keys, args):
                # One that ended meanwhile has no token either; it is no longer held then.
                if self._held.get(chunk[number].raw_id) is chunk[number]:
                    chunk[number].token_gone = True
        self._let_go()

    def _let_go(self) -> None:
        """Stop what runs under a lost lease: somebody else may have begun it anew."""
        for run in tuple(self._slots.runs):
            if all(job.token_gone for job in run.jobs):
                run.cancel("lease")
        if any(job.token_gone for job in self._slots.ready):
            jobs = self._slots.take_back()
            if kept := [job for job in jobs if not job.token_gone]:
                self._slots.put(kept)
            for job in jobs:
                if job.token_gone:
                    self._finisher.forget(job)
