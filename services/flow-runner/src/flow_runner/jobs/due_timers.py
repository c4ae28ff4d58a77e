"""Enqueues the jobs of executions whose wait or delay has ended. The time is in their rows, not in memory."""

from typing import Protocol

from filas.models.executions import DueExecution
from filas.observability import logs
from filas.periodic import periodic
from flow_runner.jobs.job_outbox import Jobs, execution_job

log = logs.get_logger(__name__)

BATCH = 500
POLL_S = 0.5
"""The longest sleep: another worker may write an earlier time at any moment."""

_SHORTEST_S = 0.01


class DueRows(Protocol):
    """The part of the repository that finds due executions."""

    async def queue_due(self, limit: int) -> list[DueExecution]: ...

    async def seconds_to_next_wake(self) -> float | None: ...


class DueTimers:
    """Enqueues a job for each due row. Several workers may do so at the same time: each row is returned to one."""

    def __init__(self, rows: DueRows, producer: Jobs) -> None:
        self._rows = rows
        self._producer = producer

    async def run(self) -> None:
        """Runs until it is cancelled."""
        # If a store is unavailable, rows may be marked as queued without a job. The relay finds them.
        await periodic("due-timers", self.wake_due, POLL_S)

    async def wake_due(self) -> float:
        """Enqueues the jobs of due rows. Returns the seconds to sleep until the next call."""
        due = await self._rows.queue_due(BATCH)
        if due:
            await self._producer.enqueue_many([execution_job(row, "timer") for row in due])
            log.debug("timers.due", executions=len(due))
        if len(due) == BATCH:
            return 0.0
        wait_s = await self._rows.seconds_to_next_wake()
        return POLL_S if wait_s is None else min(POLL_S, max(_SHORTEST_S, wait_s))
