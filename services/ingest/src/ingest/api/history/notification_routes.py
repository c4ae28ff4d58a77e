"""Notifications: every message that a flow sends, with what became of it."""

from typing import Any
from uuid import UUID

import msgspec

from filas.contract.job_factories import cancel_notification_job, notification_job
from filas.models.notifications import Notification, NotificationStatus, NotificationWithAttempts
from filas.queue.producer import EnqueueOutcome, EnqueueResult
from ingest.api.history.event_routes import Moment
from ingest.api.routing.problems import absent, conflict, row_id
from ingest.api.routing.route_types import Answer, Call, PageQuery, Query, Route, Word


class NotificationsQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the list of notifications; all that are given must hold. `since` is inclusive, `until` is not."""

    execution_id: UUID | None = None
    conversation_id: UUID | None = None
    channel_id: Word | None = None
    status: NotificationStatus | None = None
    since: Moment | None = None
    until: Moment | None = None


class NotificationAsked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The job that carries the wish to the notifier. `duplicate`: it had been asked for already."""

    id: str
    job_id: str
    duplicate: bool


async def list_notifications(call: Call[None, NotificationsQuery]) -> Answer:
    """List notifications, the newest first."""
    query = call.query
    page = await call.context.notifications.search(
        execution_id=query.execution_id,
        conversation_id=query.conversation_id,
        channel_id=query.channel_id,
        status=query.status,
        since=query.since,
        until=query.until,
        cursor=query.cursor,
        limit=query.limit,
    )
    return Answer(page.items, page.next_cursor)


async def get_notification(call: Call[None, Query]) -> Answer:
    """Show a notification with every try to deliver it."""
    return Answer(await _notification(call))


async def retry_notification(call: Call[None, Query]) -> Answer:
    """Ask that a notification be sent again that has failed or was cancelled, under its idempotency key.

    The wish goes as a job, because only the notifier writes notifications. Its number is that of the tries made, so
    that who asks twice asks once.
    """
    notification = await _notification(call)
    if notification.status not in ("failed", "cancelled"):
        raise conflict(f"it is {notification.status}: only what has failed or was cancelled is sent again")
    replay = notification.attempts + 1
    job = notification_job(
        notification.id, notification.channel_id, notification.recipient, msgspec.UNSET, replay=replay
    )
    return Answer(_asked(notification, await call.context.producer.enqueue(job)))


async def cancel_notification(call: Call[None, Query]) -> Answer:
    """Ask that a notification be delivered no more. One that is being sent is cancelled only if that try fails."""
    notification = await _notification(call)
    if notification.status not in ("queued", "retrying", "sending"):
        raise conflict(f"it is {notification.status}: there is nothing left to cancel")
    job = cancel_notification_job(notification.id, replay=notification.attempts)
    return Answer(_asked(notification, await call.context.producer.enqueue(job)))


async def _notification(call: Call[None, Query]) -> NotificationWithAttempts:
    notification_id = row_id("notification", call.path["id"])
    notification = await call.context.notifications.get(notification_id)
    if notification is None:
        raise absent("notification", notification_id)
    return notification


def _asked(notification: Notification, put: EnqueueResult) -> NotificationAsked:
    duplicate = put.outcome is EnqueueOutcome.DUPLICATE
    return NotificationAsked(id=str(notification.id), job_id=put.job_id, duplicate=duplicate)


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/notifications",
        handler=list_notifications,
        role="viewer",
        summary="Notifications, the newest first.",
        answer=list[Notification],
        query=NotificationsQuery,
        paged=True,
    ),
    Route(
        method="GET",
        path="/notifications/{id}",
        handler=get_notification,
        role="viewer",
        summary="One notification with every try to deliver it.",
        answer=NotificationWithAttempts,
        query=Query,
    ),
    Route(
        method="POST",
        path="/notifications/{id}/retry",
        handler=retry_notification,
        role="operator",
        summary="Ask that a notification be sent again.",
        answer=NotificationAsked,
        query=Query,
        refusals=(409,),
    ),
    Route(
        method="POST",
        path="/notifications/{id}/cancel",
        handler=cancel_notification,
        role="operator",
        summary="Ask that a notification be delivered no more.",
        answer=NotificationAsked,
        query=Query,
        refusals=(409,),
    ),
)
