"""Starts flows at the ticks of their schedules. The next tick is in the schedule's row, not in memory."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from filas.flows.timing.schedule_ticks import due_ticks
from filas.models.schedules import DueTicks, Schedule
from filas.observability import logs, metrics
from filas.periodic import periodic
from filas.repository.definitions.schedules import ScheduleRun
from filas.tracing import spans
from flow_runner.jobs.job_outbox import Jobs, execution_job

log = logs.get_logger(__name__)

BATCH = 20
"""The number of schedules in one transaction: a schedule that catches up may start hundreds of executions."""

POLL_S = 1.0
"""The longest sleep: a schedule may be stored or changed at any moment."""

SKIPPED_S = 0.1
"""The wait if another worker starts the due ticks."""

_SHORTEST_S = 0.01


class ScheduleRows(Protocol):
    """The part of the repository that finds due schedules."""

    async def seconds_to_next_tick(self) -> float | None: ...

    async def run_due(
        self, limit: int, due_ticks: Callable[[Schedule, datetime], DueTicks]
    ) -> Sequence[ScheduleRun]: ...


class ScheduleStarter:
    """Starts the executions of due ticks. Several workers may do so at the same time: each tick is started by one."""

    def __init__(self, rows: ScheduleRows, producer: Jobs) -> None:
        self._rows = rows
        self._producer = producer

    async def run(self) -> None:
        """Runs until it is cancelled."""
        # If Redis is unavailable, a tick may be written without its job. The relay finds it.
        await periodic("schedules", self.run_due, POLL_S)

    async def run_due(self) -> float:
        """Starts the due ticks. Returns the seconds to sleep until the next call."""
        wait_s = await self._rows.seconds_to_next_tick()
        if wait_s is None:
            return POLL_S
        if wait_s > 0:
            return min(POLL_S, max(_SHORTEST_S, wait_s))
        runs = await self._rows.run_due(BATCH, due_ticks)
        for run in runs:
            _report(run)
        if spans.is_on():
            _trace(runs)
        jobs = [execution_job(execution, "start") for run in runs for execution in run.started]
        if jobs:
            await self._producer.enqueue_many(jobs)
        return 0.0 if runs else SKIPPED_S


def _trace(runs: Sequence[ScheduleRun]) -> None:
    """The first span of each execution's OpenTelemetry trace: no event started these executions."""
    for run in runs:
        for due in run.started:
            attributes = {"filas.schedule.id": run.schedule.id, "filas.execution.id": str(due.id)}
            spans.span(f"schedule {run.schedule.id}", "internal", None, attributes, root_of=due.id).end()


def _report(run: ScheduleRun) -> None:
    """Reports the outcome of a schedule's ticks in the log and in the metrics."""
    schedule, ticks = run.schedule, run.ticks
    started, failed = len(run.started), len(ticks.run) - len(run.started)
    metrics.SCHEDULE_RUNS.labels("started").inc(started)
    metrics.SCHEDULE_RUNS.labels("failed").inc(failed + (ticks.error is not None))
    for tick in ticks.run if run.started else ():
        metrics.SCHEDULE_LAG.observe((run.decided_at - tick).total_seconds())
    if ticks.missed:
        metrics.SCHEDULE_MISFIRES.labels(schedule.misfire).inc()
        log.warning("schedules.ticks_missed", schedule=schedule.id, misfire=schedule.misfire,
                    since=str(schedule.next_run_at), runs=len(ticks.run))  # fmt: skip
    if run.error is not None:
        report = log.warning if run.new_error else log.debug
        report("schedules.not_started", schedule=schedule.id, flow=schedule.flow_id, error=run.error.message)
    else:
        log.debug("schedules.started", schedule=schedule.id, flow=schedule.flow_id, executions=started)
