"""The one mapping between an event's row (`NewEvent`) and its job's message (`WebhookJob`), in both directions.

Both hold the whole event. They differ in form: the row has the raw body and JSON text; the message has the parsed body
and objects, and the time in milliseconds. The caller converts the body (`ingest.event.body_parsing`), because the
contract knows no content types.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from filas.contract.jobs import BodyKind, Traceparent, WebhookJob, webhook_job_version
from filas.models.configuration import BodyMode, ConversationRule, Webhook
from filas.models.events import NewEvent


class WebhookSnapshot(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The parts of a webhook's definition that are needed to read its events. Each event keeps them as they were at
    acceptance, because the definition may change before the event is processed. `NewEvent.config` is its JSON text.
    `filter` is absent if the webhook has none, and `body` if it is `auto`."""

    provider: str = "none"
    conversation: dict[str, Any] | None = None
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    filter: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    body: BodyMode | msgspec.UnsetType = msgspec.UNSET


def snapshot_of(webhook: Webhook) -> WebhookSnapshot:
    """The snapshot of the present definition of `webhook`."""
    return WebhookSnapshot(
        provider=str(webhook.auth.get("type", "none")),
        conversation=None if webhook.conversation is None else _rule(webhook.conversation),
        config=webhook.config,
        filter=msgspec.UNSET if webhook.filter is None else msgspec.to_builtins(webhook.filter),
        body=msgspec.UNSET if webhook.body == "auto" else webhook.body,
    )


def _rule(rule: ConversationRule) -> dict[str, Any]:
    """The rule as an object. An empty `accept` and an absent `role` are left out: an older worker does not know these
    fields."""
    found: dict[str, Any] = msgspec.to_builtins(rule)
    if not rule.accept:
        del found["accept"]
    if rule.role is None:
        del found["role"]
    return found


@dataclass(frozen=True, slots=True)
class DecodedEvent:
    """The parts of an event that its row holds as text or bytes, decoded. `body` is in the form of `body_kind` (see
    `WebhookJob`), or raw JSON."""

    snapshot: WebhookSnapshot
    headers: dict[str, str]
    query_params: dict[str, str | list[str]]
    body_kind: BodyKind
    body: Any


def decoded_row(event: NewEvent, body_kind: BodyKind, body: Any) -> DecodedEvent:
    """The decoded parts of an event that was read from its row."""
    return DecodedEvent(
        snapshot=msgspec.json.decode(event.config, type=WebhookSnapshot),
        headers=msgspec.json.decode(event.headers, type=dict[str, str]),
        query_params=msgspec.json.decode(event.query_params, type=dict[str, str | list[str]]),
        body_kind=body_kind,
        body=body,
    )


def message_of_event(
    event: NewEvent, decoded: DecodedEvent, *, recorded: bool, traceparent: Traceparent = msgspec.UNSET
) -> WebhookJob:
    """The message of `event`. Acceptance has the `decoded` parts at hand; other callers use `decoded_row`."""
    # Only the worker that writes the row needs the keys.
    key, digest = (None, None) if recorded else (event.content_key, event.content_digest)
    return WebhookJob(
        schema_version=webhook_job_version(decoded.snapshot.conversation, decoded.snapshot.filter, event.run),
        event_id=event.id,
        webhook_id=event.webhook_id,
        method=event.method,
        headers=decoded.headers,
        query_params=decoded.query_params,
        body=decoded.body,
        body_kind=decoded.body_kind,
        timestamp=round(event.received_at.timestamp() * 1000),
        flow_id=event.flow_id,
        node_id=event.node_id,
        config=decoded.snapshot.config,
        provider=decoded.snapshot.provider,
        conversation=decoded.snapshot.conversation,
        recorded=recorded,
        duplicate_key=event.duplicate_key,
        remote_address=event.remote_address,
        replay=event.replay,
        traceparent=traceparent,
        content_key=msgspec.UNSET if key is None else key,
        content_digest=msgspec.UNSET if digest is None else digest.hex(),
        filter=decoded.snapshot.filter,
        run=event.run or msgspec.UNSET,
    )


def event_of_message(message: WebhookJob, *, body: bytes, content_type: str, group_key: str | None) -> NewEvent:
    """The event of `message`. `body`, `content_type` and `group_key` are those that the caller derived from it.

    Raises ValueError, OverflowError or OSError for a timestamp that is no date.
    """
    digest = message.content_digest
    snapshot = WebhookSnapshot(
        provider=message.provider,
        conversation=message.conversation,
        config=message.config,
        filter=message.filter,
        # A text is not to be read as JSON when its row is parsed again.
        body="text" if message.body_kind == "text" else msgspec.UNSET,
    )
    return NewEvent(
        id=message.event_id,
        webhook_id=message.webhook_id,
        flow_id=message.flow_id,
        node_id=message.node_id,
        method=message.method,
        headers=_json_text(message.headers),
        query_params=_json_text(message.query_params),
        body=body,
        content_type=content_type,
        remote_address=message.remote_address,
        duplicate_key=message.duplicate_key,
        group_key=group_key,
        config=_json_text(snapshot),
        received_at=datetime.fromtimestamp(message.timestamp / 1000, UTC),
        content_key=message.content_key if isinstance(message.content_key, UUID) else None,
        content_digest=bytes.fromhex(digest) if isinstance(digest, str) else None,
        replay=message.replay,
        run=message.run or 0,
    )


def _json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()
