"""The queues watched over the last minute: what `/api/scaling` judges by."""

import time
from collections.abc import Callable
from typing import Final

from filas.contract.policies import QUEUES, QueuePolicy
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.redis_client.connection import Redis
from filas.queue.worker_presence import read_load
from ingest.scaling.worker_advice import Figures, Sample, Samples

APART_S: Final = 1.0
"""Samples lie at least so far apart, so that who asks often doesn't weigh down the average."""


class QueueWatch:
    """Takes samples of every queue; `clock` gives seconds and never goes back. Methods raise StoreUnavailable."""

    def __init__(self, redis: Redis, stats: QueueStats, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._stats = stats
        self._clock = clock
        self._samples = {policy.name: Samples() for policy in QUEUES}
        self._taken_at: dict[str, float] = {}

    async def sample_all(self) -> None:
        """One sample of every queue; to be called every few seconds."""
        for policy in QUEUES:
            await self.sample(policy)

    async def sample(self, policy: QueuePolicy) -> None:
        """One sample of the queue, unless there was one just now."""
        taken_at = self._taken_at.get(policy.name)
        if taken_at is not None and self._clock() - taken_at < APART_S:
            return
        counts = await self._stats.snapshot(policy)
        load = await read_load(self._redis, policy)
        self._taken_at[policy.name] = at_s = self._clock()
        self._samples[policy.name].add(
            Sample(
                at_s=at_s,
                waiting=counts.waiting,
                backlog=counts.waiting + counts.active,
                oldest_age_s=counts.oldest_waiting_ms / 1000,
                workers=load.workers,
                running=load.running,
                slots=load.slots,
                drain_rate=load.finished / (load.finished_ms / 1000),
            )
        )

    async def figures(self, policy: QueuePolicy, *, paused: bool) -> Figures:
        """The figures of the queue as of now."""
        await self.sample(policy)
        return self._samples[policy.name].figures(paused=paused)
