"""Notifications: every message that a flow sends, with what became of it."""

from typing import Any
from uuid import UUID

from filas.models import Notification, NotificationStatus, NotificationWithAttempts
from ingest.api.refusals import absent, row_id
from ingest.api.table import Answer, Call, PageQuery, Query, Route, Word


class NotificationsQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the list of notifications; all that are given must hold."""

    execution_id: UUID | None = None
    channel_id: Word | None = None
    status: NotificationStatus | None = None


async def list_notifications(call: Call[None, NotificationsQuery]) -> Answer:
    """List notifications, the newest first."""
    query = call.query
    page = await call.context.notifications.search(
        execution_id=query.execution_id,
        channel_id=query.channel_id,
        status=query.status,
        cursor=query.cursor,
        limit=query.limit,
    )
    return Answer(page.items, page.next_cursor)


async def get_notification(call: Call[None, Query]) -> Answer:
    """Show a notification with every try to deliver it."""
    notification_id = row_id("notification", call.path["id"])
    notification = await call.context.notifications.get(notification_id)
    if notification is None:
        raise absent("notification", notification_id)
    return Answer(notification)


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
)
