"""The jobs of the queue `notifications`: what they ask of the domain, and which of them are to be put back."""

import time
from typing import Literal, Protocol
from uuid import UUID

from filas.contract.identity import notification_id_of_key
from filas.contract.job_factories import delivery_receipt_job, notification_job
from filas.contract.jobs import (
    CANCEL_NOTIFICATION,
    UPDATE_DELIVERY_STATUS,
    CancelNotificationJob,
    DeliveryReceiptJob,
    NotificationJob,
)
from filas.contract.new_job import NewJob
from filas.contract.policies import NOTIFICATIONS
from filas.errors import RetryLater
from filas.models.notifications import DeliveryReceipt, DueNotification, NotificationStatus
from filas.models.record import ErrorDetail
from filas.observability import logs, metrics
from filas.queue.job_functions import JobContext, JobFunction
from filas.queue.relay import GRACE_S
from filas.tracing import spans
from notifier.deliver.delivery import MAX_REASON, Delivery, Try

STATUS_TRIES = 4
STATUS_WAIT_S = 1.0
"""A provider may report on a message before its own answer has been recorded: 1, 2 and 4 s later that has happened."""

CANCEL_TRIES = 60
CANCEL_WAIT_S = 0.5
"""A message that is being sent is cancelled only if that fails: for longer than two tries take it is looked at, and
more often than the second follows the first."""

log = logs.get_logger(__name__)


def deliver_notification(delivery: Delivery) -> JobFunction:
    """The function that delivers the notification which its job names."""

    async def handle(context: JobContext, job: NotificationJob) -> str:
        this_try = Try(
            number=context.attempt,
            last=context.last_try,
            replay=job.replay > 0,
            receiver=context.group or str(job.notification_id),
            age_s=time.time() - context.enqueued_at_ms / 1000 if context.enqueued_at_ms else 0.0,
        )
        return await delivery.deliver(job.notification_id, job.channel_id, this_try)

    return JobFunction(NOTIFICATIONS.function, handle, NotificationJob)


class StatusStore(Protocol):
    """Where delivery statuses are recorded (`BatchedStore`)."""

    async def tell(self, update: DeliveryReceipt) -> Literal["recorded", "stale", "unknown"]:
        """Record it, never backwards."""


def update_delivery_status(store: StatusStore) -> JobFunction:
    """The function that records what a provider says of a message that was sent.

    A message that nobody here has sent (another system uses the same number, say) is no error: after a few tries
    its status is let go.
    """

    async def handle(context: JobContext, job: DeliveryReceiptJob) -> str:
        outcome = await store.tell(_update(job, context))
        if outcome == "unknown" and not context.last_try:
            wait_s = STATUS_WAIT_S * 2 ** (context.attempt - 1)
            raise RetryLater("no message of that id is known yet", delay_s=wait_s)
        metrics.DELIVERY_STATUSES.labels(outcome).inc()
        log.info("delivery_status.told", channel_id=job.channel_id, status=job.status, outcome=outcome)
        return outcome

    return JobFunction(UPDATE_DELIVERY_STATUS, handle, DeliveryReceiptJob, max_tries=STATUS_TRIES)


class CancelTable(Protocol):
    """Where notifications are cancelled (`NotificationRepository`)."""

    async def cancel(self, notification_id: UUID) -> NotificationStatus | None:
        """Cancel it unless it is being sent or settled; its status then."""


def cancel_notification(table: CancelTable) -> JobFunction:
    """The function that cancels a notification. Its own job then finds nothing to do."""

    async def handle(context: JobContext, job: CancelNotificationJob) -> str:
        status = await table.cancel(job.notification_id)
        if status == "sending" and not context.last_try:
            raise RetryLater("it is being sent", delay_s=CANCEL_WAIT_S)
        log.info("notification.cancel_asked", notification_id=str(job.notification_id), status=status)
        return status or "unknown"

    return JobFunction(CANCEL_NOTIFICATION, handle, CancelNotificationJob, max_tries=CANCEL_TRIES)


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
        return [_job(due) for due in await self._notifications.unfinished(GRACE_S, limit, last)]


class UnrecordedReceipts(Protocol):
    """Who knows which delivery statuses are not told (`DeliveryReceiptRepository`)."""

    async def unrecorded(self, older_than_s: float, limit: int, after: str | None) -> list[DeliveryReceiptJob]:
        """In the order of their jobs' ids, beginning behind the id `after`."""


class DeliveryReceiptRelay:
    """The relay's source: the jobs of delivery statuses that are not told."""

    name = "delivery_statuses"

    def __init__(self, statuses: UnrecordedReceipts) -> None:
        self._statuses = statuses

    async def due(self, limit: int, after: NewJob | None = None) -> list[NewJob]:
        """See `RelaySource.due`."""
        unrecorded = await self._statuses.unrecorded(GRACE_S, limit, after.job_id if after else None)
        return [delivery_receipt_job(job) for job in unrecorded]


def _job(due: DueNotification) -> NewJob:
    return notification_job(due.id, due.channel_id, due.recipient, spans.first(due.origin_id or due.id))


def _update(job: DeliveryReceiptJob, context: JobContext) -> DeliveryReceipt:
    error = None
    if job.status == "failed":
        message = (job.error_message or "the provider could not deliver it")[:MAX_REASON]
        error = ErrorDetail(kind=(job.error_kind or "undelivered")[:100], message=message)
    return DeliveryReceipt(
        channel_id=job.channel_id,
        provider_id=job.provider_id,
        status=job.status,
        notification_id=None if job.idempotency_key is None else notification_id_of_key(job.idempotency_key),
        error=error,
        job_id=context.job_id,
        last=context.last_try,
    )
