"""The job function of flow-processing: claim, run a turn, say how it ended."""

from collections.abc import Callable

from filas.contract.jobs import FlowJob
from filas.errors import LeaseLost, RetryLater
from filas.models.executions import ClaimedExecution
from filas.observability import logs
from filas.queue.job_functions import JobContext
from filas.tracing import spans
from flow_runner.engine.engine import Engine
from flow_runner.engine.execution_run import TurnEnd
from flow_runner.engine.ports import Clock
from flow_runner.engine.run_time_budget import Budget
from flow_runner.stores.compiled_flow_cache import Plans
from flow_runner.stores.execution_store import Executions

log = logs.get_logger(__name__)

MAX_HOLD_S = 30.0
"""When a job that waits for its node's next try looks again at the latest: the execution may have been cancelled."""


class RunFlow:
    """Runs the turn that a job names. `stopping` says whether the process is about to end."""

    def __init__(
        self, executions: Executions, plans: Plans, engine: Engine, clock: Clock, stopping: Callable[[], bool]
    ) -> None:
        self._executions = executions
        self._plans = plans
        self._engine = engine
        self._clock = clock
        self._stopping = stopping

    async def __call__(self, context: JobContext, job: FlowJob) -> dict[str, str]:
        """The job's result. Raises what the worker knows: RetryLater, StoreUnavailable, PermanentError."""
        turn = await self._turn(job)
        claimed = None if turn is None else await self._executions.claim(job.execution_id, turn)
        if claimed is None:
            if job.reason == "error" and not await self._executions.exists(job.execution_id):
                log.warning("error_flow.not_published", flow_id=job.flow_id, execution_id=str(job.execution_id))
            return {"status": "nothing-to-do"}
        if spans.is_on():
            _trace(job, claimed)
        # To be cancelled, an execution ends its turn as it does when the process stops: the next claim says that it
        # is to be cancelled.
        budget = Budget(self._clock.monotonic, lambda: self._stopping() or self._executions.is_cancelling(claimed.id))
        try:
            async with self._executions.hold(claimed):
                plan = await self._plans.get(claimed.flow_id, claimed.version)
                end = await self._engine.run(claimed, plan, budget)
        except LeaseLost:
            # Another worker runs it, and will finish it: this job is done.
            log.warning("execution.lease_lost", execution_id=str(claimed.id), job_id=context.job_id)
            return {"status": "lease-lost"}
        log.debug("execution.turn_ended", execution_id=str(claimed.id), turn=claimed.turn, status=end.status)
        self._go_on(end)
        return {"status": end.status}

    def _go_on(self, end: TurnEnd) -> None:
        """A turn that is not done yet goes on in its own job, so that its conversation's next message waits for
        it: the job holds its group, and no worker. Raises RetryLater then."""
        if end.status == "queued":
            raise RetryLater("the execution goes on", delay_s=0.0, spend_try=False)
        if end.status == "retrying" and end.wake_at is not None:
            wait_s = (end.wake_at - self._clock.now()).total_seconds()
            raise RetryLater("a node is tried again", delay_s=min(max(wait_s, 0.0), MAX_HOLD_S), spend_try=False)

    async def _turn(self, job: FlowJob) -> int | None:
        """The turn to be had; None: none here and now.

        What an operator wishes comes as a job and is written here, because only the owner of a queue writes
        what its work changes. An execution that runs is cancelled by whoever runs it.
        """
        if job.reason == "cancel":
            due = await self._executions.request_cancel(job.execution_id)
            return None if due is None or due.status == "running" else due.turn
        if job.replay:
            await self._executions.reopen(job.execution_id, job.turn)
        return job.turn


def _trace(job: FlowJob, claimed: ClaimedExecution) -> None:
    """A message for which another execution has waited: what follows belongs to the message's trace, and that of the
    execution is a link away."""
    span = spans.current()
    span.tell({"filas.execution.id": str(claimed.id), "filas.flow.id": claimed.flow_id, "filas.turn": claimed.turn})
    if claimed.id != job.execution_id:
        span.link(spans.first(claimed.event_id or claimed.id))
