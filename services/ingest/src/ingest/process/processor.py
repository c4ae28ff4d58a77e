"""From accepted events to executions: the work behind the queue `webhook-processing`.

A batch is one transaction: the missing event rows, the executions, the events' new status and the delivery statuses
that they bring. All ids derive from the event, so that a batch that is run again finds what it has written and changes
nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec

from filas.contract.identity import execution_id
from filas.contract.job_factories import delivery_receipt_job, flow_job
from filas.contract.jobs import DeliveryReceiptJob, WebhookJob
from filas.contract.new_job import NewJob
from filas.errors import PermanentError, StoreUnavailable
from filas.models.events import EventReceipt, NewEvent
from filas.models.executions import DueExecution, NewExecution
from filas.models.notifications import PendingReceipt
from filas.observability.logs import get_logger
from ingest.event.conversation import ExecutionStart
from ingest.event.event_jobs import conversation_reader, event_of_job, scope_of
from ingest.process.current_definition import WebhookStore, complete

log = get_logger(__name__)

Outcome = dict[str, Any] | BaseException
"""A job's result, or why it failed: PermanentError makes it a dead letter, anything else is tried again."""


class EventStore(Protocol):
    """Where events are written."""

    async def insert_many(self, events: Sequence[NewEvent]) -> Sequence[EventReceipt | Exception]:
        """One answer an event, in order. Raises StoreUnavailable."""


class ExecutionStore(Protocol):
    """Where executions are started."""

    async def start_many(
        self, events: list[tuple[UUID, list[NewExecution]]], statuses: Mapping[UUID, Sequence[PendingReceipt]]
    ) -> list[list[DueExecution] | PermanentError]:
        """One answer an event, in order. Raises StoreUnavailable."""


class JobStore(Protocol):
    """Where jobs are put."""

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> Sequence[object]:
        """Put all of them. Raises StoreUnavailable."""


class Processor:
    """Processes batches of webhook jobs."""

    def __init__(self, events: EventStore, executions: ExecutionStore, jobs: JobStore, webhooks: WebhookStore) -> None:
        self._events = events
        self._executions = executions
        self._jobs = jobs
        self._webhooks = webhooks

    async def process(self, jobs: Sequence[WebhookJob]) -> list[Outcome]:
        """One outcome a job, in order. Raises StoreUnavailable for the whole batch."""
        outcomes: dict[int, Outcome] = {}
        jobs = await self._complete(jobs, outcomes)
        await self._record(jobs, outcomes)
        starts: list[tuple[int, UUID, list[NewExecution]]] = []
        told: dict[UUID, list[NewJob]] = {}
        for index, job in enumerate(jobs):
            if index in outcomes:
                continue
            try:
                executions, statuses = executions_of(job), receipt_jobs(job)
            except Exception as error:  # this job's, not its neighbours'
                outcomes[index] = error
                continue
            starts.append((index, job.event_id, executions))
            if statuses:
                told[job.event_id] = statuses
        new_jobs: list[NewJob] = []
        if starts:
            answers = await self._executions.start_many(
                [(event, executions) for _, event, executions in starts],
                {event: [pending_receipt(job) for job in jobs_of] for event, jobs_of in told.items()},
            )
            for (index, event, _), answer in zip(starts, answers, strict=True):
                if isinstance(answer, BaseException):
                    outcomes[index] = answer
                    continue
                new_jobs += [flow_job(due, "start", jobs[index].traceparent) for due in answer]
                new_jobs += told.get(event, ())
                outcomes[index] = {"eventId": str(event), "executions": [str(due.id) for due in answer]}
        if new_jobs:
            await self._jobs.enqueue_many(new_jobs)
        return [outcomes[index] for index in range(len(jobs))]

    async def _complete(self, jobs: Sequence[WebhookJob], outcomes: dict[int, Outcome]) -> list[WebhookJob]:
        """Returns the jobs with what they leave to the webhook's definition; a job that cannot be completed fails."""
        completed = await complete(jobs, self._webhooks)
        outcomes.update((index, job) for index, job in enumerate(completed) if isinstance(job, PermanentError))
        return [
            original if isinstance(job, PermanentError) else job for original, job in zip(jobs, completed, strict=True)
        ]

    async def _record(self, jobs: Sequence[WebhookJob], outcomes: dict[int, Outcome]) -> None:
        """Write the rows of the events that were accepted while Postgres was away."""
        missing = [(index, job) for index, job in enumerate(jobs) if not job.recorded and index not in outcomes]
        if not missing:
            return
        rows: list[tuple[int, WebhookJob, NewEvent]] = []
        for index, job in missing:
            try:
                rows.append((index, job, event_of_job(job)))
            except (ValueError, OverflowError, OSError) as error:  # no acceptance makes such a job, a client might
                outcomes[index] = PermanentError(f"the job is no event: {error}")
        if not rows:
            return
        answers = await self._events.insert_many([row for _, _, row in rows])
        for (index, job, _), answer in zip(rows, answers, strict=True):
            if isinstance(answer, StoreUnavailable):
                raise answer
            if isinstance(answer, BaseException):
                outcomes[index] = PermanentError(f"the event can't be stored: {answer}")
            elif not answer.duplicate:
                log.info("event.recorded_late", event_id=str(job.event_id), webhook_id=job.webhook_id)


def executions_of(job: WebhookJob) -> list[NewExecution]:
    """The executions that an event starts: none for a status, one a message, one for any other webhook.

    Raises PermanentError for a template that fails.
    """
    starts = conversation_reader(job).starts(scope_of(job), job.duplicate_key or str(job.event_id))
    return [
        NewExecution(
            id=execution_id(job.event_id, start.message.id if start.message is not None else "0"),
            event_id=job.event_id,
            flow_id=job.flow_id,
            node_id=job.node_id,
            channel=start.channel,
            contact=start.contact,
            trigger=trigger_of(job, start),
        )
        for start in starts
    ]


def trigger_of(job: WebhookJob, start: ExecutionStart) -> str:
    """The scope in which the flow runs, as JSON text: `webhook`, and `message` (null without a conversation)."""
    scope = {
        "webhook": {
            **scope_of(job),
            "method": job.method,
            "webhookId": job.webhook_id,
        },
        "message": start.message,
    }
    return msgspec.json.encode(scope).decode()


def receipt_jobs(job: WebhookJob) -> list[NewJob]:
    """What a provider says of messages of ours, for their owner, the notifier."""
    made: list[NewJob] = []
    for channel, status in conversation_reader(job).statuses(scope_of(job)):
        message = DeliveryReceiptJob(
            channel_id=channel,
            provider_id=status.id,
            status=status.state,
            idempotency_key=status.key,
            timestamp=job.timestamp if status.at is None else status.at,
            error_kind=None if status.error is None else "delivery",
            error_message=status.error,
            traceparent=job.traceparent,
        )
        made.append(delivery_receipt_job(message))
    return made


def pending_receipt(job: NewJob) -> PendingReceipt:
    """What is kept of a status until its job is done, so that it outlives Redis."""
    return PendingReceipt(job_id=job.job_id, message=msgspec.json.encode(job.message).decode())
