"""The job of an event, and the event of a job: the body is converted here, the other fields by the event envelope.

Acceptance makes the job from the request. The relay and an operator's replay make the same job from the event's row. A
worker makes the event's row from the job, if acceptance could not write it.
"""

import functools
from typing import Any, Final

import msgspec

from filas.contract.event_envelope import (
    DecodedEvent,
    decoded_row,
    event_of_message,
    message_of_event,
    snapshot_of,
)
from filas.contract.job_factories import webhook_job
from filas.contract.jobs import FROM_DEFINITION, WebhookJob, webhook_job_version
from filas.contract.new_job import NewJob
from filas.models.configuration import BodyMode, ConversationRule, Webhook, WebhookFilter
from filas.models.events import NewEvent
from filas.tracing import spans
from ingest.decoding import content_coding
from ingest.event import body_parsing
from ingest.event.conversation import ConversationReader, Scope
from ingest.event.event_filter import EventFilter

MAX_DECODED: Final = 64 * 1024 * 1024
"""The largest body that a webhook can accept, in bytes."""


def job_of_request(event: NewEvent, decoded: DecodedEvent, *, recorded: bool) -> NewJob:
    """The job of an event that is being accepted. `recorded` states whether its row has been written."""
    message = message_of_event(event, decoded, recorded=recorded, traceparent=spans.root_traceparent(event.id))
    return webhook_job(message, event.group_key)


def job_of_event(event: NewEvent) -> NewJob:
    """The job of a stored event, under the key of its newest replay (0: the key that acceptance uses)."""
    return webhook_job(message_of_stored(event), event.group_key)


def message_of_stored(event: NewEvent) -> WebhookJob:
    """The message of a stored event: the one that acceptance made, with `recorded` set."""
    body = read_body(event)
    decoded = decoded_row(event, body.kind, body.embedded)
    return message_of_event(event, decoded, recorded=True, traceparent=spans.root_traceparent(event.id))


def event_at_present(event: NewEvent, webhook: Webhook) -> NewEvent:
    """The event as it would be accepted by the present definition of its webhook, for a replay."""
    stored = msgspec.structs.replace(message_of_stored(event), body=read_body(event).document)
    changed = job_at_present(stored, webhook)
    snapshot = snapshot_of(webhook)
    return msgspec.structs.replace(
        event,
        flow_id=changed.flow_id,
        node_id=changed.node_id,
        group_key=group_of_job(changed),
        config=msgspec.json.encode(snapshot).decode(),
    )


def job_at_present(job: WebhookJob, webhook: Webhook) -> WebhookJob:
    """The message of an event as the present definition of its webhook would make it, for a replay. The message of
    other Python code, which leaves parts to the present definition, is not changed."""
    if FROM_DEFINITION in (job.flow_id, job.node_id, job.provider):
        return job
    snapshot = snapshot_of(webhook)
    return msgspec.structs.replace(
        job,
        schema_version=webhook_job_version(snapshot.conversation, snapshot.filter, job.run),
        flow_id=webhook.flow_id,
        node_id=webhook.node_id,
        config=snapshot.config,
        provider=snapshot.provider,
        conversation=snapshot.conversation,
        filter=snapshot.filter,
    )


def group_of_job(job: WebhookJob) -> str | None:
    """The group key of a job whose body is decoded."""
    return conversation_reader(job).group(job.webhook_id, scope_of(job))


def event_of_job(job: WebhookJob) -> NewEvent:
    """The row of an event, from its job alone. A form's bytes are not in the job: the row gets its fields in another
    encoding (see `body_parsing.raw_bytes`).

    Raises ValueError, OverflowError or OSError for a job that no acceptance has made.
    """
    body, content_type = body_parsing.raw_bytes(job.body_kind, job.body, job.headers.get("content-type", ""))
    plain = {name: value for name, value in job.headers.items() if name != "content-encoding"}
    job = msgspec.structs.replace(job, headers=plain)
    return event_of_message(job, body=body, content_type=content_type, group_key=group_of_job(job))


def read_body(event: NewEvent) -> body_parsing.Content:
    """The event's body, parsed as acceptance parsed it. A body that acceptance would refuse is text or bytes."""
    body = plain_body(event)
    try:
        return body_parsing.read(event.content_type, body, mode=body_mode(event))
    except body_parsing.UnreadableBody:
        return body_parsing.read("", body)


def plain_body(event: NewEvent) -> bytes:
    """The bytes of the event's body without their content coding. A body that cannot be decoded stays as it is."""
    if "content-encoding" not in event.headers:
        return event.body
    coding = msgspec.json.decode(event.headers, type=_CodedHeaders).coding
    try:
        return content_coding.decoded_body(coding, event.body, MAX_DECODED)
    except (content_coding.UnsupportedCoding, content_coding.InvalidCoding, content_coding.DecodedTooLarge):
        return event.body


class _CodedHeaders(msgspec.Struct):
    """The stored header that states the coding of the body."""

    coding: str = msgspec.field(default="", name="content-encoding")


def body_mode(event: NewEvent) -> BodyMode:
    """How the definition at acceptance states that the body is read."""
    found = msgspec.json.decode(event.config, type=_Reading).body
    return "auto" if found is msgspec.UNSET else found


class _Reading(msgspec.Struct):
    """The part of a snapshot that decides how the body is read."""

    body: BodyMode | msgspec.UnsetType = msgspec.UNSET


def scope_of(job: WebhookJob) -> Scope:
    """The names that the templates of a conversation rule can use."""
    body = body_parsing.document_of_form(job.body) if _is_form(job) else job.body
    return {"body": body, "headers": job.headers, "queryParams": job.query_params}


def form_of(job: WebhookJob) -> dict[str, Any] | None:
    """The fields of a form besides its document. None if the body is no form."""
    return body_parsing.other_fields(job.body) if _is_form(job) else None


def _is_form(job: WebhookJob) -> bool:
    return job.body_kind == "form" and isinstance(job.body, dict)


def conversation_reader(job: WebhookJob) -> ConversationReader:
    """The reader of the conversations of the job's webhook, by the webhook's definition at acceptance."""
    rule: dict[str, Any] = job.conversation or {}
    event_filter = None if job.filter is msgspec.UNSET else msgspec.json.encode(job.filter)
    return _reader(job.provider, msgspec.json.encode(rule), event_filter)


@functools.lru_cache(maxsize=1024)
def _reader(provider: str, rule: bytes, event_filter: bytes | None) -> ConversationReader:
    return ConversationReader(
        provider,
        msgspec.json.decode(rule, type=ConversationRule),
        None if event_filter is None else EventFilter(msgspec.json.decode(event_filter, type=WebhookFilter)),
    )
