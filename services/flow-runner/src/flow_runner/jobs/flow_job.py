"""The job function of flow-processing: claims the execution, runs it, and returns its status."""

from collections.abc import Callable

from filas.contract.jobs import FlowJob
from filas.errors import LeaseLost, RetryLater
from filas.models.executions import HELD_RETRY_S, ClaimedExecution
from filas.observability import logs
from filas.queue.job_functions import JobContext
from filas.tracing import spans
from flow_runner.engine.engine import Engine
from flow_runner.engine.execution_run import RunResult
from flow_runner.engine.ports import Clock
from flow_runner.stores.compiled_flow_cache import CompiledFlowCache
from flow_runner.stores.execution_store import Executions

log = logs.get_logger(__name__)

MAX_HOLD_S = 30.0
"""A job that waits for its node's next attempt looks again after this time at the latest, because an operator may have
cancelled the execution."""


class RunFlow:
    """Runs the execution that a job names. `stopping` returns True while the process is about to end.

    The number of the run is `turn` in jobs and columns.
    """

    def __init__(
        self,
        executions: Executions,
        flows: CompiledFlowCache,
        engine: Engine,
        clock: Clock,
        stopping: Callable[[], bool],
    ) -> None:
        self._executions = executions
        self._flows = flows
        self._engine = engine
        self._clock = clock
        self._stopping = stopping

    async def __call__(self, context: JobContext, job: FlowJob) -> dict[str, str]:
        """The job's result. Raises what the worker handles: RetryLater, StoreUnavailable, NewerVersionRequired,
        PermanentError."""
        turn = await self._due_turn(job)
        claimed = None if turn is None else await self._executions.claim(job.execution_id, turn)
        if claimed is None:
            if job.reason == "error" and not await self._executions.exists(job.execution_id):
                log.warning("error_flow.not_published", flow_id=job.flow_id, execution_id=str(job.execution_id))
            return {"status": "nothing-to-do"}
        if spans.is_on():
            _trace(job, claimed)
        began_s = self._clock.monotonic()
        try:
            async with self._executions.hold(claimed) as loaded:
                flow = await self._flows.get(claimed.flow_id, claimed.version)
                # A cancelled execution ends its run as it does when the process stops. The next claim reports that a
                # cancellation was requested.
                result = await self._engine.run(
                    loaded, flow, lambda: self._stopping() or self._executions.must_pause(claimed.id), began_s
                )
                del loaded
        except LeaseLost:
            # The job ends after the run of the execution, in this worker or another one: before that, the next message
            # of the conversation must not begin. The next claim enqueues the jobs that are missing.
            log.warning("execution.lease_lost", execution_id=str(claimed.id), job_id=context.job_id)
            raise RetryLater("the lease of the execution was lost", delay_s=0.0, uses_attempt=False) from None
        log.debug("execution.run_ended", execution_id=str(claimed.id), run=claimed.turn, status=result.status)
        self._continue(result)
        return {"status": result.status}

    def _continue(self, result: RunResult) -> None:
        """Raises RetryLater for an execution that continues without a wait, or after one that holds the conversation.
        It continues in the same job, which keeps its group but no worker, so that the conversation's next message waits
        for it."""
        if result.status == "queued":
            raise RetryLater("the execution continues", delay_s=0.0, uses_attempt=False)
        if result.status == "retrying" and result.wake_at is not None:
            raise RetryLater("a node is retried", delay_s=min(result.wait_s, MAX_HOLD_S), uses_attempt=False)
        if result.status == "waiting-callback" and result.keeps_turn:
            delay_s = min(result.wait_s, HELD_RETRY_S)
            raise RetryLater("a node waits for its message", delay_s=delay_s, uses_attempt=False)

    async def _due_turn(self, job: FlowJob) -> int | None:
        """The number of the run that the job may do now; None: none.

        A command of an operator arrives as a job and is written here, because only the owner of a queue writes what the
        queue's work changes. The worker that runs an execution ends it when its cancellation is requested.
        """
        if job.reason == "cancel":
            due = await self._executions.request_cancel(job.execution_id)
            return None if due is None or due.status == "running" else due.turn
        if job.replay:
            await self._executions.reopen(job.execution_id, job.turn)
        return job.turn


def _trace(job: FlowJob, claimed: ClaimedExecution) -> None:
    """If the job's message resumes another execution, the span stays in the message's OpenTelemetry trace and links to
    that of the execution."""
    span = spans.current()
    span.set_attributes(
        {"filas.execution.id": str(claimed.id), "filas.flow.id": claimed.flow_id, "filas.turn": claimed.turn}
    )
    if claimed.id != job.execution_id:
        span.link(spans.root_traceparent(claimed.event_id or claimed.id))
