"""Delivering one notification: once if all goes well, at least once whatever happens, under one key.

A try is recorded before it is made and after it has ended. One that is found unfinished (its process died, or
couldn't record it) may have arrived: it is counted and marked as uncertain, and the message is sent again
under the same idempotency key, by which the receiver tells the second from the first.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from filas import logs, metrics
from filas.backoff import exponential
from filas.errors import PermanentError, RetryLater
from filas.models import BegunNotification, ErrorDetail, Notification, NotificationOutcome
from filas.policies import NOTIFICATIONS
from notifier.channels.channel import Delivered, Never, OutgoingMessage, Result, TryAgain
from notifier.directory import ChannelUnusable, KnownChannel

MAX_REASON = 500

log = logs.get_logger(__name__)


class NotificationStore(Protocol):
    """Where notifications are stored (`NotificationRepository`)."""

    async def begin(self, notification_id: UUID, *, replay: bool) -> BegunNotification | None:
        """Claim the notification for a try that begins now; None when there is nothing to deliver any more."""

    async def record(self, outcome: NotificationOutcome) -> bool:
        """Record how a try ended; False if a later try has begun meanwhile, and nothing was changed."""


class Channels(Protocol):
    """Where channels are found (`ChannelDirectory`)."""

    async def find(self, channel_id: str) -> KnownChannel:
        """Raises ChannelUnusable, and StoreUnavailable when the channels can't be read."""


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """What the queue says about this try: its number from 1, whether it is the last, and whether an operator
    has put the job back by hand."""

    number: int
    last: bool
    replay: bool


class DeliveryFailed(PermanentError):
    """The message can't be delivered. `detail` is what is recorded with the dead letter."""

    def __init__(self, detail: ErrorDetail) -> None:
        super().__init__(detail.message)
        self.detail = detail


class DeliveryPostponed(RetryLater):
    """The message is to be tried again. `detail` is what is recorded if this was the last try."""

    def __init__(self, detail: ErrorDetail, delay_s: float) -> None:
        super().__init__(detail.message, delay_s=delay_s)
        self.detail = detail


class Delivery:
    """Delivers notifications of `store` over the channels of `channels`."""

    def __init__(self, store: NotificationStore, channels: Channels) -> None:
        self._store = store
        self._channels = channels

    async def deliver(
        self, notification_id: UUID, channel_id: str, this_try: Try
    ) -> Literal["delivered", "nothing to do"]:
        """Make one try. Raises DeliveryPostponed or DeliveryFailed, and StoreUnavailable.

        The row itself becomes `failed` together with the dead letter, in one transaction, by whoever keeps
        dead letters: until then it stays unfinished, so that no crash in between can lose either.
        """
        # Before the try begins: should the channels be out of reach, then nothing has been sent for certain.
        known = await self._find(channel_id)
        notification = await self._store.begin(notification_id, replay=this_try.replay)
        if notification is None:
            log.info("notification.nothing_to_do", notification_id=str(notification_id))
            return "nothing to do"
        if notification.interrupted:
            metrics.NOTIFICATIONS_INTERRUPTED.inc()
            log.warning("notification.try_was_unfinished", notification_id=str(notification_id))
        channel_type, result = await _send(notification, known)
        outcome = _outcome(notification, result, this_try)
        metrics.NOTIFICATIONS.labels(channel_type, outcome.outcome).inc()
        if not await self._store.record(outcome):
            log.warning("notification.overtaken", notification_id=str(notification_id), attempt=outcome.attempt)
        if isinstance(result, Delivered):
            log.info("notification.delivered", notification_id=str(notification_id), attempt=outcome.attempt)
            return "delivered"
        log.warning(
            "notification.not_delivered",
            notification_id=str(notification_id),
            channel_id=channel_id,
            attempt=outcome.attempt,
            kind=result.kind,
            reason=result.reason,
        )
        if isinstance(result, Never):
            raise DeliveryFailed(_detail(result))
        raise DeliveryPostponed(_detail(result), _delay_s(result, this_try))

    async def _find(self, channel_id: str) -> KnownChannel | ChannelUnusable:
        try:
            return await self._channels.find(channel_id)
        except ChannelUnusable as error:
            return error


async def _send(notification: Notification, known: KnownChannel | ChannelUnusable) -> tuple[str, Result]:
    """The channel's type and what it says. What it raises is a bug of ours; the try is recorded even so."""
    if isinstance(known, ChannelUnusable):
        return "none", Never(reason=str(known), kind=known.kind)
    message = OutgoingMessage(
        id=notification.id,
        to=notification.recipient,
        content=notification.payload,
        idempotency_key=notification.idempotency_key,
        execution_id=notification.execution_id,
    )
    begun = time.monotonic()
    result: Result
    try:
        result = await known.channel.deliver(message)
    except Exception as error:
        log.error("channel.failed", channel_id=notification.channel_id, type=known.type, exc_info=error)
        result = TryAgain(reason=f"the channel failed: {type(error).__name__}", kind="exception", uncertain=True)
    metrics.NOTIFICATION_SECONDS.labels(known.type).observe(time.monotonic() - begun)
    return known.type, result


def _outcome(notification: Notification, result: Result, this_try: Try) -> NotificationOutcome:
    """What is recorded of a try.

    | result                 | the try's outcome                          | the notification's status  |
    |------------------------|--------------------------------------------|----------------------------|
    | delivered              | `delivered`, or `sent` if only taken       | the same                   |
    | try again              | `retry`, or `failed` on the last try       | `retrying`                 |
    | never                  | `failed`                                   | `retrying` (see `deliver`) |
    | either, and uncertain  | `uncertain`                                | `retrying`                 |
    """
    if isinstance(result, Delivered):
        done: Literal["delivered", "sent"] = "delivered" if result.confirmed else "sent"
        return NotificationOutcome(
            id=notification.id,
            attempt=notification.attempts,
            outcome=done,
            status=done,
            status_code=result.status_code,
            provider_id=result.provider_id,
        )
    given_up = isinstance(result, Never) or this_try.last
    wait_s = 0.0 if isinstance(result, Never) else _delay_s(result, this_try)
    return NotificationOutcome(
        id=notification.id,
        attempt=notification.attempts,
        outcome="uncertain" if result.uncertain else "failed" if given_up else "retry",
        status="retrying",
        status_code=result.status_code,
        error=_detail(result),
        due_at=datetime.now(UTC) + timedelta(seconds=wait_s),
        uncertain=result.uncertain,
    )


def _detail(result: TryAgain | Never) -> ErrorDetail:
    status = None if result.status_code is None else {"status": result.status_code}
    # Others share the statement that writes it: a lone surrogate from outside must not fail it for them.
    message = result.reason.encode("utf-8", "backslashreplace").decode()[:MAX_REASON]
    return ErrorDetail(kind=result.kind, message=message, detail=status)


def _delay_s(result: TryAgain, this_try: Try) -> float:
    """As the other side asks, else as the queue's policy says."""
    if result.after_s is not None:
        return result.after_s
    return exponential(this_try.number, base_s=NOTIFICATIONS.backoff_s)
