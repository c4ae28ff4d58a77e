"""Keeps the abort set of a queue complete and bounded.

A cancel is stored in Postgres (`CancelSource`) and then written to the abort set, which a claim reads. The abort set
loses entries if Redis is emptied, or if Redis became unavailable between the two writes; they are loaded again here.
The entry of a job leaves the set when the job ends, and only then. `finish.lua` notes the id in `{q}:cancelled`, from
where the stored cancel is deleted.
"""

from typing import Final

from filas.contract.policies import QueuePolicy
from filas.queue.job_functions import CancelSource
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load

SYNC_S: Final = 30.0
"""How often the stored cancels are compared with the abort set."""

KEPT_MS: Final = 3_600_000
"""How long an entry without a job is kept: a stock client may cancel a job before its producer has enqueued it."""

_PAGE: Final = 500


class JobCancels:
    """The cancels of one queue. Every method raises StoreUnavailable."""

    def __init__(self, redis: Redis, policy: QueuePolicy, source: CancelSource | None, worker_id: str) -> None:
        self._redis = redis
        self._queue = policy.name
        self._source = source
        self._worker_id = worker_id
        names = redis.keys(policy.name)
        self._abort, self._ended, self._lock = names.abort, names.named("cancelled"), names.named("cancels")

    async def load(self) -> None:
        """Writes every stored cancel to the abort set, unless its job has ended."""
        after: bytes | None = b""
        while self._source is not None and after is not None:
            ids = await self._source.jobs(self._queue, _PAGE, after)
            if ids:
                await self._redis.run(load("load_cancels"), [self._abort, self._ended], ids)
            after = ids[-1] if len(ids) == _PAGE else None

    async def sync(self) -> None:
        """Deletes the cancels of jobs that have ended, and the entries of jobs that do not exist. Then loads."""
        # One worker of the queue does so at a time. The lock expires before the next call.
        if not await self._redis.command("SET", self._lock, self._worker_id, "NX", "PX", int(SYNC_S * 900)):
            return
        await self._delete_ended()
        await self._prune()
        await self.load()

    async def _delete_ended(self) -> None:
        cursor = 0
        while True:
            cursor, ids = await self._redis.command("SSCAN", self._ended, cursor, "COUNT", _PAGE)
            ids = list(ids)
            if ids:
                if self._source is not None:
                    await self._source.delete_jobs(self._queue, ids)
                await self._redis.command("SREM", self._ended, *ids)
            if not int(cursor):
                return

    async def _prune(self) -> None:
        cursor = 0
        while True:
            cursor, found = await self._redis.command("ZSCAN", self._abort, cursor, "COUNT", _PAGE)
            if found:
                await self._redis.run(load("prune_aborts"), [self._abort], [KEPT_MS, *(raw_id for raw_id, _ in found)])
            if not int(cursor):
                return
