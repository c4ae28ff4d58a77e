"""Wakes executions whose time has come: the time stands in their rows, so nothing is kept in memory."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from filas.errors import StoreUnavailable
from filas.models.executions import DueExecution
from filas.observability import logs
from flow_runner.jobs.job_outbox import Jobs, execution_job

log = logs.get_logger(__name__)

BATCH = 500
POLL_S = 0.5
"""The longest sleep: another worker may write an earlier time at any moment."""

AWAY_S = 1.0
_SHORTEST_S = 0.01


class DueRows(Protocol):
    """What is needed of the repository."""

    async def queue_due(self, limit: int) -> list[DueExecution]: ...

    async def next_wake(self) -> datetime | None: ...


class Timers:
    """Turns due rows into jobs. Any number of workers may run one: a row is given to one of them."""

    def __init__(self, rows: DueRows, producer: Jobs, now: Callable[[], datetime]) -> None:
        self._rows = rows
        self._producer = producer
        self._now = now
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                wait_s = await self.wake_due()
                self._failures = 0
            except StoreUnavailable as error:
                # Rows that are marked queued and have no job yet are found by the relay. Said once an absence,
                # and not for the moment that a process needs to connect.
                self._failures += 1
                if self._failures == 2:
                    log.warning("timers.store_away", store=error.store, reason=error.reason)
                wait_s = AWAY_S
            await asyncio.sleep(wait_s)

    async def wake_due(self) -> float:
        """Puts the jobs of what is due, and gives the seconds to sleep until the next look."""
        due = await self._rows.queue_due(BATCH)
        if due:
            await self._producer.enqueue_many([execution_job(row, "timer") for row in due])
            log.debug("timers.woken", executions=len(due))
        if len(due) == BATCH:
            return 0.0
        next_wake = await self._rows.next_wake()
        if next_wake is None:
            return POLL_S
        return min(POLL_S, max(_SHORTEST_S, (next_wake - self._now()).total_seconds()))
