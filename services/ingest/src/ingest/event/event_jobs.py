"""From an event to its job: one way, for acceptance, the relay, and an operator's replay."""

from collections.abc import Sequence
from typing import Any

import msgspec

from filas.contract.jobs import WebhookJob, webhook_job_key
from filas.contract.policies import WEBHOOKS
from filas.models.configuration import Webhook
from filas.models.events import NewEvent
from filas.queue.producer import NewJob
from filas.tracing import spans
from ingest.event import body_parsing


class AcceptedUnder(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What of a webhook's definition its events are read by: kept with each, because it may change."""

    provider: str = "none"
    conversation: dict[str, str | None] | None = None
    config: dict[str, Any] = msgspec.field(default_factory=dict)


def accepted_under(webhook: Webhook) -> AcceptedUnder:
    """The present definition of `webhook`."""
    return AcceptedUnder(
        provider=str(webhook.auth.get("type", "none")),
        conversation=None if webhook.conversation is None else msgspec.to_builtins(webhook.conversation),
        config=webhook.config,
    )


def new_job(  # what an event holds as text, acceptance has at hand as objects
    event: NewEvent,
    under: AcceptedUnder,
    body: body_parsing.Content,
    *,
    headers: dict[str, str],
    query: dict[str, str | list[str]],
    recorded: bool,
    replay: int = 0,
) -> NewJob:
    """The job of `event`, whole. Its key is the event's id, so however often it is made, it is the same."""
    job = WebhookJob(
        event_id=event.id,
        webhook_id=event.webhook_id,
        method=event.method,
        headers=headers,
        query_params=query,
        body=body.embedded,
        body_kind=body.kind,
        timestamp=round(event.received_at.timestamp() * 1000),
        flow_id=event.flow_id,
        node_id=event.node_id,
        config=under.config,
        provider=under.provider,
        conversation=under.conversation,
        recorded=recorded,
        duplicate_key=event.duplicate_key,
        remote_address=event.remote_address,
        replay=replay,
        traceparent=spans.first(event.id),
    )
    return NewJob(policy=WEBHOOKS, key=webhook_job_key(job), message=job, group=event.group_key)


def event_jobs(event: NewEvent, replay: int = 0) -> Sequence[NewJob]:
    """The jobs of a stored event, under the keys of its replay number `replay` (0: of the normal way)."""
    under = msgspec.json.decode(event.config, type=AcceptedUnder)
    body = read_body(event)
    return [
        new_job(
            event,
            under,
            body,
            headers=msgspec.json.decode(event.headers, type=dict[str, str]),
            query=msgspec.json.decode(event.query_params, type=dict[str, str | list[str]]),
            recorded=True,
            replay=replay,
        )
    ]


def read_body(event: NewEvent) -> body_parsing.Content:
    """The event's body as acceptance read it; what no acceptance would have let in, as text or bytes."""
    try:
        return body_parsing.read(event.content_type, event.body)
    except body_parsing.UnreadableBody:
        return body_parsing.read("", event.body)
