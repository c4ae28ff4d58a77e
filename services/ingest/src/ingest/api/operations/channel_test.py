"""The route that sends a test message over a channel. It is delivered like every other message."""

from typing import Annotated, Any

import msgspec

from filas.contract.identity import new_id
from filas.contract.job_factories import notification_job
from filas.errors import StoreUnavailable
from filas.models.notifications import DueNotification
from filas.observability.logs import get_logger
from filas.repository.alerts import AlertMessage
from filas.tracing import spans
from ingest.api.routing.identifiers import existing_id
from ingest.api.routing.problems import not_found
from ingest.api.routing.route_types import Answer, Body, Call, Query, Route

log = get_logger(__name__)


class ChannelTestBody(Body, frozen=True, kw_only=True):
    """Who receives the message, as the channel names recipients, and what it is. It is sent as it is."""

    to: Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f]+(?!\n)$", max_length=256)]
    text: Annotated[str, msgspec.Meta(pattern=r"^[^\x00]+$", max_length=4096)]


class ChannelTested(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The notification that delivers the message."""

    notification_id: str


async def test_channel(call: Call[ChannelTestBody, Query]) -> Answer:
    """Sends a message over a channel. The notification shows whether it arrived."""
    channel_id = existing_id("channel", call.path["id"])
    if await call.context.channels.get(channel_id) is None:
        raise not_found("channel", channel_id)
    message_id = new_id()
    message = AlertMessage(
        id=message_id,
        channel_id=channel_id,
        recipient=call.body.to,
        payload={"type": "text", "text": call.body.text, "subject": "Test"},
        idempotency_key=f"channel-test:{message_id}",
    )
    call.audit.after = {"to": call.body.to, "notificationId": str(message_id)}

    async def store() -> list[DueNotification]:
        return await call.context.alerts.send([message])

    await call.audit.change(store)
    job = notification_job(message_id, channel_id, call.body.to, spans.root_traceparent(message_id))
    try:
        await call.context.producer.enqueue(job)
    except StoreUnavailable as error:
        # The relay of the notifier enqueues the job of the stored row.
        log.warning("channel_test.left_to_relay", channel_id=channel_id, store=error.store, reason=error.reason)
    return Answer(ChannelTested(notification_id=str(message_id)))


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="POST",
        path="/channels/{id}/test",
        handler=test_channel,
        role="operator",
        summary="Send a test message over a channel.",
        answer=ChannelTested,
        body=ChannelTestBody,
        query=Query,
    ),
)
