"""The job functions of the queue `notifications`, and the sources of its relays."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from filas.contract.channel_retry import MAX_ATTEMPTS
from filas.contract.identity import notification_id_of_key
from filas.contract.job_factories import cancel_notification_job, delivery_receipt_job, notification_job
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
from filas.models.dead_letters import NewDeadLetter
from filas.models.notifications import DeliveryReceipt, DueNotification, NotificationStatus, RecordedReceipt
from filas.models.record import ErrorDetail
from filas.observability import logs, metrics
from filas.queue.job_functions import DeadLetterSink, JobContext, JobFunction
from filas.queue.relay import GRACE_S
from filas.tracing import spans
from notifier.channels.receipt_kinds import kind_of_receipt
from notifier.deliver.attempt_plan import Attempt
from notifier.deliver.delivery import MAX_REASON, Delivery, DeliveryPostponed
from notifier.deliver.outcome_reports import OutcomeReports

STATUS_TRIES = 4
STATUS_WAIT_S = 1.0
"""A delivery receipt may arrive before the provider's answer is recorded. It is tried again after 1, 2 and 4 s."""

CANCEL_TRIES = 60
CANCEL_WAIT_S = 0.5
"""A notification that is being sent is cancelled only if the sending fails. So the command is tried for longer than two
delivery attempts take, and at shorter intervals than the backoff between them."""

log = logs.get_logger(__name__)


def deliver_notification(delivery: Delivery) -> JobFunction:
    """Returns the function that delivers the notification of its job. The channel determines the number of attempts
    (`ChannelRetry`); a fault of our own has those of the queue."""

    async def handle(context: JobContext, job: NotificationJob) -> str:
        context.max_attempts = NOTIFICATIONS.max_attempts
        attempt = Attempt(
            number=context.attempt,
            replay=job.replay > 0,
            recipient=context.group or str(job.notification_id),
            age_s=context.age_s,
        )
        try:
            return await delivery.deliver(job.notification_id, job.channel_id, attempt)
        except DeliveryPostponed as postponed:
            context.max_attempts = postponed.max_attempts
            raise

    return JobFunction(NOTIFICATIONS.function, handle, NotificationJob, max_attempts=MAX_ATTEMPTS)


class ReceiptStore(Protocol):
    """Records delivery receipts (`BatchedStore`)."""

    async def record_receipt(self, update: DeliveryReceipt) -> RecordedReceipt:
        """Records the receipt. A status never goes back to an earlier one."""


def update_delivery_status(store: ReceiptStore, outcomes: OutcomeReports) -> JobFunction:
    """Returns the function that records a delivery receipt, and reports it if the execution of the message must learn
    it.

    A receipt for an unknown message is no error: another system may use the same number. It is dropped after a few
    attempts.
    """

    async def handle(context: JobContext, job: DeliveryReceiptJob) -> str:
        recorded = await store.record_receipt(_update(job, context))
        outcome = recorded.outcome
        if outcome == "unknown" and not context.is_last_attempt:
            wait_s = STATUS_WAIT_S * 2 ** (context.attempt - 1)
            raise RetryLater("no message with that id is known yet", delay_s=wait_s)
        if recorded.reported is not None:
            await outcomes.report(job.status, recorded.reported)
        metrics.DELIVERY_STATUSES.labels(outcome).inc()
        log.info("delivery_receipt.recorded", channel_id=job.channel_id, status=job.status, outcome=outcome)
        return outcome

    return JobFunction(UPDATE_DELIVERY_STATUS, handle, DeliveryReceiptJob, max_attempts=STATUS_TRIES)


class CancelTable(Protocol):
    """The table of notifications (`NotificationRepository`)."""

    async def cancel(self, notification_id: UUID) -> NotificationStatus | None:
        """Cancels the notification unless it is being sent or final. Returns its status afterwards, None if unknown."""


def cancel_notification(table: CancelTable, outcomes: OutcomeReports) -> JobFunction:
    """Returns the function that cancels a notification. The notification's own job then does nothing."""

    async def handle(context: JobContext, job: CancelNotificationJob) -> str:
        status = await table.cancel(job.notification_id)
        if status == "sending" and not context.is_last_attempt:
            raise RetryLater("the notification is being sent", delay_s=CANCEL_WAIT_S)
        if status == "cancelled":
            await outcomes.report("cancelled", job.notification_id)
        log.info("notification.cancel_requested", notification_id=str(job.notification_id), status=status)
        return status or "unknown"

    return JobFunction(CANCEL_NOTIFICATION, handle, CancelNotificationJob, max_attempts=CANCEL_TRIES)


