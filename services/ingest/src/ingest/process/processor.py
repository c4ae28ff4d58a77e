"""Creates the executions of accepted events: the work of the queue `webhook-processing`.

One transaction writes the executions of a batch, the new status of its events and their delivery receipts. Every id is
derived from the event, so that a batch that is run again changes nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from filas.contract.comparable_text import comparable
from filas.contract.identity import execution_id
from filas.contract.job_factories import delivery_receipt_job, flow_job
from filas.contract.jobs import DeliveryReceiptJob, WebhookJob
from filas.contract.new_job import NewJob
from filas.errors import NewerVersionRequired, PermanentError, StoreBusy, StoreUnavailable
from filas.models.events import EventReceipt, NewEvent
from filas.models.executions import DueExecution, NewExecution
from filas.models.notifications import PendingReceipt
from filas.observability.logs import get_logger
from filas.observability.metrics import EVENTS_IGNORED
from ingest.event.conversation import ExecutionStart, Lacking, ReceiptPlace, Starts
from ingest.event.event_jobs import conversation_reader, event_of_job, form_of, scope_of
from ingest.process.conversations import Conversations
from ingest.process.current_definition import WebhookStore, complete
from ingest.providers.known_providers import AUTH_TYPES

log = get_logger(__name__)

YIELD_S = 0.005
"""How long the jobs of a batch are read in a row before other tasks run: a large body takes up to 50 milliseconds."""

Outcome = dict[str, Any] | BaseException
"""The result of a job, or its error. A PermanentError makes the job a dead letter, a NewerVersionRequired leaves it to
a newer worker, and any other error is retried."""


class EventStore(Protocol):
    """The table of events (`EventRepository`)."""

    async def insert_many(self, events: Sequence[NewEvent]) -> Sequence[EventReceipt | Exception]:
        """Stores the events. Returns one result for each event, in order. Raises StoreUnavailable."""


class ExecutionStore(Protocol):
    """The table of executions (`ExecutionRepository`)."""

    async def start_many(
        self,
        starts: list[tuple[UUID, list[NewExecution]]],
        receipts: Mapping[UUID, Sequence[PendingReceipt]],
        reasons: Mapping[UUID, str],
    ) -> Sequence[list[DueExecution] | PermanentError | StoreBusy]:
        """Creates the executions of each event and ends it. Returns one result for each, in order. Raises
        StoreUnavailable."""


class JobStore(Protocol):
    """The queues (`Producer`)."""

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> Sequence[object]:
        """Enqueues all jobs. Raises StoreUnavailable."""


WARNING_EVERY_S: Final = 60.0


class Processor:
    """Processes batches of webhook jobs."""

    def __init__(
        self,
        events: EventStore,
        executions: ExecutionStore,
        jobs: JobStore,
        webhooks: WebhookStore,
        conversations: Conversations,
    ) -> None:
        self._events = events
        self._executions = executions
        self._jobs = jobs
        self._webhooks = webhooks
        self._conversations = conversations
        self._next_warning: dict[str, float] = {}

    async def process(self, jobs: Sequence[WebhookJob]) -> list[Outcome]:
        """Processes the jobs. Returns one outcome for each, in order. Raises StoreUnavailable for the whole batch."""
        outcomes: dict[int, Outcome] = {}
        jobs = await self._complete(jobs, outcomes)
        await self._record(jobs, outcomes)
        await self._conversations.refresh()
        read: list[tuple[int, Starts, list[NewExecution]]] = []
        reasons: dict[UUID, str] = {}
        lacking: dict[int, Lacking] = {}
        receipts: dict[UUID, list[NewJob]] = {}
        async for index, job in _with_yields(jobs):
            if index in outcomes:
                continue
            if job.provider not in AUTH_TYPES:
                outcomes[index] = NewerVersionRequired(f"the provider {job.provider[:100]!r} is not known here")
                continue
            try:
                found, jobs_of_receipts = starts_of(job), receipt_jobs(job, self._conversations.channel_of)
                read.append((index, found, new_executions(job, found)))
            except Exception as error:  # the other jobs of the batch are not affected
                outcomes[index] = error
                continue
            lacks = next((start.lacking for start in found.starts if start.lacking is not None), None)
            if lacks is not None:
                lacking[index], reasons[job.event_id] = lacks, lacks.reason
            elif found.reason is not None:
                reasons[job.event_id] = found.reason
            if jobs_of_receipts:
                receipts[job.event_id] = jobs_of_receipts
        starts = await self._settle(jobs, read, outcomes)
        new_jobs: list[NewJob] = []
        if starts:
            answers = await self._executions.start_many(
                [(event, executions) for _, event, executions in starts],
                {event: [pending_receipt(job) for job in jobs_of] for event, jobs_of in receipts.items()},
                reasons,
            )
            for (index, event, _), answer in zip(starts, answers, strict=True):
                if isinstance(answer, BaseException):
                    outcomes[index] = answer
                    continue
                self._log_start(jobs[index], reasons.get(event), lacking.get(index))
                new_jobs += [flow_job(due, "start", jobs[index].traceparent) for due in answer]
                new_jobs += receipts.get(event, ())
                outcomes[index] = {"eventId": str(event), "executions": [str(due.id) for due in answer]}
        if new_jobs:
            await self._jobs.enqueue_many(new_jobs)
        return [outcomes[index] for index in range(len(jobs))]

    async def _settle(
        self,
        jobs: Sequence[WebhookJob],
        read: Sequence[tuple[int, Starts, list[NewExecution]]],
        outcomes: dict[int, Outcome],
    ) -> list[tuple[int, UUID, list[NewExecution]]]:
        """Returns the executions of each event in their conversations. An event without them has its outcome."""
        settled = await self._conversations.settle([(found, executions) for _, found, executions in read])
        starts: list[tuple[int, UUID, list[NewExecution]]] = []
        for (index, _, _), executions in zip(read, settled, strict=True):
            if isinstance(executions, BaseException):
                outcomes[index] = executions
            else:
                starts.append((index, jobs[index].event_id, executions))
        return starts

    def _log_start(self, job: WebhookJob, reason: str | None, lacking: Lacking | None) -> None:
        """Logs why an event started nothing, or an execution without a conversation: at most once a minute for each
        webhook."""
        if lacking is not None:
            if time.monotonic() >= self._next_warning.get(job.webhook_id, 0.0):
                self._next_warning[job.webhook_id] = time.monotonic() + WARNING_EVERY_S
                log.warning(
                    "event.no_conversation",
                    event_id=str(job.event_id),
                    webhook_id=job.webhook_id,
                    reason=lacking.reason,
                    detail=lacking.detail,
                )
        elif reason is not None:
            EVENTS_IGNORED.labels(reason).inc()
            log.debug("event.ignored", event_id=str(job.event_id), reason=reason)

    async def _complete(self, jobs: Sequence[WebhookJob], outcomes: dict[int, Outcome]) -> list[WebhookJob]:
        """Returns the jobs with what they leave to the webhook's definition; a job that cannot be completed fails."""
        completed = await complete(jobs, self._webhooks)
        outcomes.update((index, job) for index, job in enumerate(completed) if isinstance(job, PermanentError))
        return [
            original if isinstance(job, PermanentError) else job for original, job in zip(jobs, completed, strict=True)
        ]

    async def _record(self, jobs: Sequence[WebhookJob], outcomes: dict[int, Outcome]) -> None:
        """Writes the rows of the events that were accepted while Postgres was unavailable."""
        missing = [(index, job) for index, job in enumerate(jobs) if not job.recorded and index not in outcomes]
        if not missing:
            return
        rows: list[tuple[int, WebhookJob, NewEvent]] = []
        for index, job in missing:
            try:
                rows.append((index, job, event_of_job(job)))
            except (
                ValueError,
                OverflowError,
                OSError,
            ) as error:  # another client made this job
                outcomes[index] = PermanentError(f"invalid event: {error}")
        if not rows:
            return
        answers = await self._events.insert_many([row for _, _, row in rows])
        for (index, job, _), answer in zip(rows, answers, strict=True):
            if isinstance(answer, StoreBusy):
                outcomes[index] = answer
            elif isinstance(answer, StoreUnavailable):
                raise answer
            elif isinstance(answer, BaseException):
                outcomes[index] = PermanentError(f"the event cannot be stored: {answer}")
            elif answer.id != job.event_id:  # its signed content has another event: it was sent under another key
                outcomes[index] = {"eventId": str(answer.id), "executions": []}
                log.warning("event.replayed", event_id=str(job.event_id), first_event_id=str(answer.id))
            elif not answer.duplicate:
                log.info("event.backfilled", event_id=str(job.event_id), webhook_id=job.webhook_id)


