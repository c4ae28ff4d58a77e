"""The jobs of recorded events that Redis did not take: they are enqueued when Redis answers again, in their order.

The rows of the events are in Postgres, so the relay enqueues the jobs too, if this process ends before.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from filas.contract.new_job import NewJob
from filas.errors import StoreUnavailable
from filas.observability.logs import get_logger

log = get_logger(__name__)

MAX_JOBS: Final = 10_000
MAX_BYTES: Final = 8 * 1024 * 1024
"""How many jobs, and how many bytes of bodies, are kept. Jobs beyond that are left to the relay."""

BATCH: Final = 500
RETRY_S: Final = 0.25
TIMEOUT_S: Final = 5.0
DRAIN_S: Final = 3.0
"""How long a process that stops waits for Redis."""


class JobStore(Protocol):
    """Where jobs are enqueued."""

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> Sequence[object]:
        """Enqueues the jobs, unless they are in their queue. Raises StoreUnavailable."""


class MissedJobs:
    """Keeps jobs, and tries to enqueue the first one every RETRY_S seconds until Redis takes it."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs
        self._waiting: deque[tuple[NewJob, int]] = deque()
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether jobs wait. A later job of the same conversation must not overtake them."""
        return bool(self._waiting)

    def add(self, job: NewJob, size: int) -> None:
        """Keeps the job of an event whose body has `size` bytes."""
        if len(self._waiting) >= MAX_JOBS or self._bytes + size > MAX_BYTES:
            return
        self._waiting.append((job, size))
        self._bytes += size
        if self._task is None:
            self._task = asyncio.create_task(self._enqueue_all(), name="missed-jobs")

    async def close(self, timeout_s: float = DRAIN_S) -> None:
        """Waits until Redis has taken the jobs, at most `timeout_s` seconds. The relay enqueues the rest: later jobs of
        their conversations may overtake these."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout_s)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _enqueue_all(self) -> None:
        enqueued, limit = 0, 1
        try:
            while self._waiting:
                batch = [self._waiting[index][0] for index in range(min(limit, len(self._waiting)))]
                try:
                    async with asyncio.timeout(TIMEOUT_S):
                        await self._jobs.enqueue_many(batch)
                except (StoreUnavailable, TimeoutError):
                    limit = 1
                    await asyncio.sleep(RETRY_S)
                    continue
                except Exception as error:  # the relay enqueues them
                    log.error("missed_jobs.failed", jobs=len(batch), exc_info=error)
                for _ in batch:
                    self._bytes -= self._waiting.popleft()[1]
                enqueued, limit = enqueued + len(batch), BATCH
        finally:
            self._task = None
            log.info("missed_jobs.enqueued", jobs=enqueued, left=len(self._waiting))
