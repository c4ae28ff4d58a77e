"""The route of the decoded body of an event: what the flow saw, without content coding, and of a form its fields."""

import asyncio
import base64
from typing import Any, Literal

import msgspec

from filas.contract.storable_text import json_bytes
from filas.models.events import NewEvent
from ingest.api.routing.problems import not_found, parse_row_id
from ingest.api.routing.request_parsing import LARGE_BODY
from ingest.api.routing.route_types import Answer, Call, Query, Route
from ingest.event import event_jobs
from ingest.event.body_parsing import document_of_form


class DecodedBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of an event as its flow saw it.

    `kind`: how it was read. `text`: JSON (`json`, and `form`: the fields), or the text itself (`text`), or base64
    (`base64`). JSON is the sender's own text, so its numbers keep all digits. `same`: it equals the received body.
    """

    kind: Literal["json", "form", "text", "base64"]
    text: str
    same: bool


async def get_decoded_body(call: Call[None, Query]) -> Answer:
    """Returns the decoded body of an event."""
    event_id = parse_row_id("event", call.path["id"])
    event = await call.context.events.get_accepted(event_id)
    if event is None:
        raise not_found("event", event_id)
    if len(event.body) > LARGE_BODY:
        return Answer(await asyncio.to_thread(decoded, event))
    return Answer(decoded(event))


def decoded(event: NewEvent) -> DecodedBody:
    """The body of a stored event as its flow saw it."""
    plain, content = event_jobs.plain_body(event), event_jobs.read_body(event)
    if content.kind == "form":
        fields = document_of_form(content.document) if isinstance(content.document, dict) else content.document
        return DecodedBody(kind="form", text=json_bytes(fields).decode(), same=False)
    if content.kind == "json" or isinstance(content.document, dict | list):
        text = _utf8(plain)
        if text is None:
            return DecodedBody(kind="json", text=json_bytes(content.document).decode(), same=False)
        return DecodedBody(kind="json", text=text, same=plain == event.body)
    if content.kind == "text":
        return DecodedBody(kind="text", text=str(content.document), same=_utf8(event.body) == content.document)
    return DecodedBody(kind="base64", text=base64.b64encode(plain).decode(), same=plain == event.body)


def _utf8(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/events/{id}/decoded",
        handler=get_decoded_body,
        role="viewer",
        summary="The body of an event as its flow saw it.",
        answer=DecodedBody,
        query=Query,
    ),
)
