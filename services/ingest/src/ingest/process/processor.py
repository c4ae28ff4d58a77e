"""From accepted events to executions: the work behind the queue `webhook-processing`.

A batch is one transaction: the missing event rows, the executions, the events' new status and the delivery statuses
that they bring. All ids derive from the event, so that a batch that is run again finds what it has written and changes
nothing.
"""

import functools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from filas.contract.identity import execution_id
from filas.contract.jobs import (
    UPDATE_DELIVERY_STATUS,
    DeliveryStatusJob,
    FlowJob,
    Traceparent,
    WebhookJob,
    delivery_status_job_key,
    flow_job_key,
)
from filas.contract.policies import FLOWS, NOTIFICATIONS
from filas.errors import PermanentError, StoreUnavailable
from filas.models.configuration import ConversationRule
from filas.models.events import EventReceipt, NewEvent
from filas.models.executions import DueExecution, NewExecution
from filas.models.notifications import NewDeliveryStatus
from filas.observability.logs import get_logger
from filas.queue.producer import NewJob
from ingest.event import body_parsing
from ingest.event.conversation import ConversationReader, Turn, group_of
from ingest.event.event_jobs import AcceptedUnder

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
        self, events: list[tuple[UUID, list[NewExecution]]], statuses: Mapping[UUID, Sequence[NewDeliveryStatus]]
    ) -> list[list[DueExecution] | PermanentError]:
        """One answer an event, in order. Raises StoreUnavailable."""


class JobStore(Protocol):
    """Where jobs are put."""

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> Sequence[object]:
        """Put all of them. Raises StoreUnavailable."""


class Processor:
    """Processes batches of webhook jobs."""

    def __init__(self, events: EventStore, executions: ExecutionStore, jobs: JobStore) -> None:
        self._events = events
        self._executions = executions
        self._jobs = jobs

    async def process(self, jobs: Sequence[WebhookJob]) -> list[Outcome]:
        """One outcome a job, in order. Raises StoreUnavailable for the whole batch."""
        outcomes: dict[int, Outcome] = {}
        await self._record(jobs, outcomes)
        starts: list[tuple[int, UUID, list[NewExecution]]] = []
        told: dict[UUID, list[NewJob]] = {}
        for index, job in enumerate(jobs):
            if index in outcomes:
                continue
            try:
                executions, statuses = executions_of(job), status_jobs(job)
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
                {event: [status_row(job) for job in jobs_of] for event, jobs_of in told.items()},
            )
            for (index, event, _), answer in zip(starts, answers, strict=True):
                if isinstance(answer, BaseException):
                    outcomes[index] = answer
                    continue
                new_jobs += [flow_job(due, jobs[index].traceparent) for due in answer]
                new_jobs += told.get(event, ())
                outcomes[index] = {"eventId": str(event), "executions": [str(due.id) for due in answer]}
        if new_jobs:
            await self._jobs.enqueue_many(new_jobs)
        return [outcomes[index] for index in range(len(jobs))]

    async def _record(self, jobs: Sequence[WebhookJob], outcomes: dict[int, Outcome]) -> None:
        """Write the rows of the events that were accepted while Postgres was away."""
        missing = [(index, job) for index, job in enumerate(jobs) if not job.recorded]
        if not missing:
            return
        rows: list[tuple[int, WebhookJob, NewEvent]] = []
        for index, job in missing:
            try:
                rows.append((index, job, missing_event(job)))
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
    scope = {"body": job.body, "headers": job.headers, "queryParams": job.query_params}
    turns = reader_of(job).turns(scope, job.duplicate_key or str(job.event_id))
    return [
        NewExecution(
            id=execution_id(job.event_id, turn.message.id if turn.message is not None else "0"),
            event_id=job.event_id,
            flow_id=job.flow_id,
            node_id=job.node_id,
            channel=turn.channel,
            contact=turn.contact,
            trigger=trigger_of(job, turn),
        )
        for turn in turns
    ]


def reader_of(job: WebhookJob) -> ConversationReader:
    """What finds the conversations of the job's webhook, as that was at acceptance."""
    rule = job.conversation or {}
    return _reader(job.provider, rule.get("channel"), rule.get("contact"), rule.get("text"))


@functools.lru_cache(maxsize=1024)
def _reader(provider: str, channel: str | None, contact: str | None, text: str | None) -> ConversationReader:
    return ConversationReader(provider, ConversationRule(channel=channel, contact=contact, text=text))


def trigger_of(job: WebhookJob, turn: Turn) -> str:
    """The scope in which the flow runs, as JSON text: `webhook`, and `message` (null without a conversation)."""
    scope = {
        "webhook": {
            "body": job.body,
            "headers": job.headers,
            "queryParams": job.query_params,
            "method": job.method,
            "webhookId": job.webhook_id,
        },
        "message": turn.message,
    }
    return msgspec.json.encode(scope).decode()


def flow_job(due: DueExecution, traceparent: Traceparent) -> NewJob:
    """The job that runs an execution's next turn, as a child of the span that `traceparent` names."""
    job = FlowJob(execution_id=due.id, turn=due.turn, flow_id=due.flow_id, traceparent=traceparent)
    group = group_of(due.channel, due.contact) if due.channel is not None and due.contact is not None else None
    return NewJob(policy=FLOWS, key=flow_job_key(job), message=job, group=group)


def status_jobs(job: WebhookJob) -> list[NewJob]:
    """What a provider says of messages of ours, for their owner, the notifier."""
    scope = {"body": job.body, "headers": job.headers, "queryParams": job.query_params}
    made: list[NewJob] = []
    for channel, status in reader_of(job).statuses(scope):
        message = DeliveryStatusJob(
            channel_id=channel,
            provider_id=status.id,
            status=status.state,
            idempotency_key=status.key,
            timestamp=job.timestamp if status.at is None else status.at,
            error_kind=None if status.error is None else "delivery",
            error_message=status.error,
            traceparent=job.traceparent,
        )
        key = delivery_status_job_key(message)
        made.append(NewJob(policy=NOTIFICATIONS, key=key, message=message, function=UPDATE_DELIVERY_STATUS))
    return made


def status_row(job: NewJob) -> NewDeliveryStatus:
    """What is kept of a status until its job is done, so that it outlives Redis."""
    return NewDeliveryStatus(job_id=job.job_id, message=msgspec.json.encode(job.message).decode())


def missing_event(job: WebhookJob) -> NewEvent:
    """The row of an event from its job alone.

    A form has lost its bytes by now: its fields are kept as the JSON object that flows see.
    """
    body, content_type = body_parsing.raw_bytes(job.body_kind, job.body, job.headers.get("content-type", ""))
    under = AcceptedUnder(provider=job.provider, conversation=job.conversation, config=job.config)
    return NewEvent(
        id=job.event_id,
        webhook_id=job.webhook_id,
        flow_id=job.flow_id,
        node_id=job.node_id,
        method=job.method,
        headers=msgspec.json.encode(job.headers).decode(),
        query_params=msgspec.json.encode(job.query_params).decode(),
        body=body,
        content_type=content_type,
        remote_address=job.remote_address,
        duplicate_key=job.duplicate_key,
        group_key=reader_of(job).group(
            job.webhook_id, {"body": job.body, "headers": job.headers, "queryParams": job.query_params}
        ),
        config=msgspec.json.encode(under).decode(),
        received_at=datetime.fromtimestamp(job.timestamp / 1000, UTC),
    )
