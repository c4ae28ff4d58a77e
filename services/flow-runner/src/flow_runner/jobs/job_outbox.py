"""Enqueues the jobs that follow from a written checkpoint or a due row."""

from collections.abc import Iterator, Sequence
from typing import Protocol
from uuid import UUID

from filas.contract.job_factories import (
    cancel_execution_job,
    error_flow_job,
    flow_job,
    learn_outcome_job,
    notification_job,
)
from filas.contract.jobs import FlowJob, FlowReason, LearnOutcomeJob
from filas.contract.new_job import NewJob
from filas.errors import StoreUnavailable
from filas.models.executions import DueExecution, ExecutionCancel
from filas.models.message_outcomes import UnlearnedOutcome
from filas.models.notifications import DueNotification
from filas.observability import logs
from filas.queue.relay import GRACE_S
from filas.tracing import spans
from flow_runner.stores.execution_store import Written

log = logs.get_logger(__name__)


class Jobs(Protocol):
    """The part of the producer that enqueues jobs."""

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> Sequence[object]: ...


class JobOutbox:
    """Enqueues jobs after the transaction from which they follow."""

    def __init__(self, producer: Jobs) -> None:
        self._producer = producer

    async def enqueue(self, written: list[Written]) -> bool:
        """Enqueues the jobs of each checkpoint: for its notifications and for the executions that it starts. Returns
        False if Redis is unavailable."""
        jobs = [job for pair in written for job in _jobs_of(pair)]
        if not jobs:
            return True
        try:
            await self._producer.enqueue_many(jobs)
        except StoreUnavailable as error:
            log.warning("outbox.enqueue_failed", jobs=len(jobs), store=error.store, reason=error.reason)
            return False
        return True

    async def enqueue_runs(self, due: Sequence[DueExecution]) -> None:
        """Enqueues the jobs of executions that are to be cancelled. If Redis is unavailable, the relay does it."""
        try:
            await self._producer.enqueue_many([execution_job(row, "continue") for row in due])
        except StoreUnavailable as error:
            log.warning("outbox.enqueue_failed", jobs=len(due), store=error.store, reason=error.reason)

    async def enqueue_notifications(self, notifications: Sequence[DueNotification]) -> None:
        """Enqueues the jobs of notifications, unless they exist already. Raises StoreUnavailable."""
        await self._producer.enqueue_many(
            [
                notification_job(
                    each.id, each.channel_id, each.recipient, spans.root_traceparent(each.origin_id or each.id)
                )
                for each in notifications
            ]
        )


class UnfinishedRows(Protocol):
    """The part of the repository that the relay reads."""

    async def unfinished(self, older_than_s: float, limit: int, after: UUID | None = None) -> list[DueExecution]: ...


class ExecutionRelay:
    """The executions whose job may be lost: queued for some time, or running under a lease that has expired."""

    name = "executions"

    def __init__(self, rows: UnfinishedRows) -> None:
        self._rows = rows

    async def due(self, limit: int, after: NewJob | None = None, *, older_than_s: float = GRACE_S) -> list[NewJob]:
        """One page of jobs, the longest unfinished first. `after` is the last job of the previous page."""
        last = after.message.execution_id if after and isinstance(after.message, FlowJob) else None
        return [execution_job(row, "continue") for row in await self._rows.unfinished(older_than_s, limit, last)]


class HoldingRows(Protocol):
    """The part of the repository that lists the executions that hold their conversation."""

    async def holding(self, limit: int, after: UUID | None = None) -> list[DueExecution]: ...


class HoldingExecutions:
    """The executions whose job holds their conversation although it is not due. If Redis has lost its data, these jobs
    come first: each asks for its execution, and waits as before. Regular sweeps need none of them."""

    name = "holding_executions"

    def __init__(self, rows: HoldingRows) -> None:
        self._rows = rows

    async def due(self, limit: int, after: NewJob | None = None, *, older_than_s: float = GRACE_S) -> list[NewJob]:
        """One page of jobs, of any age: `older_than_s` has no effect. `after` is the last job of the previous page."""
        del older_than_s
        last = after.message.execution_id if after and isinstance(after.message, FlowJob) else None
        return [execution_job(row, "continue") for row in await self._rows.holding(limit, last)]


class UnappliedCancels(Protocol):
    """The part of the repository of cancels that the relay reads."""

    async def unapplied_executions(
        self, older_than_s: float, limit: int, after: UUID | None = None
    ) -> list[ExecutionCancel]: ...


class ExecutionCancelRelay:
    """The cancels of executions whose command may be lost."""

    name = "execution_cancels"

    def __init__(self, cancels: UnappliedCancels) -> None:
        self._cancels = cancels

    async def due(self, limit: int, after: NewJob | None = None, *, older_than_s: float = GRACE_S) -> list[NewJob]:
        """One page of commands. `after` is the last job of the previous page."""
        last = after.message.execution_id if after and isinstance(after.message, FlowJob) else None
        return [
            cancel_execution_job(
                each.execution_id, each.flow_id, spans.root_traceparent(each.event_id or each.execution_id)
            )
            for each in await self._cancels.unapplied_executions(older_than_s, limit, last)
        ]


class UnlearnedOutcomes(Protocol):
    """The part of the repository of outcomes that the relay reads."""

    async def unlearned(self, older_than_s: float, limit: int, after: UUID | None = None) -> list[UnlearnedOutcome]: ...


class MessageOutcomeRelay:
    """The outcomes of messages that their executions do not know yet."""

    name = "message_outcomes"

    def __init__(self, outcomes: UnlearnedOutcomes) -> None:
        self._outcomes = outcomes

    async def due(self, limit: int, after: NewJob | None = None, *, older_than_s: float = GRACE_S) -> list[NewJob]:
        """One page of jobs. `after` is the last job of the previous page."""
        last = after.message.notification_id if after and isinstance(after.message, LearnOutcomeJob) else None
        unlearned = await self._outcomes.unlearned(older_than_s, limit, last)
        return [learn_outcome_job(each.notification_id, each.status) for each in unlearned]


def execution_job(due: DueExecution, reason: FlowReason) -> NewJob:
    """The job of an execution's next run, in the OpenTelemetry trace of the event that started the execution."""
    return flow_job(due, reason, spans.root_traceparent(due.event_id or due.id))


def _jobs_of(written: Written) -> Iterator[NewJob]:
    claimed, checkpoint = written
    for each in checkpoint.notifications:
        yield notification_job(each.id, each.channel_id, each.recipient, each.traceparent)
    for started in checkpoint.starts:
        yield error_flow_job(started, claimed.channel, claimed.contact)
