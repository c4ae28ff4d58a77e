"""The route that accepts many events in one call, from our own producers, without signature check and rate limit.

The call is decoded in two steps, so that an event that cannot be decoded fails alone: first the list, then each event.
"""

import asyncio
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
from ingest.api.routing.body_errors import field_error
from ingest.api.routing.problems import invalid
from ingest.api.routing.request_parsing import LARGE_BODY, decode_json
from ingest.api.routing.route_types import Answer, Body, Call, Query, Route
from ingest.event import body_parsing
from ingest.http import error_answers, request
from ingest.http.error_answers import RejectedRequest
from ingest.receive.acceptor import IncomingEvent, NotStorable, Receipt, receipt_of
from ingest.receive.request_events import RequestReader
from ingest.receive.request_spans import received
from ingest.receive.webhook_cache import ReadyWebhook
from ingest.verify.scheme import ReceivedRequest

MAX_EVENTS = 1000

CHUNK = 100
"""The number of events that are decoded and accepted at a time. Other requests run between two chunks."""

CONTENT_TYPE = "application/json"


class EventBody(Body, frozen=True, kw_only=True):
    """An event for the webhook `webhookId`: its flow, conversation and `dedupe` apply as to a request.

    `body` is any JSON. `duplicateKey` replaces the key that the webhook's `dedupe` would find. An event with a known
    key is a duplicate.
    """

    webhook_id: str
    body: msgspec.Raw
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    query_params: dict[str, str | list[str]] = msgspec.field(default_factory=dict)
    duplicate_key: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] | None = None


class EventsBody(Body, frozen=True, kw_only=True):
    """The events, in the order in which they are accepted."""

    events: Annotated[list[EventBody], msgspec.Meta(max_length=MAX_EVENTS)]


class RawEvents(Body, frozen=True, kw_only=True):
    """The events, not yet decoded."""

    events: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_EVENTS)]


class EventError(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why an event was not accepted: `status` and `reason` are those of a rejected request to its webhook."""

    status: int
    reason: str
    detail: str


class EventOutcome(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The outcome of one event: its ids, or `error`. A duplicate has the ids of the first event. `conflict`: it has the
    key of the first event, and another content."""

    event_id: UUID | msgspec.UnsetType = msgspec.UNSET
    job_id: str | msgspec.UnsetType = msgspec.UNSET
    duplicate: bool | msgspec.UnsetType = msgspec.UNSET
    conflict: bool = False
    error: EventError | msgspec.UnsetType = msgspec.UNSET


class EventsAccepted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The numbers of new, duplicate and not accepted events, and the outcome of each event in order."""

    accepted: int
    duplicates: int
    failed: int
    events: list[EventOutcome]


@dataclass(slots=True)
class _DecodedEvent:
    """One event of the call: what is accepted (a provider's body may have several parts), or the error."""

    incoming: Sequence[IncomingEvent] = ()
    error: EventError | None = None


async def accept_events(call: Call[RawEvents, Query]) -> Answer:
    """Accepts events in order. Each has its own outcome.

    The answer is 503 if both stores are unavailable and no event was accepted. If one was accepted, the answer is 200
    with the error of each other event, because a repeated call would send the accepted event again.
    """
    webhook_cache = call.context.webhook_cache
    if not webhook_cache.is_loaded:
        raise StoreUnavailable("postgres", "the webhooks have not been read yet")
    outcomes: list[EventOutcome] = []
    unavailable: StoreUnavailable | None = None
    chunks = _chunks(call)
    # A thread decodes large bodies, because that may take longer than the event loop should wait.
    is_large = sum(memoryview(raw).nbytes for raw in call.body.events) > LARGE_BODY
    while chunk := await asyncio.to_thread(next, chunks, None) if is_large else next(chunks, None):
        found, failure = await _accept(call, chunk)
        unavailable = failure or unavailable
        outcomes += found
    answer = _summary(outcomes)
    if unavailable is not None and answer.failed == len(outcomes):
        raise unavailable
    return Answer(answer)


def _chunks(call: Call[RawEvents, Query]) -> Iterator[list[_DecodedEvent]]:
    """Yields the decoded events in chunks of about CHUNK events or parts."""
    chunk: list[_DecodedEvent] = []
    size = 0
    for raw in call.body.events:
        read = _decode(call, raw)
        chunk.append(read)
        size += max(1, len(read.incoming))
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _decode(call: Call[RawEvents, Query], raw: msgspec.Raw) -> _DecodedEvent:
    try:
        event = msgspec.json.decode(raw, type=EventBody)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        found = field_error(str(error))
        where = f"{found.field}: {found.message}" if found.field else found.message
        return _DecodedEvent(error=_rejected(RejectedRequest(422, "not-valid", where)))
    ready = call.context.webhook_cache.find_by_id(event.webhook_id)
    try:
        return _DecodedEvent(incoming=_reader(call, event, ready).incoming_events())
    except RejectedRequest as rejection:
        return _DecodedEvent(error=_rejected(rejection))


def _reader(call: Call[RawEvents, Query], event: EventBody, ready: ReadyWebhook | None) -> RequestReader:
    if ready is None:
        raise RejectedRequest(404, "unknown", "the webhook does not exist or is disabled")
    if ready.scheme is None:
        raise error_answers.unavailable("unusable", "the secrets of this webhook cannot be read")
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
        received_request=ReceivedRequest("POST", headers, MultiDict(pairs), body, time.time()),
        content_type=CONTENT_TYPE,
        headers=request.stored_headers(headers, ready.hidden_headers),
        query=body_parsing.collected(
            [(header_text(name), header_text(value)) for name, value in pairs if name not in ready.hidden_query]
        ),
        address=call.address,
        stated_key=event.duplicate_key,
        is_signed=False,
    )


async def _accept(
    call: Call[RawEvents, Query], chunk: Sequence[_DecodedEvent]
) -> tuple[list[EventOutcome], StoreUnavailable | None]:
    """Accepts a chunk. Returns the outcome of each event, and the error if both stores are unavailable."""
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
            rejection = error_answers.unavailable("stores-unavailable", "both stores are unavailable")
            outcomes.append(EventOutcome(error=_rejected(rejection)))
        except NotStorable as error:
            outcomes.append(EventOutcome(error=_rejected(RejectedRequest(400, "not-storable", str(error)))))
        else:
            outcomes.append(_accepted(receipt))
    return outcomes, unavailable


def _accepted(receipt: Receipt) -> EventOutcome:
    WEBHOOKS.labels("duplicate" if receipt.duplicate else "accepted").inc()
    return EventOutcome(
        event_id=receipt.event_id, job_id=receipt.job_id, duplicate=receipt.duplicate, conflict=receipt.conflict
    )


def _rejected(rejection: RejectedRequest) -> EventError:
    WEBHOOKS.labels(rejection.outcome).inc()
    return EventError(status=rejection.status, reason=rejection.outcome, detail=rejection.detail)


def _summary(outcomes: list[EventOutcome]) -> EventsAccepted:
    accepted = sum(outcome.duplicate is False for outcome in outcomes)
    duplicates = sum(outcome.duplicate is True for outcome in outcomes)
    failed = len(outcomes) - accepted - duplicates
    return EventsAccepted(accepted=accepted, duplicates=duplicates, failed=failed, events=outcomes)


def read_events(raw: bytes) -> RawEvents:
    """Returns the events of a body, not yet decoded.

    Raises the 400 for a body that is not JSON, and the 422 for another shape and for too many events.
    """
    try:
        return decode_json(raw, RawEvents)
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
        unaudited="it accepts events, each of which is stored",
        query=Query,
    ),
)
