"""Notifications, the attempts to deliver them, and the delivery receipts of providers."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from filas.memory_budget import SMALL_BYTES
from filas.models.record import ErrorDetail, Record

NotificationStatus = Literal["queued", "sending", "retrying", "sent", "delivered", "read", "failed", "cancelled"]
"""The status of a notification. The flow-runner creates it as `queued`; only the notifier changes it:

| status      | meaning                                        | moved to another status by                          |
|-------------|------------------------------------------------|-----------------------------------------------------|
| `queued`    | stored, no attempt was made                    | an attempt: `sending`; a command: `cancelled`       |
| `sending`   | an attempt is under way, or its outcome is     | the attempt's outcome: `sent`, `delivered` or       |
|             | unknown                                        | `retrying`; another attempt: `sending`; a delivery  |
|             |                                                | receipt with its key (*)                            |
| `retrying`  | an attempt failed; the next is due at `due_at` | an attempt: `sending`; a command: `cancelled`; a    |
|             |                                                | delivery receipt with its key (*)                   |
| `sent`      | the provider has accepted it                   | a delivery receipt: `delivered`, `read` or `failed` |
| `delivered` | the provider or the recipient confirmed that   | a delivery receipt: `read`                          |
|             | it arrived                                     |                                                     |
| `read`      | the recipient has read it                      | never                                               |
| `failed`    | its job is a dead letter, or the provider      | a replay: `sending`; a delivery receipt with its    |
|             | reports a failure                              | key (*)                                             |
| `cancelled` | an operator cancelled it                       | a replay: `sending`                                 |

(*) A receipt `sent`, `delivered` or `read` that carries the idempotency key of a notification without a provider's id
gives it that status and id: the send had no answer and was successful. The dead letter of its job moves `queued`,
`sending` and `retrying` to `failed`.

`ingest work` (retention) removes a notification, with its attempts, when `ended_at` is old enough. A notification that
is `queued`, `sending` or `retrying` has no `ended_at` and is never removed.
"""

AwaitedStatus = Literal["sent", "delivered"]
"""The status of a notification for which its execution waits."""

OutcomeStatus = Literal["sent", "delivered", "read", "failed", "cancelled"]
"""The status of a notification that its execution learns: the one for which it waits or a later one, and a failure."""

AttemptOutcome = Literal["sending", "delivered", "sent", "retry", "failed", "uncertain"]
"""The outcome of a delivery attempt. Only the notifier changes it; attempts are removed with their notification:

| outcome     | meaning                                          | moved to another outcome by                       |
|-------------|--------------------------------------------------|---------------------------------------------------|
| `sending`   | the attempt is under way                         | its end: any other; the next attempt: `uncertain` |
| `delivered` | the recipient has confirmed it                   | never                                             |
| `sent`      | the provider has accepted it                     | never                                             |
| `retry`     | it failed, and another attempt follows           | never                                             |
| `failed`    | it failed, and no attempt follows                | never                                             |
| `uncertain` | it ended without a known outcome, so the         | its late end: any other                           |
|             | recipient may have received the message          |                                                   |
"""

DeliveryState = Literal["sent", "delivered", "read", "failed"]
"""What a delivery receipt reports: a status of the same name in NotificationStatus."""

ReceiptOutcome = Literal["recorded", "stale", "unknown"]
"""`recorded`: the notification has the receipt's status now. `stale`: the notification is as far already, or is in a
status that no receipt may change. `unknown`: no notification of the channel has the provider's id."""


class Notification(Record, frozen=True, kw_only=True):
    """A notification and the outcome of its delivery.

    `uncertain`: an attempt ended without a known outcome, so the recipient may have received the message under the same
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
    """A notification whose attempt number `attempts` begins now. `interrupted`: the attempt before did not end.

    A payload of more than 16 KiB (`payload_bytes`) is missing until `NotificationRepository.load_payload`. `awaits` is
    the status for which the execution waits, None if it waits for none. The first attempt began `tried_s` seconds ago.
    """

    interrupted: bool
    payload_bytes: int = 0
    awaits: AwaitedStatus | None = None
    tried_s: float = 0.0

    @property
    def is_large(self) -> bool:
        """Whether the payload is missing."""
        return self.payload_bytes > SMALL_BYTES


class NotificationAttempt(Record, frozen=True, kw_only=True):
    """One delivery attempt."""

    attempt: int
    outcome: AttemptOutcome
    status_code: int | None
    error: ErrorDetail | None
    started_at: datetime
    ended_at: datetime | None


class DueNotification(Record, frozen=True, kw_only=True):
    """A notification that needs a job. `channel_id` and `recipient` determine the group of that job. `origin_id`
    determines its OpenTelemetry trace: the event, or the execution if there is no event."""

    id: UUID
    channel_id: str
    conversation_id: UUID | None
    recipient: str
    origin_id: UUID | None = None


class NotificationOutcome(Record, frozen=True, kw_only=True):
    """The outcome of attempt number `attempt`, and the `status` that the notification gets.

    `due_in_s` belongs to `retrying`: in how many seconds the next attempt is due. The outcome `uncertain` marks the
    notification too: the recipient may have received the message although the attempt failed.
    """

    id: UUID
    attempt: int
    outcome: Literal["delivered", "sent", "retry", "failed", "uncertain"]
    status: NotificationStatus
    status_code: int | None = None
    error: ErrorDetail | None = None
    provider_id: str | None = None
    due_in_s: float | None = None


class DeliveryReceipt(Record, frozen=True, kw_only=True):
    """A delivery receipt for the message with the id `provider_id` at the provider. `notification_id` is the id of the
    notification whose idempotency key the provider returned with the receipt.

    `job_id` is the job that carries the receipt, and the key of its row (`PendingReceipt`); None if there is no row.
    `last`: this is the last attempt, so the row is removed even if no notification is found.
    """

    channel_id: str
    provider_id: str
    status: DeliveryState
    notification_id: UUID | None = None
    error: ErrorDetail | None = None
    job_id: str | None = None
    last: bool = False


class RecordedReceipt(Record, frozen=True, kw_only=True):
    """What a delivery receipt has changed. `reported` is the notification whose execution must learn it (a row of
    `message_outcomes`), None if no execution must."""

    outcome: ReceiptOutcome
    reported: UUID | None = None


class PendingReceipt(Record, frozen=True, kw_only=True):
    """A delivery receipt that is not recorded yet: the id of its job, and the job's message as JSON text
    (`contract.jobs.DeliveryReceiptJob`).

    Its row in `delivery_statuses` has no status: it exists until the receipt is recorded.

    | written by                        | removed by                                                                 |
    |-----------------------------------|----------------------------------------------------------------------------|
    | `ingest work`, in the transaction | the notifier, when a notification was found or the last attempt is over;   |
    |                                   | the                                                                        |
    | that ends the event               | dead letter of its job; retention of `ingest work`, as for notifications   |
    """

    job_id: str
    message: str


class NotificationWithAttempts(Notification, frozen=True, kw_only=True):
    """A notification that was requested by id, with every attempt."""

    history: list[NotificationAttempt]