def reported_dead_letters(store: DeadLetterSink, outcomes: OutcomeReports) -> DeadLetterSink:
    """A sink of dead letters that stores them with `store`, and then reports the deliveries that have failed."""

    async def store_and_report(letters: list[NewDeadLetter], /) -> Sequence[Exception | None] | None:
        answers = await store(letters)
        results = answers or [None] * len(letters)
        await outcomes.report_failures([one for one, result in zip(letters, results, strict=True) if result is None])
        return answers

    return store_and_report


class UnfinishedNotifications(Protocol):
    """The notifications that are due and not final (`NotificationRepository`)."""

    async def unfinished(self, older_than_s: float, limit: int, after: UUID | None) -> list[DueNotification]:
        """Returns the oldest first, those after the id `after`."""


class NotificationRelay:
    """A source of the relay: the jobs of notifications that are unfinished and due."""

    name = "notifications"

    def __init__(self, notifications: UnfinishedNotifications) -> None:
        self._notifications = notifications

    async def due(self, limit: int, after: NewJob | None = None, *, older_than_s: float = GRACE_S) -> list[NewJob]:
        """See `RelaySource.due`."""
        last = after.message.notification_id if after and isinstance(after.message, NotificationJob) else None
        return [_job(due) for due in await self._notifications.unfinished(older_than_s, limit, last)]


class UnappliedCancels(Protocol):
    """The cancels of notifications that are not applied yet (`CancelRepository`)."""

    async def unapplied_notifications(self, older_than_s: float, limit: int, after: UUID | None) -> list[UUID]:
        """Returns the notifications in the order of their ids, those after the id `after`."""


class NotificationCancelRelay:
    """A source of the relay: the commands of cancels that are not applied yet."""

    name = "notification_cancels"

    def __init__(self, cancels: UnappliedCancels) -> None:
        self._cancels = cancels

    async def due(self, limit: int, after: NewJob | None = None, *, older_than_s: float = GRACE_S) -> list[NewJob]:
        """See `RelaySource.due`."""
        last = after.message.notification_id if after and isinstance(after.message, CancelNotificationJob) else None
        unapplied = await self._cancels.unapplied_notifications(older_than_s, limit, last)
        return [cancel_notification_job(notification_id) for notification_id in unapplied]


class UnrecordedReceipts(Protocol):
    """The delivery receipts that are not recorded yet (`DeliveryReceiptRepository`)."""

    async def unrecorded(self, older_than_s: float, limit: int, after: str | None) -> list[DeliveryReceiptJob]:
        """Returns them in the order of their job ids, those after the id `after`."""


class DeliveryReceiptRelay:
    """A source of the relay: the jobs of delivery receipts that are not recorded yet."""

    name = "delivery_statuses"

    def __init__(self, statuses: UnrecordedReceipts) -> None:
        self._statuses = statuses

    async def due(self, limit: int, after: NewJob | None = None, *, older_than_s: float = GRACE_S) -> list[NewJob]:
        """See `RelaySource.due`."""
        unrecorded = await self._statuses.unrecorded(older_than_s, limit, after.job_id if after else None)
        return [delivery_receipt_job(job) for job in unrecorded]


def _job(due: DueNotification) -> NewJob:
    return notification_job(due.id, due.channel_id, due.recipient, spans.root_traceparent(due.origin_id or due.id))


def _update(job: DeliveryReceiptJob, context: JobContext) -> DeliveryReceipt:
    error = None
    if job.status == "failed":
        message = (job.error_message or "the provider could not deliver the message")[:MAX_REASON]
        kind = kind_of_receipt(message) or job.error_kind or "undelivered"
        error = ErrorDetail(kind=kind[:100], message=message)
    return DeliveryReceipt(
        channel_id=job.channel_id,
        provider_id=job.provider_id,
        status=job.status,
        notification_id=None if job.idempotency_key is None else notification_id_of_key(job.idempotency_key),
        error=error,
        job_id=context.job_id,
        last=context.is_last_attempt,
    )
