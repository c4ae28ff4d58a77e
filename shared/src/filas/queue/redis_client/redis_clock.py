"""The clock of Redis, as this process knows it."""

import time

from filas.queue.redis_client.connection import Redis


class RedisClock:
    """The time of Redis at its last reply, and the monotonic time since then. Before the first reply: the wall clock.

    A producer notes in each job when it was enqueued. With their own clocks, two producers and a worker could disagree
    by hours about the age of a job.
    """

    def __init__(self) -> None:
        self._base_s: float | None = None

    def set(self, now_ms: float) -> None:
        """Stores the time of a reply that has just arrived, in Unix ms."""
        self._base_s = now_ms / 1000 - time.monotonic()

    def now_ms(self) -> int:
        """Returns the Unix time in ms."""
        now_s = time.time() if self._base_s is None else self._base_s + time.monotonic()
        return int(now_s * 1000)


async def read_time_s(redis: Redis) -> float:
    """Returns the Unix time of Redis in seconds. Raises StoreUnavailable."""
    seconds, micros = await redis.command("TIME")
    return int(seconds) + int(micros) / 1_000_000
