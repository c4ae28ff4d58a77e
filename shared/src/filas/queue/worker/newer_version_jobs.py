"""The jobs of a queue that wait for a worker of a newer version.

A worker that does not know a job's function or version defers the job and notes in `{q}:newer` that it has seen it
(`finish.lua`). A worker that finds a job there that it has not seen makes the job due at once, because it may be newer.
So a new worker gets the waiting jobs within a second or two, although older workers look at them only once a minute.
"""

import time
from typing import Final

from filas.contract.policies import QueuePolicy
from filas.observability.logs import get_logger
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load

OFFER_S: Final = 1.0
"""How often a worker looks for jobs that it has not seen."""

SEEN_ID_CHARS: Final = 12
"""The length of the part of a worker's id that `{q}:newer` holds."""

_PAGE: Final = 200
_PAGES: Final = 50
_LOG_AGAIN_S: Final = 60.0
_MAX_REASONS: Final = 100

_log = get_logger(__name__)


class NewerVersionJobs:
    """Offers the waiting jobs of a queue to the worker `worker_id`."""

    def __init__(self, redis: Redis, policy: QueuePolicy, worker_id: str) -> None:
        self._redis = redis
        names = redis.keys(policy.name)
        self._key = names.named("newer")
        self._keys = names.of("wake", "newer")
        self._script = load("offer")
        self._own = worker_id[:SEEN_ID_CHARS].encode()
        self._cursor = 0

    async def offer(self) -> None:
        """Makes the waiting jobs due that this worker has not seen. Reads one page of the waiting jobs, and goes on as
        long as the pages have such jobs. Raises StoreUnavailable."""
        for _ in range(_PAGES):
            answer = await self._redis.command("HSCAN", self._key, self._cursor, "COUNT", _PAGE)
            self._cursor = int(answer[0])
            unseen = [raw_id for raw_id, value in answer[1].items() if self._own not in value]
            for start in range(0, len(unseen), _PAGE):
                await self._redis.run(self._script, self._keys, unseen[start : start + _PAGE])
            if self._cursor == 0 or not unseen:
                return


class ReasonLog:
    """Logs each reason at most once a minute: thousands of jobs may wait for the same one."""

    def __init__(self, policy: QueuePolicy) -> None:
        self._policy = policy
        self._logged_at: dict[str, float] = {}

    def add(self, job_id: str, function: str, reason: str) -> None:
        """Logs that a job waits for a newer version, unless its reason was logged a moment ago."""
        now = time.monotonic()
        if now - self._logged_at.get(reason, float("-inf")) < _LOG_AGAIN_S:
            return
        if len(self._logged_at) >= _MAX_REASONS:
            self._logged_at.clear()
        self._logged_at[reason] = now
        _log.warning("job.newer_version", queue=self._policy.name, job_id=job_id, function=function, reason=reason)
