"""Events: what was accepted, searched and shown, and processed once more."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from filas.models.events import Event, EventStatus
from filas.queue.producer import EnqueueOutcome
from filas.repository.events import EventFilter
from ingest.api.routing.problems import absent, conflict, row_id
from ingest.api.routing.route_types import Answer, Call, PageQuery, Query, Route, Word
from ingest.event.event_jobs import job_of_event

MAX_REPLAYS = 100

Moment = Annotated[datetime, msgspec.Meta(tz=True, description="ISO 8601 with a zone, such as 2026-11-22T12:00:00Z.")]


class EventsQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the list of events; all that are given must hold. `since` is inclusive, `until` is not. `text`: words
    that all stand in the body, in whatever order and case."""

    id: UUID | None = None
    webhook_id: Word | None = None
    conversation_id: UUID | None = None
    text: Word | None = None
    status: EventStatus | None = None
    since: Moment | None = None
    until: Moment | None = None


class Replayed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The jobs that a replay has put."""

    id: str
    replay: int
    job_ids: list[str]


async def list_events(call: Call[None, EventsQuery]) -> Answer:
    """List events, the newest first."""
    query = call.query
    wanted = EventFilter(
        event_id=query.id,
        webhook_id=query.webhook_id,
        conversation_id=query.conversation_id,
        words=(query.text or "").split(),
        status=query.status,
        since=query.since,
        until=query.until,
    )
    page = await call.context.events.search(wanted, cursor=query.cursor, limit=query.limit)
    return Answer(page.items, page.next_cursor)


async def get_event(call: Call[None, Query]) -> Answer:
    """Show an event with its body."""
    event_id = row_id("event", call.path["id"])
    event = await call.context.events.get(event_id)
    if event is None:
        raise absent("event", event_id)
    return Answer(event)


async def replay_event(call: Call[None, Query]) -> Answer:
    """Process an event once more, under the first replay number whose jobs aren't known to the queue.

    What the event has caused already stays as it is: an effect's id derives from the event's.
    """
    event_id = row_id("event", call.path["id"])
    event = await call.context.events.reopen(event_id)
    if event is None:
        raise absent("event", event_id)
    for replay in range(1, MAX_REPLAYS + 1):
        result = await call.context.producer.enqueue(job_of_event(event, replay))
        if result.outcome is EnqueueOutcome.ENQUEUED:
            return Answer(Replayed(id=str(event_id), replay=replay, job_ids=[result.job_id]))
    raise conflict(f"it has been replayed {MAX_REPLAYS} times of late: let those jobs end first")


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/events",
        handler=list_events,
        role="viewer",
        summary="Accepted webhooks, the newest first.",
        answer=list[Event],
        query=EventsQuery,
        paged=True,
    ),
    Route(
        method="GET",
        path="/events/{id}",
        handler=get_event,
        role="viewer",
        summary="One accepted webhook with its body.",
        answer=Event,
        query=Query,
    ),
    Route(
        method="POST",
        path="/events/{id}/replay",
        handler=replay_event,
        role="operator",
        summary="Process an event once more.",
        answer=Replayed,
        query=Query,
        refusals=(409,),
    ),
)
