"""What is delivered, and how each try went."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from filas.models.record import ErrorDetail, Record

NotificationStatus = Literal["queued", "sending", "retrying", "sent", "delivered", "read", "failed", "cancelled"]
"""queued: recorded, not tried. sending: a try is under way. retrying: a try failed, another will come.
sent: the provider took it. delivered, read: the provider or the receiver confirmed it. failed: given up."""


class Notification(Record, frozen=True, kw_only=True):
    """A message or notification with what became of it.

    `uncertain`: a try ended without a known outcome, so the receiver may have had it under the same
    idempotency key.
    """

    id: UUID
    execution_id: UUID | None
    conversation_id: UUID | None
    seq: int
    channel_id: str
    recipient: str
    payload: dict[str, Any]
    idempotency_key: str
    status: NotificationStatus
    attempts: int
    uncertain: bool
    provider_id: str | None
    error: ErrorDetail | None
    created_at: datetime
    updated_at: datetime


class BegunNotification(Notification, frozen=True, kw_only=True):
    """A notification whose try number `attempts` begins now. `interrupted`: the try before was found unfinished."""

    interrupted: bool


class NotificationAttempt(Record, frozen=True, kw_only=True):
    """One try to deliver."""

    attempt: int
    outcome: Literal["sending", "delivered", "sent", "retry", "failed", "uncertain"]
    status_code: int | None
    error: ErrorDetail | None
    started_at: datetime
    ended_at: datetime | None


class DueNotification(Record, frozen=True, kw_only=True):
    """A notification that needs a job. `channel_id` and `recipient` name the group of that job, `origin_id` what its
    trace began with: the event, or the execution where there was none."""

    id: UUID
    channel_id: str
    conversation_id: UUID | None
    recipient: str
    origin_id: UUID | None = None


class NotificationOutcome(Record, frozen=True, kw_only=True):
    """What became of try number `attempt`, and the `status` that the notification has now.

    `due_at` belongs to `retrying`: when the next try is due. `uncertain`: the receiver may have had it though
    the try failed.
    """

    id: UUID
    attempt: int
    outcome: Literal["delivered", "sent", "retry", "failed", "uncertain"]
    status: NotificationStatus
    status_code: int | None = None
    error: ErrorDetail | None = None
    provider_id: str | None = None
    due_at: datetime | None = None
    uncertain: bool = False


class DeliveryReceipt(Record, frozen=True, kw_only=True):
    """What a provider says became of the message that it calls `provider_id`. `notification_id` is that of the
    notification whose key it gave back with it.

    `job_id` is the job that brings it, by which its row is kept (`PendingReceipt`); None: it has none. `last`: if no
    message is known by now, it is let go.
    """

    channel_id: str
    provider_id: str
    status: Literal["sent", "delivered", "read", "failed"]
    notification_id: UUID | None = None
    error: ErrorDetail | None = None
    job_id: str | None = None
    last: bool = False


ReceiptOutcome = Literal["recorded", "stale", "unknown"]


class PendingReceipt(Record, frozen=True, kw_only=True):
    """A delivery receipt that is not recorded yet: the id of its job, and the job's message as JSON text
    (`contract.jobs.DeliveryReceiptJob`)."""

    job_id: str
    message: str


class NotificationWithAttempts(Notification, frozen=True, kw_only=True):
    """A notification asked for by id: with every try."""

    history: list[NotificationAttempt]
