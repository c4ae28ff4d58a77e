"""The job function of flow-processing: claim, run a turn, say how it ended."""

from collections.abc import Callable

from filas import logs
from filas.errors import LeaseLost
from filas.jobs import FlowJob
from filas.queue.functions import JobContext
from flow_runner.budget import Budget
from flow_runner.engine import Engine
from flow_runner.executions import Executions
from flow_runner.plans import Plans
from flow_runner.ports import Clock

log = logs.get_logger(__name__)


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
        # To be cancelled, an execution ends its turn as it does when the process stops: the next turn's claim
        # says that it is to be cancelled.
        budget = Budget(
            self._clock.monotonic, lambda: self._stopping() or self._executions.is_cancelling(job.execution_id)
        )
        turn = await self._turn(job)
        claimed = None if turn is None else await self._executions.claim(job.execution_id, turn)
        if claimed is None:
            return {"status": "nothing-to-do"}
        try:
            async with self._executions.hold(claimed):
                plan = await self._plans.get(claimed.flow_id, claimed.version)
                status = await self._engine.run(claimed, plan, budget)
        except LeaseLost:
            # Another worker runs it, and will finish it: this job is done.
            log.warning("execution.lease_lost", execution_id=str(job.execution_id), job_id=context.job_id)
            return {"status": "lease-lost"}
        log.debug("execution.turn_ended", execution_id=str(job.execution_id), turn=job.turn, status=status)
        return {"status": status}

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