async def _with_yields(jobs: Sequence[WebhookJob]) -> AsyncIterator[tuple[int, WebhookJob]]:
    """Yields each job with its index. Other tasks run whenever the jobs before it have taken YIELD_S."""
    resumed = time.perf_counter()
    for index, job in enumerate(jobs):
        if time.perf_counter() - resumed > YIELD_S:
            await asyncio.sleep(0)
            resumed = time.perf_counter()
        yield index, job


def executions_of(job: WebhookJob) -> tuple[list[NewExecution], str | None]:
    """The executions that an event starts: one for each message of a provider, one for any other webhook. For an event
    that starts nothing, the second value is the reason. Raises PermanentError for a template or a filter that fails."""
    found = starts_of(job)
    return new_executions(job, found), found.reason


def starts_of(job: WebhookJob) -> Starts:
    """What the event starts. Raises PermanentError for a template or a filter that fails."""
    return conversation_reader(job).starts(scope_of(job), job.duplicate_key or str(job.event_id))


def new_executions(job: WebhookJob, found: Starts) -> list[NewExecution]:
    """The executions of `found`, one for each start, in the channel that the rule or the provider names."""
    return [
        NewExecution(
            id=execution_id(job.event_id, (start.message and start.message.id) or "0", job.run or 0),
            event_id=job.event_id,
            flow_id=job.flow_id,
            node_id=job.node_id,
            channel=start.channel,
            contact=start.contact,
            trigger=trigger_of(job, start),
            carries_message=start.is_message,
            said=_said(start),
        )
        for start in found.starts
    ]


