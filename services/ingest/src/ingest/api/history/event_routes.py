"""The routes of events: search, show, replay."""

from typing import Any
from uuid import UUID

import msgspec

from filas.models.events import Event, EventStatus
from filas.queue.producer import EnqueueOutcome
from filas.repository.events import EventFilter
from ingest.api.routing.moments import Moment
from ingest.api.routing.problems import conflict, not_found, parse_row_id
from ingest.api.routing.route_types import Answer, Call, PageQuery, Query, Route, Word
from ingest.event.event_jobs import event_at_present, job_of_event

MAX_REPLAYS = 100


class EventsQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the list of events. An event must match all of them.

    `since` is inclusive, `until` is exclusive. `text`: the body has every one of these words, in any order and case.
    `reason` is that of an ignored event, such as `kind:reaction`.
    """

    id: UUID | None = None
    webhook_id: Word | None = None
    conversation_id: UUID | None = None
    text: Word | None = None
    status: EventStatus | None = None
    reason: Word | None = None
    since: Moment | None = None
    until: Moment | None = None


class Replayed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The jobs that a replay enqueued."""

    id: str
    replay: int
    job_ids: list[str]


async def list_events(call: Call[None, EventsQuery]) -> Answer:
    """Lists events, newest first."""
    query = call.query
    wanted = EventFilter(
        event_id=query.id,
        webhook_id=query.webhook_id,
        conversation_id=query.conversation_id,
        words=(query.text or "").split(),
        status=query.status,
        reason=query.reason,
        since=query.since,
        until=query.until,
    )
    page = await call.context.history.events.search(wanted, cursor=query.cursor, limit=query.limit)
    return Answer(page.items, page.next_cursor)


async def get_event(call: Call[None, Query]) -> Answer:
    """Returns an event with its body."""
    event_id = parse_row_id("event", call.path["id"])
    event = await call.context.history.events.get(event_id)
    if event is None:
        raise not_found("event", event_id)
    return Answer(event)


async def replay_event(call: Call[None, Query]) -> Answer:
    """Processes an event again by the present definition of its webhook, under the first replay number that the queue
    does not know. Without the webhook, by the definition at its acceptance.

    Existing executions and messages of the event stay as they are, because their ids derive from the event's id.
    """
    event_id = parse_row_id("event", call.path["id"])
    event = await call.context.events.get_accepted(event_id)
    if event is None:
        raise not_found("event", event_id)
    webhook = await call.context.webhooks.get(event.webhook_id)
    if webhook is not None:
        event = event_at_present(event, webhook)
    events, accepted = call.context.events, event
    call.audit.after = {"status": "received"}
    if not await call.audit.change(lambda: events.reopen(accepted)):
        raise not_found("event", event_id)
    for replay in range(1, MAX_REPLAYS + 1):
        result = await call.context.producer.enqueue(job_of_event(event, replay))
        if result.outcome is EnqueueOutcome.ENQUEUED:
            return Answer(Replayed(id=str(event_id), replay=replay, job_ids=[result.job_id]))
    raise conflict(f"the event has {MAX_REPLAYS} unfinished or recent replays: wait until they have ended")


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/events",
        handler=list_events,
        role="viewer",
        summary="Events, newest first.",
        answer=list[Event],
        query=EventsQuery,
        paged=True,
    ),
    Route(
        method="GET",
        path="/events/{id}",
        handler=get_event,
        role="viewer",
        summary="One event with its body.",
        answer=Event,
        query=Query,
    ),
    Route(
        method="POST",
        path="/events/{id}/replay",
        handler=replay_event,
        role="operator",
        summary="Process an event again.",
        answer=Replayed,
        query=Query,
        problems=(409,),
    ),
)
