"""The job function `learn_outcome` of flow-processing: what follows from the outcome of a message."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol
from uuid import UUID

from filas.contract import identity
from filas.contract.jobs import LearnOutcomeJob
from filas.contract.new_job import NewJob
from filas.contract.policies import FLOWS, QueuePolicy
from filas.errors import FilasError, PermanentError, RetryLater
from filas.models.executions import DueExecution, FollowingExecution
from filas.models.message_outcomes import LateFailure, LearnedOutcome
from filas.observability import logs
from filas.queue.job_functions import JobContext
from filas.queue.producer import EnqueueOutcome
from flow_runner.engine.error_flow import undelivered_trigger
from flow_runner.engine.ports import Flows
from flow_runner.jobs.job_outbox import Jobs, execution_job

RUNNING_WAIT_S: Final = 0.5
"""When to ask again for an execution that a worker runs, in seconds. Its next checkpoint shows whether it waits."""

PROMOTE_WAITS_S: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""The waits before a job that is active is promoted again. After that, the job asks itself (HELD_RETRY_S)."""

log = logs.get_logger(__name__)


class OutcomeRows(Protocol):
    """The table of outcomes (`MessageOutcomeRepository`)."""

    async def learn_many(self, notification_ids: Sequence[UUID]) -> Sequence[LearnedOutcome | FilasError]: ...

    async def finish_late(self, notification_id: UUID, start: FollowingExecution | None) -> DueExecution | None: ...


class Promotions(Protocol):
    """The part of the control of jobs that makes a job due (`JobControl`)."""

    async def promote(self, policy: QueuePolicy, job_id: str) -> str:
        """Makes a delayed job due now. Returns `running` if the job is active. Raises StoreUnavailable."""


class LearnOutcomes:
    """Resumes the executions that wait for a message, and starts the flows for messages that have failed late.

    The outcome is removed in the statement that writes what follows from it. The execution's row is then the outbox of
    its job, so a job that is lost is enqueued by the relay.
    """

    def __init__(self, rows: OutcomeRows, flows: Flows, producer: Jobs, control: Promotions) -> None:
        self._control = control
        self._rows = rows
        self._flows = flows
        self._producer = producer

    async def __call__(self, jobs: list[tuple[JobContext, LearnOutcomeJob]]) -> Sequence[str | Exception]:
        """One outcome per job. Raises StoreUnavailable."""
        learned = await self._rows.learn_many([job.notification_id for _, job in jobs])
        resumed = {one.id: one for one in learned if isinstance(one, DueExecution)}
        if resumed:
            await self._continue([execution_job(due, "resume") for due in resumed.values()])
        return [await self._result(one) for one in learned]

    async def _continue(self, jobs: Sequence[NewJob]) -> None:
        """Enqueues the jobs. The job of an execution that holds its conversation exists already, and is due now."""
        outcomes = await self._producer.enqueue_many(jobs)
        held = [job.job_id for job, outcome in zip(jobs, outcomes, strict=True) if outcome == EnqueueOutcome.DUPLICATE]
        for wait_s in PROMOTE_WAITS_S:
            # The job that has begun the wait may not have ended yet.
            held = [one for one in held if await self._control.promote(FLOWS, one) == "running"]
            if not held:
                return
            await asyncio.sleep(wait_s)

    async def _result(self, learned: LearnedOutcome | FilasError) -> str | Exception:
        if isinstance(learned, FilasError):
            return learned
        if isinstance(learned, DueExecution):
            return "resumed"
        if isinstance(learned, LateFailure):
            return await self._start_flow(learned)
        if learned == "running":
            return RetryLater("a worker runs the execution", delay_s=RUNNING_WAIT_S, uses_attempt=False)
        return "nothing-to-do"

    async def _start_flow(self, failure: LateFailure) -> str | Exception:
        """Starts the flow for undelivered messages that the execution's flow names, once for each message."""
        notification_id = failure.notification_id
        try:
            flow = await self._flows.get(failure.flow_id, failure.version)
        except PermanentError as error:
            return error
        flow_id, trigger = flow.settings.undelivered_flow_id, undelivered_trigger(failure)
        log.warning(
            "message.undelivered",
            notification_id=str(notification_id),
            execution_id=str(failure.execution_id),
            flow_id=failure.flow_id,
            reason=None if failure.error is None else failure.error.message,
        )
        start = None
        if flow_id is not None and trigger is not None and not failure.node_has_failed:
            new_id = identity.undelivered_execution_id(notification_id)
            start = FollowingExecution(id=new_id, flow_id=flow_id, trigger=trigger)
        due = await self._rows.finish_late(notification_id, start)
        if due is not None:
            await self._producer.enqueue_many([execution_job(due, "start")])
            return "started"
        return "nothing-to-do"
