"""Who works on a queue: each worker says every two seconds that it is there, and how busy."""

from typing import Final

import msgspec

from filas.contract.policies import QueuePolicy
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load

HEARTBEAT_S: Final = 2.0
PRESENT_MS: Final = int(HEARTBEAT_S * 3000)
"""A worker that hasn't been heard for three heartbeats is gone."""


class QueueLoad(msgspec.Struct, frozen=True, kw_only=True):
    """How busy a queue's workers are, at `at_ms` (Unix ms by Redis's clock).

    `workers` were heard within six seconds; together they have `slots`, of which `running` run a handler (of a
    batch function: a batch). `finished` jobs have ended, completed or failed, in the last `finished_ms` (one to two
    minutes). Stock arq workers don't say that they are there.
    """

    workers: int
    running: int
    slots: int
    finished: int
    finished_ms: int
    at_ms: int


async def beat(redis: Redis, policy: QueuePolicy, worker_id: str, running: int, slots: int) -> None:
    """The worker is there. Raises StoreUnavailable."""
    await redis.run(load("beat"), [redis.keys(policy.name).named("workers")], [worker_id, PRESENT_MS, running, slots])


async def leave(redis: Redis, policy: QueuePolicy, worker_id: str) -> None:
    """The worker is gone. Raises StoreUnavailable."""
    await redis.run(load("beat"), [redis.keys(policy.name).named("workers")], [worker_id, 0, 0, 0])


async def read_load(redis: Redis, policy: QueuePolicy) -> QueueLoad:
    """How busy the queue's workers are. Raises StoreUnavailable."""
    names = redis.keys(policy.name)
    keys = [names.named(name) for name in ("workers", "completed", "failed")]
    workers, running, slots, finished, finished_ms, at_ms = await redis.run(load("load"), keys, [])
    return QueueLoad(
        workers=workers, running=running, slots=slots, finished=finished, finished_ms=finished_ms, at_ms=at_ms
    )
