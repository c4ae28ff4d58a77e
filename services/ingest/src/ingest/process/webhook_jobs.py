"""The consumer of the queue `webhook-processing`, the relay's view of the events, and the purge."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from filas.contract.jobs import WebhookJob
from filas.contract.new_job import NewJob
from filas.errors import StoreUnavailable
from filas.models.events import NewEvent
from filas.observability.logs import get_logger
from filas.queue.job_functions import JobContext
from filas.queue.relay import GRACE_S
from ingest.event.event_jobs import job_of_event
from ingest.process.processor import Outcome, Processor

log = get_logger(__name__)

PURGE_EVERY_S = 900.0


class ProcessWebhook:
    """The batch handler behind `process_webhook`."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor

    async def __call__(self, batch: list[tuple[JobContext, WebhookJob]]) -> Sequence[Outcome]:
        """One outcome a job. Raises StoreUnavailable, and then nothing of the batch is lost or spent."""
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
    """What the relay needs of the repository."""

    async def unfinished(self, older_than_s: float, limit: int, after: UUID | None = None) -> list[NewEvent]:
        """Events that were accepted `older_than_s` seconds ago and are not processed, the oldest first."""


class EventRelaySource:
    """The events whose job may be lost."""

    name = "events"

    def __init__(self, events: UnfinishedEvents, *, grace_s: float = GRACE_S) -> None:
        self._events = events
        self._grace_s = grace_s

    async def due(self, limit: int, after: NewJob | None = None) -> list[NewJob]:
        """The next `limit` jobs behind the event of `after`: fewer only at the end. Raises StoreUnavailable."""
        last = after.message.event_id if after is not None and isinstance(after.message, WebhookJob) else None
        jobs: list[NewJob] = []
        while len(jobs) < limit:
            wanted = limit - len(jobs)
            events = await self._events.unfinished(self._grace_s, wanted, last)
            for event in events:
                jobs += _jobs_of(event)
            if len(events) < wanted:
                break
            last = events[-1].id
        return jobs


def _jobs_of(event: NewEvent) -> Sequence[NewJob]:
    try:
        return [job_of_event(event)]
    except Exception as error:  # a row of another version, say: it must not hold back the others
        log.error("relay.event_unreadable", event_id=str(event.id), exc_info=error)
        return []


async def keep_purging(purge: Callable[[datetime], Awaitable[Any]], every_s: float = PURGE_EVERY_S) -> None:
    """Delete what is too old, again and again, until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await purge(datetime.now(UTC))
        except StoreUnavailable as error:
            log.warning("retention.postponed", store=error.store, reason=error.reason)
