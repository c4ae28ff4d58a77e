"""Replays events by the present definitions of their webhooks: one, or all that match a filter, at a rate."""

from collections import Counter
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec

from filas.contract.new_job import NewJob
from filas.models.events import NewEvent
from filas.queue.producer import EnqueueOutcome
from filas.repository.event_filter import EventFilter
from ingest.api.history.redrive import WebhooksReadOnce, WebhookStore, delay_ms
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.moments import Moment
from ingest.api.routing.problems import conflict, not_found
from ingest.api.routing.route_types import Body, Word
from ingest.event.event_jobs import event_at_present, job_of_event

MAX_REPLAYS: Final = 100
PAGE: Final = 100

ReplayedStatus = Literal["processed", "ignored", "failed"]


class ReplayEventsBody(Body, frozen=True, kw_only=True):
    """Selects events and sets the rate. An event must match all filters, as in the list of events.

    Without a status: those that failed. A processed event is replayed once, unless `again` is set. `since` is
    inclusive, `until` is exclusive.
    """

    webhook_id: Word | None = None
    status: ReplayedStatus = "failed"
    reason: Word | None = None
    text: Word | None = None
    contact: Word | None = None
    since: Moment | None = None
    until: Moment | None = None
    again: Annotated[bool, msgspec.Meta(description="Also replay processed events that were replayed before.")] = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000, description="The largest number of events to replay.")] = 1000
    rate: (
        Annotated[
            float,
            msgspec.Meta(gt=0, le=10_000, description="Events per second: the due times of the jobs are spread."),
        ]
        | None
    ) = None
    dry_run: Annotated[bool, msgspec.Meta(description="Only report what would be replayed.")] = False


class EventsReplayed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The result of a replay of many events, or with `dryRun` the result that it would have.

    | field | meaning |
    |---|---|
    | `matched` | events that match, up to `limit` |
    | `replayed` | events whose job was enqueued |
    | `webhooks` | the number of matches by webhook |
    | `more` | more events match than `limit` |
    | `takesS` | the seconds until the last job is due |
    """

    dry_run: bool
    matched: int
    replayed: int
    webhooks: dict[str, int]
    more: bool
    takes_s: float


async def at_present(event: NewEvent, webhooks: WebhookStore) -> NewEvent:
    """Returns the event by the present definition of its webhook; without the webhook, as it is."""
    webhook = await webhooks.get(event.webhook_id)
    return event if webhook is None else event_at_present(event, webhook)


async def enqueue_replay(
    context: ApiContext, reopened: NewEvent, delay: int | None = None, run: UUID | None = None
) -> tuple[NewEvent, NewJob]:
    """Enqueues the job of a reopened event, due after `delay` ms (None: now). Returns the event and its job.

    A replay of the event's dead letter may have the same number; then the event gets the next one. Raises the 409 if
    the queue knows all of MAX_REPLAYS numbers. `run` is the replay run that does it.
    """
    for _ in range(MAX_REPLAYS):
        job = replace(job_of_event(reopened), delay_ms=delay)
        result = await context.producer.enqueue(job)
        if result.outcome is EnqueueOutcome.ENQUEUED:
            return reopened, job
        again = await context.events.reopen(reopened, run)
        if again is None:
            raise not_found("event", reopened.id)
        reopened = again
    raise conflict(f"the event has {MAX_REPLAYS} unfinished or recent replays: wait until they have ended")


@dataclass(slots=True)
class _Tally:
    """Counts the result page by page."""

    matched: int = 0
    replayed: int = 0
    more: bool = False
    webhooks: Counter[str] = field(default_factory=Counter)


async def replay_many(context: ApiContext, body: ReplayEventsBody) -> EventsReplayed:
    """Replays the events that `body` selects, oldest first.

    Each event is reopened before its job is enqueued. If a store becomes unavailable, the relay of `ingest work`
    enqueues the jobs of the events that were reopened, and a second call does the rest.
    """
    start_s, tally, webhooks = monotonic(), _Tally(), WebhooksReadOnce(context.webhooks)
    wanted = EventFilter(
        webhook_id=body.webhook_id,
        status=body.status,
        reason=body.reason,
        since=body.since,
        until=body.until,
        words=(body.text or "").split(),
        contact=body.contact or None,
        first_run_only=body.status == "processed" and not body.again,
    )
    last: NewEvent | None = None
    while page := await context.events.replayable(wanted, last, PAGE):
        for event in page[: body.limit - tally.matched]:
            tally.webhooks[event.webhook_id] += 1
            delay = delay_ms(start_s, tally.replayed, body.rate)
            if body.dry_run or await _replay(context, await at_present(event, webhooks), delay):
                tally.replayed += 1
        tally.more = tally.matched + len(page) > body.limit
        tally.matched = min(tally.matched + len(page), body.limit)
        if tally.more:
            break
        last = page[-1]
    return EventsReplayed(
        dry_run=body.dry_run,
        matched=tally.matched,
        replayed=tally.replayed,
        webhooks=dict(tally.webhooks),
        more=tally.more,
        takes_s=round(max(tally.replayed - 1, 0) / body.rate, 3) if body.rate else 0.0,
    )


async def _replay(context: ApiContext, event: NewEvent, delay: int | None) -> bool:
    reopened = await context.events.reopen(event)
    if reopened is None:
        return False
    await enqueue_replay(context, reopened, delay)
    return True
