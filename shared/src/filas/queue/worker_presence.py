"""The heartbeats of workers: each worker reports every two seconds that it is alive, and how busy it is."""

from typing import Final

import msgspec

from filas.contract.policies import QueuePolicy
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load

HEARTBEAT_S: Final = 2.0
PRESENT_MS: Final = int(HEARTBEAT_S * 3000)
"""A worker counts as alive until three heartbeats are missing."""


class QueueLoad(msgspec.Struct, frozen=True, kw_only=True):
    """How busy the workers of a queue are at `at_ms` (Unix ms by the clock of Redis).

    `workers` is the number of live workers. Together they have `slots`, of which `running` run a handler (of a batch
    function: a batch). `finished` is the number of jobs that completed or failed in the last `finished_ms`, which is
    one to two minutes. Stock arq workers send no heartbeats and are not counted.
    """

    workers: int
    running: int
    slots: int
    finished: int
    finished_ms: int
    at_ms: int


async def beat(redis: Redis, policy: QueuePolicy, worker_id: str, running: int, slots: int) -> None:
    """Writes the heartbeat of a worker. Raises StoreUnavailable."""
    await redis.run(load("beat"), [redis.keys(policy.name).named("workers")], [worker_id, PRESENT_MS, running, slots])


async def leave(redis: Redis, policy: QueuePolicy, worker_id: str) -> None:
    """Removes the heartbeat of a worker that stops. Raises StoreUnavailable."""
    await redis.run(load("beat"), [redis.keys(policy.name).named("workers")], [worker_id, 0, 0, 0])


async def read_load(redis: Redis, policy: QueuePolicy) -> QueueLoad:
    """Returns how busy the workers of the queue are. Raises StoreUnavailable."""
    names = redis.keys(policy.name)
    keys = [names.named(name) for name in ("workers", "completed", "failed")]
    workers, running, slots, finished, finished_ms, at_ms = await redis.run(load("load"), keys, [])
    return QueueLoad(
        workers=workers, running=running, slots=slots, finished=finished, finished_ms=finished_ms, at_ms=at_ms
    )
