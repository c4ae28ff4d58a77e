"""The routes of notifications: search, show with every delivery attempt, retry, cancel."""

from typing import Any
from uuid import UUID

import msgspec

from filas.contract.job_factories import cancel_notification_job, notification_job
from filas.errors import StoreUnavailable
from filas.models.notifications import Notification, NotificationStatus, NotificationWithAttempts
from filas.observability.logs import get_logger
from filas.queue.producer import EnqueueOutcome, EnqueueResult
from ingest.api.routing.moments import Moment
from ingest.api.routing.problems import conflict, not_found, parse_row_id
from ingest.api.routing.route_types import Answer, Call, PageQuery, Query, Route, Word

log = get_logger(__name__)


class NotificationsQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the list of notifications. A notification must match all of them.

    `since` is inclusive, `until` is exclusive.
    """

    execution_id: UUID | None = None
    conversation_id: UUID | None = None
    channel_id: Word | None = None
    status: NotificationStatus | None = None
    since: Moment | None = None
    until: Moment | None = None


class NotificationCommand(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The job that carries the command to the notifier. `duplicate`: the same command was already enqueued."""

    id: str
    job_id: str
    duplicate: bool


async def list_notifications(call: Call[None, NotificationsQuery]) -> Answer:
    """Lists notifications, newest first."""
    query = call.query
    page = await call.context.history.notifications.search(
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
    """Returns a notification with every delivery attempt."""
    return Answer(await _notification(call))


async def retry_notification(call: Call[None, Query]) -> Answer:
    """Enqueues the command to send a failed or cancelled notification again, under its idempotency key.

    Only the notifier writes notifications. The number of the command derives from the attempts made, so a repeated
    request is a duplicate.
    """
    notification = await _notification(call)
    if notification.status not in ("failed", "cancelled"):
        raise conflict(f"the notification is {notification.status}; only a failed or cancelled one is sent again")
    replay = notification.attempts + 1
    job = notification_job(
        notification.id, notification.channel_id, notification.recipient, msgspec.UNSET, replay=replay
    )
    return Answer(_command(notification, await call.context.producer.enqueue(job)))


async def cancel_notification(call: Call[None, Query]) -> Answer:
    """Stores the cancel of a notification, then enqueues the command for the notifier.

    A notification that is being sent is cancelled only if the attempt fails.
    """
    notification = await _notification(call)
    if notification.status not in ("queued", "retrying", "sending"):
        raise conflict(f"the notification is {notification.status}, so it cannot be cancelled")
    job = cancel_notification_job(notification.id, replay=notification.attempts)
    cancels = call.context.cancels
    call.audit.before = {"status": notification.status}
    call.audit.after = {"status": notification.status, "cancel": "requested"}
    await call.audit.change(lambda: cancels.request_notification(notification.id))
    try:
        result = await call.context.producer.enqueue(job)
    except StoreUnavailable as error:
        # The relay of the notifier enqueues the command of the stored cancel.
        log.warning(
            "cancel.left_to_relay", notification_id=str(notification.id), store=error.store, reason=error.reason
        )
        result = EnqueueResult(job.job_id, EnqueueOutcome.ENQUEUED)
    return Answer(_command(notification, result))


async def _notification(call: Call[None, Query]) -> NotificationWithAttempts:
    notification_id = parse_row_id("notification", call.path["id"])
    notification = await call.context.notifications.get(notification_id)
    if notification is None:
        raise not_found("notification", notification_id)
    return notification


def _command(notification: Notification, put: EnqueueResult) -> NotificationCommand:
    duplicate = put.outcome is EnqueueOutcome.DUPLICATE
    return NotificationCommand(id=str(notification.id), job_id=put.job_id, duplicate=duplicate)


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/notifications",
        handler=list_notifications,
        role="viewer",
        summary="Notifications, newest first.",
        answer=list[Notification],
        query=NotificationsQuery,
        paged=True,
    ),
    Route(
        method="GET",
        path="/notifications/{id}",
        handler=get_notification,
        role="viewer",
        summary="One notification with every delivery attempt.",
        answer=NotificationWithAttempts,
        query=Query,
    ),
    Route(
        method="POST",
        path="/notifications/{id}/retry",
        handler=retry_notification,
        role="operator",
        summary="Send a failed or cancelled notification again.",
        answer=NotificationCommand,
        query=Query,
        problems=(409,),
    ),
    Route(
        method="POST",
        path="/notifications/{id}/cancel",
        handler=cancel_notification,
        role="operator",
        summary="Cancel a notification.",
        answer=NotificationCommand,
        query=Query,
        problems=(409,),
    ),
)
