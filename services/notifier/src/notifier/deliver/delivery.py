"""Delivering one notification: once if all goes well, at least once whatever happens, under one key.

A try is recorded before it is made and after it has ended. One that is found unfinished (its process died, or
couldn't record it) may have arrived: it is counted and marked as uncertain, and the message is sent again
under the same idempotency key, by which the receiver tells the second from the first.

A destination that is busy is waited for: that uses up no try, and ends after a day.
"""

import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from filas.backoff import exponential
from filas.contract.channel_circuits import AdmissionRequest
from filas.contract.policies import NOTIFICATIONS
from filas.contract.storable_text import escape_surrogates
from filas.errors import PermanentError, RetryLater
from filas.models.notifications import BegunNotification, Notification, NotificationOutcome
from filas.models.record import ErrorDetail
from filas.observability import logs, metrics
from filas.tracing import spans
from notifier.channels.channel import Delivered, Never, OutgoingMessage, Result, TryAgain
from notifier.deliver.channel_admission import Gate, Passage
from notifier.deliver.channel_cache import ChannelUnusable, KnownChannel

MAX_REASON = 500

GIVE_UP_S = 24 * 3600.0
"""How long a message waits for a busy destination before it is given up."""

log = logs.get_logger(__name__)


class NotificationStore(Protocol):
    """Where notifications are stored (`NotificationRepository`)."""

    async def begin(self, notification_id: UUID, *, replay: bool) -> BegunNotification | None:
        """Claim the notification for a try that begins now; None when there is nothing to deliver any more."""

    async def record(self, outcome: NotificationOutcome) -> bool:
        """Record how a try ended; False if a later try has begun meanwhile, or the provider has told of the message
        before it answered: then only the try's own row was changed."""


class Channels(Protocol):
    """Where channels are found (`ChannelDirectory`)."""

    async def find(self, channel_id: str) -> KnownChannel:
        """Raises ChannelUnusable, and StoreUnavailable when the channels can't be read."""


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """What the queue says about this try: its number from 1, whether it is the last, and whether an operator
    has put the job back by hand; who receives it (its group), and how long ago its job was put."""

    number: int
    last: bool
    replay: bool
    receiver: str = ""
    age_s: float = 0.0


class DeliveryFailed(PermanentError):
    """The message can't be delivered. `detail` is what is recorded with the dead letter."""

    def __init__(self, detail: ErrorDetail) -> None:
        super().__init__(detail.message)
        self.detail = detail


class DeliveryPostponed(RetryLater):
    """The message is to be tried again. `detail` is what is recorded if this was the last try."""

    def __init__(self, detail: ErrorDetail, delay_s: float, *, spend_try: bool = True) -> None:
        super().__init__(detail.message, delay_s=delay_s, spend_try=spend_try)
        self.detail = detail


