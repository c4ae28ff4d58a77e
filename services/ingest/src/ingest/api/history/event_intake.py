"""Many events in one call, from our own producers: the way of a webhook without its signature and rate limit.

The call is read in two steps, so that one event that can't be read fails alone: the JSON of each stays as it was
sent until its turn comes, and its body until the end.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import msgspec
from multidict import CIMultiDict, MultiDict

from filas.contract.storable_text import header_text
from filas.errors import StoreUnavailable
from filas.observability.metrics import WEBHOOKS
from filas.tracing import spans
from ingest.api.routing.problems import invalid
from ingest.api.routing.request_parsing import decoded, field_error
from ingest.api.routing.route_types import Answer, Body, Call, Query, Route
from ingest.event import body_parsing
from ingest.http import error_answers, request
from ingest.http.error_answers import RejectedRequest
from ingest.receive.acceptor import IncomingEvent, NotStorable, Receipt, receipt_of
from ingest.receive.request_events import RequestReader
from ingest.receive.request_spans import received
from ingest.receive.webhook_cache import ReadyWebhook
from ingest.verify.scheme import Presented

MAX_EVENTS = 1000

CHUNK = 100
"""How many events are read and accepted at a time. Webhooks that arrive meanwhile wait for no more than these."""

CONTENT_TYPE = "application/json"


class EventBody(Body, frozen=True, kw_only=True):
    """An event for the webhook `webhookId`, whose flow, conversation and `dedupe` hold as if it were posted there.

    `body` is any JSON. `duplicateKey` goes before what the webhook's `dedupe` would find: an event whose key is
    known already is a duplicate of that one.
    """

    webhook_id: str
    body: msgspec.Raw
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    query_params: dict[str, str | list[str]] = msgspec.field(default_factory=dict)
    duplicate_key: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] | None = None


class EventsBody(Body, frozen=True, kw_only=True):
    """Events in the order in which they are to be accepted."""

    events: Annotated[list[EventBody], msgspec.Meta(max_length=MAX_EVENTS)]


class UnreadEvents(Body, frozen=True, kw_only=True):
    """The same, each event as it was sent."""

    events: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_EVENTS)]


class EventError(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why an event was not accepted: `status` and `reason` as a post to its webhook would have had them."""

    status: int
    reason: str
    detail: str


