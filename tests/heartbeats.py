"""Heartbeats of workers that do not run."""

from unittest.mock import patch

from filas.contract.policies import QueuePolicy
from filas.queue import worker_presence
from filas.queue.redis_client.connection import Redis

AN_HOUR_MS = 3_600_000


async def present(redis: Redis, policy: QueuePolicy, running: int, slots: int, worker_id: str = "a-worker") -> None:
    """A worker that counts as alive for an hour: three heartbeats are soon missing on a slow machine."""
    with patch.object(worker_presence, "PRESENT_MS", AN_HOUR_MS):
        await worker_presence.beat(redis, policy, worker_id, running, slots)