class Delivery:
    """Delivers notifications of `store` over the channels of `channels`, through the `gate` before each."""

    def __init__(self, store: NotificationStore, channels: Channels, gate: Gate) -> None:
        self._store = store
        self._channels = channels
        self._gate = gate

    async def deliver(
        self, notification_id: UUID, channel_id: str, this_try: Try
    ) -> Literal["delivered", "nothing to do"]:
        """Make one try. Raises DeliveryPostponed, DestinationBusy or DeliveryFailed, and StoreUnavailable.

        The row itself becomes `failed` together with the dead letter, in one transaction, by whoever keeps
        dead letters: until then it stays unfinished, so that no crash in between can lose either.
        """
        # Before the try begins: should the channels be out of reach, then nothing has been sent for certain.
        known = await self._find(channel_id)
        if isinstance(known, ChannelUnusable):
            return await self._try(notification_id, known, this_try, None)
        asked = AdmissionRequest(
            channel_id=channel_id, id=str(notification_id), recipient=this_try.receiver, limits=known.limits
        )
        try:
            async with self._gate.passage(asked, known.type) as passage:
                return await self._try(notification_id, known, this_try, passage)
        except RetryLater as error:
            if error.spend_try or this_try.age_s < GIVE_UP_S:
                raise
            hours = round(this_try.age_s / 3600)
            detail = ErrorDetail(kind="expired", message=f"given up after {hours} h: {error}"[:MAX_REASON])
            raise DeliveryFailed(detail) from None

    async def _try(
        self, notification_id: UUID, known: KnownChannel | ChannelUnusable, this_try: Try, passage: Passage | None
    ) -> Literal["delivered", "nothing to do"]:
        notification = await self._store.begin(notification_id, replay=this_try.replay)
        if notification is None:
            log.info("notification.nothing_to_do", notification_id=str(notification_id))
            return "nothing to do"
        if notification.interrupted:
            metrics.NOTIFICATIONS_INTERRUPTED.inc()
            log.warning("notification.try_was_unfinished", notification_id=str(notification_id))
        with _span_of(notification, known) as span:
            channel_type, result = await _send(notification, known, passage)
            outcome = _outcome(notification, result, this_try)
            _tell(span, result, outcome)
        metrics.NOTIFICATIONS.labels(channel_type, outcome.outcome).inc()
        if not await self._store.record(outcome):
            log.info("notification.overtaken", notification_id=str(notification_id), attempt=outcome.attempt)
        # Only now: what became of the message is worth more than what it says of its destination.
        resume_s = await passage.tell(result) if passage else 0.0
        if isinstance(result, Delivered):
            log.info("notification.delivered", notification_id=str(notification_id), attempt=outcome.attempt)
            return "delivered"
        log.warning(
            "notification.not_delivered",
            notification_id=str(notification_id),
            channel_id=notification.channel_id,
            attempt=outcome.attempt,
            kind=result.kind,
            reason=result.reason,
        )
        if isinstance(result, Never):
            raise DeliveryFailed(_detail(result))
        if result.wait_for == "destination":
            raise DeliveryPostponed(_detail(result), resume_s, spend_try=False)
        spend_try = result.wait_for == "nobody"
        raise DeliveryPostponed(_detail(result), _delay_s(result, this_try), spend_try=spend_try)

    async def _find(self, channel_id: str) -> KnownChannel | ChannelUnusable:
        try:
            return await self._channels.find(channel_id)
        except ChannelUnusable as error:
            return error


def _span_of(notification: Notification, known: KnownChannel | ChannelUnusable) -> spans.Span:
    if not spans.is_on():
        return spans.NOT_RECORDED
    channel_type = "none" if isinstance(known, ChannelUnusable) else known.type
    attributes = {
        "filas.notification.id": str(notification.id),
        "filas.execution.id": None if notification.execution_id is None else str(notification.execution_id),
        "filas.channel.id": notification.channel_id,
        "filas.channel.type": channel_type,
        "filas.delivery.attempt": notification.attempts,
    }
    return spans.span(f"deliver {channel_type}", "client", spans.current().traceparent, attributes)


def _tell(span: spans.Span, result: Result, outcome: NotificationOutcome) -> None:
    if span is spans.NOT_RECORDED:
        return
    span.tell({"filas.delivery.outcome": outcome.outcome, "http.response.status_code": result.status_code})
    if not isinstance(result, Delivered):
        span.fail(result.kind, result.reason)


async def _send(
    notification: Notification, known: KnownChannel | ChannelUnusable, passage: Passage | None
) -> tuple[str, Result]:
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
        with passage.calling() if passage else nullcontext():
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
    | try again: it is busy  | `retry`                                    | `retrying`                 |
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
    given_up = isinstance(result, Never) or (this_try.last and result.wait_for == "nobody")
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
    message = escape_surrogates(result.reason)[:MAX_REASON]
    return ErrorDetail(kind=result.kind, message=message, detail=status)


def _delay_s(result: TryAgain, this_try: Try) -> float:
    """As the other side asks, else as the queue's policy says."""
    if result.after_s is not None:
        return result.after_s
    return exponential(this_try.number, base_s=NOTIFICATIONS.backoff_s)