class EventOutcome(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What became of one event: the ids under which it is known (of a duplicate, the first one's), or `error`."""

    event_id: UUID | msgspec.UnsetType = msgspec.UNSET
    job_id: str | msgspec.UnsetType = msgspec.UNSET
    duplicate: bool | msgspec.UnsetType = msgspec.UNSET
    error: EventError | msgspec.UnsetType = msgspec.UNSET


class EventsAccepted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many events were new, known already, and not accepted; and the outcome of each, in order."""

    accepted: int
    duplicates: int
    failed: int
    events: list[EventOutcome]


@dataclass(slots=True)
class _Read:
    """One event of the call, read: what is to be accepted (a body of many messages has many parts), or why not."""

    incoming: Sequence[IncomingEvent] = ()
    error: EventError | None = None


async def accept_events(call: Call[UnreadEvents, Query]) -> Answer:
    """Accept events in their order, each with its own outcome.

    503 when the stores take none of them. As soon as one is accepted, the others' failures are theirs alone:
    a caller that sent the whole again would send that one twice.
    """
    webhook_cache = call.context.webhook_cache
    if not webhook_cache.is_loaded:
        raise StoreUnavailable("postgres", "the webhooks have not been read yet")
    outcomes: list[EventOutcome] = []
    unavailable: StoreUnavailable | None = None
    for chunk in _chunks(call):
        found, failure = await _accept(call, chunk)
        unavailable = failure or unavailable
        outcomes += found
    answer = _summary(outcomes)
    if unavailable is not None and answer.failed == len(outcomes):
        raise unavailable
    return Answer(answer)


def _chunks(call: Call[UnreadEvents, Query]) -> Iterator[list[_Read]]:
    """The events of the call, read as they are asked for, about CHUNK of them or of their parts at a time."""
    chunk: list[_Read] = []
    size = 0
    for raw in call.body.events:
        read = _read(call, raw)
        chunk.append(read)
        size += max(1, len(read.incoming))
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _read(call: Call[UnreadEvents, Query], raw: msgspec.Raw) -> _Read:
    try:
        event = msgspec.json.decode(raw, type=EventBody)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        found = field_error(str(error))
        where = f"{found.field}: {found.message}" if found.field else found.message
        return _Read(error=_refused(RejectedRequest(422, "not-valid", where)))
    ready = call.context.webhook_cache.find_by_id(event.webhook_id)
    try:
        return _Read(incoming=_reader(call, event, ready).incoming_events())
    except RejectedRequest as rejection:
        return _Read(error=_refused(rejection))


def _reader(call: Call[UnreadEvents, Query], event: EventBody, ready: ReadyWebhook | None) -> RequestReader:
    if ready is None:
        raise RejectedRequest(404, "unknown", "there is no such webhook, or it is switched off")
    if ready.scheme is None:
        raise error_answers.unavailable("unusable", "this webhook's secrets can't be read")
    body = bytes(event.body)
    if len(body) > ready.webhook.max_body_bytes:
        raise error_answers.too_large(ready.webhook.max_body_bytes)
    headers = CIMultiDict(event.headers)
    headers["Content-Type"] = CONTENT_TYPE
    pairs = [
        (name, value)
        for name, given in event.query_params.items()
        for value in (given if isinstance(given, list) else [given])
    ]
    return RequestReader(
        ready=ready,
        presented=Presented("POST", headers, MultiDict(pairs), body, time.time()),
        content_type=CONTENT_TYPE,
        headers=request.stored_headers(headers, ready.hidden_headers),
        query=body_parsing.collected([(header_text(name), header_text(value)) for name, value in pairs]),
        address=call.address,
        stated_key=event.duplicate_key,
    )


async def _accept(
    call: Call[UnreadEvents, Query], chunk: Sequence[_Read]
) -> tuple[list[EventOutcome], StoreUnavailable | None]:
    """The outcome of each event of a chunk, and the failure of the stores if it was one."""
    events = [event for read in chunk for event in read.incoming]
    receipts = await call.context.acceptor.accept_many(events)
    if spans.is_on():
        received(events, receipts, "/api/events")
    answers = iter(receipts)
    outcomes: list[EventOutcome] = []
    unavailable: StoreUnavailable | None = None
    for read in chunk:
        if read.error is not None:
            outcomes.append(EventOutcome(error=read.error))
            continue
        try:
            receipt = receipt_of([next(answers) for _ in read.incoming])
        except StoreUnavailable as error:
            unavailable = error
            rejection = error_answers.unavailable("stores-unavailable", "neither store can take it at present")
            outcomes.append(EventOutcome(error=_refused(rejection)))
        except NotStorable as error:
            outcomes.append(EventOutcome(error=_refused(RejectedRequest(400, "not-storable", str(error)))))
        else:
            outcomes.append(_accepted(receipt))
    return outcomes, unavailable


def _accepted(receipt: Receipt) -> EventOutcome:
    WEBHOOKS.labels("duplicate" if receipt.duplicate else "accepted").inc()
    return EventOutcome(event_id=receipt.event_id, job_id=receipt.job_id, duplicate=receipt.duplicate)


def _refused(rejection: RejectedRequest) -> EventError:
    WEBHOOKS.labels(rejection.outcome).inc()
    return EventError(status=rejection.status, reason=rejection.outcome, detail=rejection.detail)


def _summary(outcomes: list[EventOutcome]) -> EventsAccepted:
    accepted = sum(outcome.duplicate is False for outcome in outcomes)
    duplicates = sum(outcome.duplicate is True for outcome in outcomes)
    failed = len(outcomes) - accepted - duplicates
    return EventsAccepted(accepted=accepted, duplicates=duplicates, failed=failed, events=outcomes)


def read_events(raw: bytes) -> UnreadEvents:
    """The body of the call, its events unread. 400 for what is no JSON, 422 for another shape or too many."""
    try:
        return decoded(raw, UnreadEvents)
    except msgspec.ValidationError as error:
        raise invalid([field_error(str(error))]) from None


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="POST",
        path="/events",
        handler=accept_events,
        role="operator",
        summary=f"Accept up to {MAX_EVENTS} events from our own producers, each with its own outcome.",
        answer=EventsAccepted,
        body=EventsBody,
        decode=read_events,
        query=Query,
    ),
)
