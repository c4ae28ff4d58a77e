"""Samples every queue over the last minute, for `/api/scaling`."""

import time
from collections.abc import Callable
from typing import Final

from filas.contract.policies import QUEUES, QueuePolicy
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.redis_client.connection import Redis
from filas.queue.worker_presence import read_load
from ingest.scaling.queue_samples import Figures, Sample, Samples

MIN_INTERVAL_S: Final = 1.0
"""The shortest time between two samples, so that frequent requests do not distort the average."""


class QueueWatch:
    """Samples the queues. `clock` returns monotonic seconds. Every method raises StoreUnavailable."""

    def __init__(self, redis: Redis, stats: QueueStats, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._stats = stats
        self._clock = clock
        self._samples = {policy.name: Samples() for policy in QUEUES}
        self._sampled_at: dict[str, float] = {}

    async def sample_all(self) -> None:
        """Samples every queue. To be called every few seconds."""
        for policy in QUEUES:
            await self.sample(policy)

    async def sample(self, policy: QueuePolicy) -> None:
        """Samples the queue, unless its last sample is younger than MIN_INTERVAL_S."""
        sampled_at = self._sampled_at.get(policy.name)
        if sampled_at is not None and self._clock() - sampled_at < MIN_INTERVAL_S:
            return
        counts = await self._stats.snapshot(policy)
        load = await read_load(self._redis, policy)
        self._sampled_at[policy.name] = at_s = self._clock()
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
        """Returns the present figures of the queue."""
        await self.sample(policy)
        return self._samples[policy.name].figures(paused=paused)
