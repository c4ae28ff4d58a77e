"""Job payloads: a message, or one of two documented errors. A message that is encoded again is the same.

Input: the function, the payload as it is in Redis.
"""

from datetime import datetime

import msgspec

from filas.contract.event_envelope import event_of_message
from filas.contract.jobs import MESSAGE_TYPES, OTHER_FUNCTIONS, JobMessage, WebhookJob, decode
from filas.errors import JobDecodeError, NewerVersionRequired
from filas.queue import job_format
from filas.tracing import traceparent
from ingest.event import body_parsing
from tests.fuzz.target import chosen, first_line

DOCUMENTS = True
WORDS = (
    "f", "a", "k", "t", "et", "job", "schemaVersion", "replay", "traceparent", "eventId", "webhookId", "method",
    "body", "headers", "queryParams", "bodyKind", "timestamp", "flowId", "nodeId", "config", "provider",
    "conversation", "role", "filter", "run", "recorded", "duplicateKey", "contentDigest", "executionId", "turn",
    "reason", "notificationId", "channelId", "runId", "replies", "status", "$error", "message", "type", "json",
    "form", "text", "binary", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "01a0b1c2-0000-7000-8000-000000000000",
)  # fmt: skip
TYPES: dict[str, type[JobMessage]] = {one.function: one for one in MESSAGE_TYPES.values()} | OTHER_FUNCTIONS


def fuzz(data: bytes) -> None:
    """Decodes the payload as a worker, as an operator's tool and as a stock arq client do."""
    name, payload = first_line(data)
    kind = chosen(TYPES, name)
    job_format.raw_arguments(payload)
    try:
        job_format.decode_call(payload)
    except JobDecodeError:
        pass
    try:
        envelope = job_format.decode_envelope(payload)
        message = job_format.decode_message(kind.policy, envelope, kind)
    except (JobDecodeError, NewerVersionRequired) as error:
        assert len(str(error)) < 2000
        return
    again = job_format.encode_job(kind.function, message, 1)
    assert job_format.decode_message(kind.policy, job_format.decode_envelope(again), kind) == message
    assert decode(kind.policy, msgspec.json.decode(msgspec.json.encode(message)), kind) == message
    assert message.key
    job_format.deserialize(job_format.serialize({"f": kind.function, "k": {"job": message}}))
    context = traceparent.parse(message.traceparent)
    if context is not None:
        assert traceparent.parse(traceparent.format_context(context)) == context
    if isinstance(message, WebhookJob):
        _check_event(message)


def _check_event(message: WebhookJob) -> None:
    """The worker writes the event of a message, or rejects the message for its body or its time."""
    try:
        body, content_type = body_parsing.raw_bytes(message.body_kind, message.body, "")
        event = event_of_message(message, body=body, content_type=content_type, group_key=None)
    except (ValueError, OverflowError, OSError, TypeError, AttributeError):
        return
    assert isinstance(event.received_at, datetime)