def _said(start: ExecutionStart) -> str | None:
    text = start.message.text if start.is_message and start.message is not None else None
    return None if text is None else comparable(text)


def trigger_of(job: WebhookJob, start: ExecutionStart) -> str:
    """The scope of the flow as JSON text: `webhook`, and `message` (null without a conversation). `noConversation` is
    why there is no conversation, if the webhook has a rule for one."""
    scope: dict[str, Any] = {
        "webhook": {
            **scope_of(job),
            "method": job.method,
            "webhookId": job.webhook_id,
        },
        "message": start.message,
    }
    form = form_of(job)
    if form is not None:
        scope["webhook"]["form"] = form
    if start.lacking is not None:
        scope["noConversation"] = start.lacking.detail
    return msgspec.json.encode(scope).decode()


def named_channel(place: ReceiptPlace) -> str:
    """The channel that the rule or the provider names."""
    return place.channel


def receipt_jobs(job: WebhookJob, channel_of: Callable[[ReceiptPlace], str] = named_channel) -> list[NewJob]:
    """The jobs that record the event's delivery receipts. The notifier runs them, because it owns the notifications."""
    made: list[NewJob] = []
    for place in conversation_reader(job).receipts(scope_of(job)):
        receipt = place.receipt
        message = DeliveryReceiptJob(
            channel_id=channel_of(place),
            provider_id=receipt.id,
            status=receipt.state,
            idempotency_key=receipt.key,
            timestamp=job.timestamp if receipt.at is None else receipt.at,
            error_kind=None if receipt.error is None else "delivery",
            error_message=receipt.error,
            traceparent=job.traceparent,
        )
        made.append(delivery_receipt_job(message))
    return made


def pending_receipt(job: NewJob) -> PendingReceipt:
    """The row of a delivery receipt, so that the receipt survives a loss of Redis until its job is done."""
    return PendingReceipt(job_id=job.job_id, message=msgspec.json.encode(job.message).decode())
