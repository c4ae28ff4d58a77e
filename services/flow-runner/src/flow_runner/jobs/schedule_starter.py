"""Begins flows at the ticks of their schedules: what is due stands in their rows, so nothing is kept in memory."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from filas.errors import StoreUnavailable
from filas.flows.timing.schedule_ticks import due_ticks
from filas.models.schedules import DueTicks, Schedule
from filas.observability import logs, metrics
from filas.repository.definitions.schedules import ScheduleRun
from filas.tracing import spans
from flow_runner.jobs.job_outbox import Jobs, execution_job

log = logs.get_logger(__name__)

BATCH = 20
"""How many schedules one transaction deals with: one that catches up may start hundreds of executions."""

POLL_S = 1.0
"""The longest sleep: a schedule may be put or changed at any moment."""

AWAY_S = 1.0
SKIPPED_S = 0.1
"""How long to wait where another worker deals with what is due."""

_SHORTEST_S = 0.01


class ScheduleRows(Protocol):
    """What is needed of the repository."""

    async def seconds_to_next_tick(self) -> float | None: ...

    async def run_due(
        self, limit: int, due_ticks: Callable[[Schedule, datetime], DueTicks]
    ) -> Sequence[ScheduleRun]: ...


class Schedules:
    """Starts the executions of due ticks. Any number of workers may run one: a tick is run by one of them."""

    def __init__(self, rows: ScheduleRows, producer: Jobs) -> None:
        self._rows = rows
        self._producer = producer
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                sleep_s = await self.run_due()
                self._failures = 0
            except StoreUnavailable as error:
                # A tick that was written and whose job was not put is found by the relay.
                self._failures += 1
                if self._failures == 2:
                    log.warning("schedules.store_away", store=error.store, reason=error.reason)
                sleep_s = AWAY_S
            await asyncio.sleep(sleep_s)

    async def run_due(self) -> float:
        """Starts what is due, and gives the seconds to sleep until the next run."""
        wait_s = await self._rows.seconds_to_next_tick()
        if wait_s is None:
            return POLL_S
        if wait_s > 0:
            return min(POLL_S, max(_SHORTEST_S, wait_s))
        runs = await self._rows.run_due(BATCH, due_ticks)
        for run in runs:
            _tell(run)
        if spans.is_on():
            _trace(runs)
        jobs = [execution_job(execution, "start") for run in runs for execution in run.started]
        if jobs:
            await self._producer.enqueue_many(jobs)
        return 0.0 if runs else SKIPPED_S


def _trace(runs: Sequence[ScheduleRun]) -> None:
    """No event has started these: their traces begin here."""
    for run in runs:
        for due in run.started:
            attributes = {"filas.schedule.id": run.schedule.id, "filas.execution.id": str(due.id)}
            spans.span(f"schedule {run.schedule.id}", "internal", None, attributes, first_of=due.id).end()


def _tell(run: ScheduleRun) -> None:
    """What became of a schedule's ticks, in the log and in the metrics."""
    schedule, ticks = run.schedule, run.ticks
    started, failed = len(run.started), len(ticks.run) - len(run.started)
    metrics.SCHEDULE_RUNS.labels("started").inc(started)
    metrics.SCHEDULE_RUNS.labels("failed").inc(failed + (ticks.error is not None))
    for tick in ticks.run if run.started else ():
        metrics.SCHEDULE_LAG.observe((run.decided_at - tick).total_seconds())
    if ticks.missed:
        metrics.SCHEDULE_MISFIRES.labels(schedule.misfire).inc()
        log.warning("schedules.missed", schedule=schedule.id, misfire=schedule.misfire,
                    since=str(schedule.next_run_at), runs=len(ticks.run))  # fmt: skip
    if run.error is not None:
        tell = log.warning if run.new_error else log.debug
        tell("schedules.not_started", schedule=schedule.id, flow=schedule.flow_id, error=run.error.message)
    else:
        log.debug("schedules.started", schedule=schedule.id, flow=schedule.flow_id, executions=started)
