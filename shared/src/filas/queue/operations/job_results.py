"""Reads the results of jobs whose function stores them (`JobFunction.keep_result_s`)."""

from typing import Any

import msgspec

from filas.contract.policies import QueuePolicy
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.queue_keys import RESULT


class JobResult(msgspec.Struct, frozen=True):
    """The result of a finished job. If `success` is false, `value` is `{"$error":{"type":…,"message":…}}`."""

    success: bool = msgspec.field(name="s")
    value: Any = msgspec.field(name="r")


_decoder = msgspec.json.Decoder(JobResult)


class JobResults:
    """Reads results. Every method raises StoreUnavailable."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, policy: QueuePolicy, key: str) -> JobResult | None:
        """Returns the result of the job `key`, or None if none is stored (yet or any more)."""
        raw = await self._redis.command("GET", RESULT + policy.job_id(key))
        return None if raw is None else _decoder.decode(raw)

    async def is_pending(self, policy: QueuePolicy, key: str) -> bool:
        """Whether the job is waiting, delayed or active, so that a result may follow. Only for jobs without a group."""
        return await self._redis.command("ZSCORE", policy.name, policy.job_id(key)) is not None
