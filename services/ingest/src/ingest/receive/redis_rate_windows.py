"""The windows of the rate limits in Redis, shared by all replicas."""

from collections.abc import Sequence

from filas.queue.redis_client import scripts
from filas.queue.redis_client.connection import Redis
from ingest.receive.rate_limit import Limit, WindowCount


class RedisRateWindows:
    """Runs lua/rate_limit.lua. All its keys share a hash slot, so one call counts for many webhooks."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = scripts.load("rate_limit", "ingest.receive")

    async def count(self, requests: Sequence[tuple[Limit, int]], /) -> list[WindowCount]:
        """Counts in one call. Raises StoreUnavailable."""
        keys = [f"{{filas-rate}}:{limit.key}:{limit.window_ms}" for limit, _ in requests]
        arguments = [number for limit, count in requests for number in (limit.max, limit.window_ms, count)]
        flat = await self._redis.run(self._script, keys, arguments)
        return [WindowCount(*map(int, flat[start : start + 4])) for start in range(0, len(flat), 4)]
