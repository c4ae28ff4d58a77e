"""The windows of the rate limits in Redis, where all replicas count together."""

from collections.abc import Sequence

from filas.queue.redis_client import scripts
from filas.queue.redis_client.connection import Redis
from ingest.receive.rate_limit import Limit, Taken


class RedisWindows:
    """Runs lua/rate_limit.lua. All its keys share a hash slot, so one call does for every webhook."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = scripts.load("rate_limit", "ingest.receive")

    async def take(self, asked: Sequence[tuple[Limit, int]]) -> list[Taken]:
        """Count in one call. Raises StoreUnavailable."""
        keys = [f"{{filas-rate}}:{limit.key}:{limit.window_ms}" for limit, _ in asked]
        arguments = [number for limit, count in asked for number in (limit.max, limit.window_ms, count)]
        flat = await self._redis.run(self._script, keys, arguments)
        return [Taken(*map(int, flat[start : start + 4])) for start in range(0, len(flat), 4)]
