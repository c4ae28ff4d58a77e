"""The routes of events: search, show, replay."""

from typing import Annotated, Any
from uuid import UUID

import msgspec

from filas.contract.identity import derived_id, new_id
from filas.errors import StoreUnavailable
from filas.models.events import Event, EventStatus, NewEvent
from filas.observability.logs import get_logger
from filas.repository.event_filter import EventFilter
from ingest.api.history.edited_events import edited_event
from ingest.api.history.event_replays import (
    EventsReplayed,
    ReplayEventsBody,
    at_present,
    enqueue_replay,
    replay_many,
)
from ingest.api.routing.moments import Moment
from ingest.api.routing.problems import not_found, parse_row_id
from ingest.api.routing.route_types import Answer, Body, Call, PageQuery, Query, Route, Word
from ingest.event.event_jobs import job_of_event

log = get_logger(__name__)


class EventsQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the list of events. An event must match all of them.

    `since` is inclusive, `until` is exclusive. `text`: the event has words that begin with each of these, in any order,
    whatever the case and the accents; a word of fewer than three characters is found as a whole. `contact`: the event
    names this contact, by an address in any form or by the last 7 digits of a number or more.
    `replayOf`: it repeats the request of this event with an edited body.
    `reason` is that of an ignored event, such as `kind:reaction`.
    """

    id: UUID | None = None
    webhook_id: Word | None = None
    conversation_id: UUID | None = None
    replay_of: UUID | None = None
    text: Word | None = None
    contact: Word | None = None
    status: EventStatus | None = None
    reason: Word | None = None
    since: Moment | None = None
    until: Moment | None = None


class Replayed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The jobs that a replay enqueued. `id` is the event that is processed: that of the path, or a new one with the
    edited body, which replays `replayOf`. `run` counts how often the event was replayed after it had been
    processed: each run starts executions of its own."""

    id: str
    replay: int
    run: int
    job_ids: list[str]
    replay_of: str | None = None


class ReplayEventBody(Body, frozen=True, kw_only=True):
    """How an event is replayed. Without a body: as it was received."""

    body_text: Annotated[
        str | None,
        msgspec.Meta(description="Replaces the body, as UTF-8. A new event with this body is stored and processed."),
    ] = None
    request_id: Annotated[
        UUID | None,
        msgspec.Meta(description="With an edited body: a repeated call with the same id stores no further event."),
    ] = None


async def list_events(call: Call[None, EventsQuery]) -> Answer:
    """Lists events, newest first. With `text` or `contact`, a page may be short, or empty, although more follow."""
    query = call.query
    wanted = EventFilter(
        event_id=query.id,
        webhook_id=query.webhook_id,
        conversation_id=query.conversation_id,
        replay_of=query.replay_of,
        words=(query.text or "").split(),
        contact=query.contact or None,
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


async def replay_event(call: Call[ReplayEventBody, Query]) -> Answer:
    """Processes an event again by the present definition of its webhook, under the first replay number that the queue
    does not know. Without the webhook, by the definition at its acceptance.

    The replay of a processed event starts new executions; those that exist stay as they are. Until they are started,
    another replay of the event starts no further ones. With another body, a new event is stored, and the event of the
    path stays as it was received.
    """
    event_id = parse_row_id("event", call.path["id"])
    event = await call.context.events.get_accepted(event_id)
    if event is None:
        raise not_found("event", event_id)
    if call.body.body_text is not None:
        return await _replay_edited(call, event, call.body.body_text)
    accepted = await at_present(event, call.context.webhooks)

    async def reopen() -> NewEvent:
        reopened = await call.context.events.reopen(accepted)
        if reopened is None:
            raise not_found("event", event_id)
        return reopened

    call.audit.after = {"status": "received"}
    reopened = await call.audit.change(reopen)
    try:
        replayed, job = await enqueue_replay(call.context, reopened)
    except StoreUnavailable as error:
        # The relay of `ingest work` enqueues the job of the stored row. An error here would lead to a second replay.
        log.warning("replay.left_to_relay", event_id=str(event_id), store=error.store, reason=error.reason)
        replayed, job = reopened, job_of_event(reopened)
    return Answer(Replayed(id=str(event_id), replay=replayed.replay, run=replayed.run, job_ids=[job.job_id]))


async def _replay_edited(call: Call[ReplayEventBody, Query], event: NewEvent, text: str) -> Answer:
    """Stores the edited event by the present definition of the webhook, then enqueues its job."""
    webhook = await call.context.webhooks.get(event.webhook_id)
    wanted = call.body.request_id
    edited_id = new_id() if wanted is None else derived_id("edited-event", str(event.id), str(wanted))
    edited = edited_event(event, text, edited_id, webhook)
    job = job_of_event(edited)
    answer = Replayed(id=str(edited.id), replay=0, run=0, job_ids=[job.job_id], replay_of=str(event.id))
    call.audit.after = answer
    if await call.audit.change(lambda: call.context.events.insert_edited(edited, event.id)):
        try:
            await call.context.producer.enqueue(job)
        except StoreUnavailable as error:
            # The relay of `ingest work` enqueues the job of the stored row.
            log.warning("replay.left_to_relay", event_id=str(edited.id), store=error.store, reason=error.reason)
    return Answer(answer)


async def replay_events(call: Call[ReplayEventsBody, Query]) -> Answer:
    """Replays all events that match, oldest first."""
    return Answer(await replay_many(call.context, call.body))


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/events",
        handler=list_events,
        role="viewer",
        summary="Events, newest first. With `text` or `contact`, a page may be short although more follow.",
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
        summary="Process an event again, as it was received or with an edited body.",
        answer=Replayed,
        query=Query,
        body=ReplayEventBody,
        problems=(409,),
    ),
    Route(
        method="POST",
        path="/events/replay",
        handler=replay_events,
        role="operator",
        summary="Process all events that match a filter again, oldest first, at a rate.",
        answer=EventsReplayed,
        query=Query,
        body=ReplayEventsBody,
        problems=(409,),
    ),
)
