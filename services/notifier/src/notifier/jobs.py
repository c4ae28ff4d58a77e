"""The jobs of the queue `notifications`: what they ask of the domain, and which of them are to be put back."""

from typing import Protocol
from uuid import UUID

from filas.jobs import NotificationJob, notification_job_key
from filas.models import DueNotification
from filas.policies import NOTIFICATIONS
from filas.queue.functions import JobContext, JobFunction
from filas.queue.producer import NewJob
from filas.queue.relay import GRACE_S
from notifier.deliver import Delivery, Try


def deliver_notification(delivery: Delivery) -> JobFunction:
    """The function that delivers the notification which its job names."""

    async def handle(context: JobContext, job: NotificationJob) -> str:
        this_try = Try(number=context.attempt, last=context.last_try, replay=job.replay > 0)
        return await delivery.deliver(job.notification_id, job.channel_id, this_try)

    return JobFunction(NOTIFICATIONS.function, handle, NotificationJob)


class UnfinishedNotifications(Protocol):
    """Who knows which notifications are due and not settled (`NotificationRepository`)."""

    async def unfinished(self, older_than_s: float, limit: int, after: UUID | None) -> list[DueNotification]:
        """The oldest first, beginning behind the id `after`."""


class NotificationRelay:
    """The relay's source: the jobs of notifications that are unfinished and due."""

    name = "notifications"

    def __init__(self, notifications: UnfinishedNotifications) -> None:
        self._notifications = notifications

    async def due(self, limit: int, after: NewJob | None = None) -> list[NewJob]:
        """See `RelaySource.due`."""
        last = after.message.notification_id if after and isinstance(after.message, NotificationJob) else None
        return [new_job(due) for due in await self._notifications.unfinished(GRACE_S, limit, last)]


def new_job(due: DueNotification) -> NewJob:
    """The job of a notification, in the group that keeps the messages to one receiver in order."""
    job = NotificationJob(notification_id=due.id, channel_id=due.channel_id)
    return NewJob(NOTIFICATIONS, notification_job_key(job), job, group=f"{due.channel_id}:{due.recipient}")
