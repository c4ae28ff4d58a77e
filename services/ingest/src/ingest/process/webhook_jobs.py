"""The handler of the queue `webhook-processing`, and the source of its relay."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from filas.contract.jobs import WebhookJob
from filas.contract.new_job import NewJob
from filas.models.events import NewEvent
from filas.observability.logs import get_logger
from filas.queue.job_functions import JobContext
from filas.queue.relay import GRACE_S
from ingest.event.event_jobs import job_of_event
from ingest.process.processor import Outcome, Processor

log = get_logger(__name__)


class ProcessWebhook:
    """The batch handler of the function `process_webhook`."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor

    async def __call__(self, batch: list[tuple[JobContext, WebhookJob]]) -> Sequence[Outcome]:
        """Returns one outcome for each job. Raises StoreUnavailable; the worker then requeues the whole batch without
        using an attempt."""
        outcomes = await self._processor.process([job for _, job in batch])
        for (context, job), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                log.warning(
                    "webhook.processing_failed",
                    job_id=context.job_id,
                    webhook_id=job.webhook_id,
                    attempt=context.attempt,
                    error=str(outcome)[:300],
                )
        return outcomes


class UnfinishedEvents(Protocol):
    """The table of events (`EventRepository`)."""

    async def unfinished(self, older_than_s: float, limit: int, after: UUID | None = None) -> list[NewEvent]:
        """Events that were accepted at least `older_than_s` seconds ago and are not processed, the oldest first."""


class EventRelaySource:
    """The relay's source: the jobs of events that are not processed."""

    name = "events"

    def __init__(self, events: UnfinishedEvents) -> None:
        self._events = events

    async def due(self, limit: int, after: NewJob | None = None, *, older_than_s: float = GRACE_S) -> list[NewJob]:
        """See `RelaySource.due`. Raises StoreUnavailable."""
        last = after.message.event_id if after is not None and isinstance(after.message, WebhookJob) else None
        jobs: list[NewJob] = []
        while not jobs:
            events = await self._events.unfinished(older_than_s, limit, last)
            if not events:
                break
            for event in events:
                jobs += _jobs_of(event)
            last = events[-1].id
        return jobs


def _jobs_of(event: NewEvent) -> Sequence[NewJob]:
    try:
        return [job_of_event(event)]
    except Exception as error:  # a row that a newer version wrote, for example: the other events are relayed
        log.error("relay.event_unreadable", event_id=str(event.id), exc_info=error)
        return []
