"""The results of jobs that keep one (`JobFunction.keep_result_s`), for whoever waits for them."""

from typing import Any

import msgspec

from filas.contract.policies import QueuePolicy
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.queue_keys import RESULT


class JobResult(msgspec.Struct, frozen=True):
    """What a finished job left: `success` and its `value`, else the error as `{"$error":{"type","message"}}`."""

    success: bool = msgspec.field(name="s")
    value: Any = msgspec.field(name="r")


_decoder = msgspec.json.Decoder(JobResult)


class JobResults:
    """Reads results. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, policy: QueuePolicy, key: str) -> JobResult | None:
        """The result of the job `key`; None where it has none (yet, or any more)."""
        raw = await self._redis.command("GET", RESULT + policy.job_id(key))
        return None if raw is None else _decoder.decode(raw)

    async def is_pending(self, policy: QueuePolicy, key: str) -> bool:
        """Whether the job stands in its queue, claimed or not, so that there may be a result later. For jobs that have
        no group."""
        return await self._redis.command("ZSCORE", policy.name, policy.job_id(key)) is not None
