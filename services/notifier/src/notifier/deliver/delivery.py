"""Delivers one notification: at least once, under one idempotency key.

An attempt is recorded before it begins and after it has ended. An attempt without a recorded end (its process died, or
could not record it) may have reached the recipient: it is counted and marked as uncertain, and the message is sent
again under the same idempotency key, by which the recipient recognises the repetition.

A notification waits for a busy channel without using an attempt, for at most a day.
"""

import time
from contextlib import nullcontext
from typing import Literal, Protocol
from uuid import UUID

from filas.contract.channel_circuits import AdmissionRequest
from filas.contract.channel_retry import ChannelRetry
from filas.contract.storable_text import escape_surrogates
from filas.errors import PermanentError, RetryLater
from filas.memory_budget import LARGEST_FACTOR, MemoryBudget, NoRoom
from filas.models.notifications import BegunNotification, Notification, NotificationOutcome
from filas.models.record import ErrorDetail
from filas.observability import logs, metrics
from filas.tracing import spans
from notifier.channels.channel import Delivered, OutgoingMessage, PermanentFailure, Result, TemporaryFailure
from notifier.deliver.address_reports import AddressReports
from notifier.deliver.attempt_plan import Attempt, AttemptPlan, plan_next
from notifier.deliver.channel_admission import AdmittedNotification, ChannelAdmission
from notifier.deliver.channel_cache import ChannelUnusable, KnownChannel
from notifier.deliver.outcome_reports import OutcomeReports

MAX_REASON = 500

MEMORY_WAIT_S = 3.0
"""How many seconds a large notification waits for memory. The attempt has begun, and the job has 15 s."""

MAX_WAIT_S = 24 * 3600.0
"""How many seconds a notification waits for a busy channel before it fails."""

log = logs.get_logger(__name__)


class NotificationStore(Protocol):
    """The table of notifications (`BatchedStore`)."""

    async def begin(self, notification_id: UUID, *, replay: bool) -> BegunNotification | None:
        """Begins an attempt. Returns None if the notification is already in a final status."""

    async def load_payload(self, notification: BegunNotification) -> BegunNotification:
        """Returns a large notification with its payload, which `begin` leaves out."""

    async def record(self, outcome: NotificationOutcome) -> bool:
        """Records the outcome of an attempt.

        Returns False if a later attempt has begun, or if a delivery receipt came before the answer: then only the row
        of the attempt was changed.
        """


class Channels(Protocol):
    """Finds channels (`ChannelCache`)."""

    async def find(self, channel_id: str) -> KnownChannel:
        """Raises ChannelUnusable, ChannelOfNewerVersion, and StoreUnavailable if the channels cannot be read."""


class DeliveryFailed(PermanentError):
    """The notification cannot be delivered. `detail` is recorded with the dead letter."""

    def __init__(self, detail: ErrorDetail) -> None:
        super().__init__(detail.message)
        self.detail = detail


class DeliveryPostponed(RetryLater):
    """The notification is tried again later. `detail` is recorded if this was the last of the channel's
    `max_attempts`."""

    def __init__(self, detail: ErrorDetail, delay_s: float, *, uses_attempt: bool, max_attempts: int) -> None:
        super().__init__(detail.message, delay_s=delay_s, uses_attempt=uses_attempt)
        self.detail = detail
        self.max_attempts = max_attempts


class Delivery:
    """Delivers notifications of `store` over the channels of `channels`, as `admission` and `memory` allow."""

    def __init__(
        self,
        store: NotificationStore,
        channels: Channels,
        admission: ChannelAdmission,
        memory: MemoryBudget,
        addresses: AddressReports | None = None,
        outcomes: OutcomeReports | None = None,
    ) -> None:
        self._outcomes = outcomes
        self._memory = memory
        self._addresses = addresses
        self._store = store
        self._channels = channels
        self._admission = admission

    async def deliver(
        self, notification_id: UUID, channel_id: str, attempt: Attempt
    ) -> Literal["delivered", "nothing to do"]:
        """Makes one attempt. Raises DeliveryPostponed, ChannelBusy or DeliveryFailed, ChannelOfNewerVersion before the
        attempt begins, and StoreUnavailable.

        The row becomes `failed` in the transaction that stores the dead letter. It stays unfinished until then, so a
        crash in between loses neither.
        """
        # This comes before the attempt begins: if the channels cannot be read, nothing has been sent.
        known = await self._find(channel_id)
        if isinstance(known, ChannelUnusable):
            return await self._try(notification_id, known, attempt, None)
        asked = AdmissionRequest(
            channel_id=channel_id, id=str(notification_id), recipient=attempt.recipient, limits=known.limits
        )
        try:
            async with self._admission.admit(asked, known.type) as admitted:
                return await self._try(notification_id, known, attempt, admitted)
        except RetryLater as error:
            if error.uses_attempt or attempt.age_s < MAX_WAIT_S:
                raise
            hours = round(attempt.age_s / 3600)
            detail = ErrorDetail(kind="expired", message=f"not delivered within {hours} h: {error}"[:MAX_REASON])
            raise DeliveryFailed(detail) from None

    async def _try(
        self,
        notification_id: UUID,
        known: KnownChannel | ChannelUnusable,
        attempt: Attempt,
        admitted: AdmittedNotification | None,
    ) -> Literal["delivered", "nothing to do"]:
        notification = await self._store.begin(notification_id, replay=attempt.replay)
        if notification is None:
            log.info("notification.already_final", notification_id=str(notification_id))
            return "nothing to do"
        if notification.interrupted:
            metrics.NOTIFICATIONS_INTERRUPTED.inc()
            log.warning("notification.attempt_interrupted", notification_id=str(notification_id))
        with _span_of(notification, known) as span:
            channel_type, result = await self._send(notification, known, admitted)
            retry = ChannelRetry() if isinstance(known, ChannelUnusable) else known.retry
            plan = plan_next(notification, result, retry, attempt)
            outcome = _outcome(notification, result, plan)
            _set_outcome(span, result, outcome)
        metrics.NOTIFICATIONS.labels(channel_type, outcome.outcome).inc()
        if not await self._store.record(outcome):
            log.info("notification.superseded", notification_id=str(notification_id), attempt=outcome.attempt)
        # The outcome is recorded first: it matters more than the state of the channel.
        resume_s = await admitted.report(result) if admitted else 0.0
        if isinstance(result, Delivered):
            log.info("notification.delivered", notification_id=str(notification_id), attempt=outcome.attempt)
            if self._outcomes is not None and notification.awaits is not None:
                await self._report(notification, outcome)
            if self._addresses is not None and result.addresses:
                await self._addresses.report(notification.channel_id, channel_type, notification.recipient, result)
            return "delivered"
        log.warning(
            "notification.not_delivered",
            notification_id=str(notification_id),
            channel_id=notification.channel_id,
            attempt=outcome.attempt,
            kind=result.kind,
            reason=result.reason,
        )
        if isinstance(result, PermanentFailure):
            raise DeliveryFailed(_detail(result))
        delay_s = resume_s if result.wait_for == "channel" else plan.delay_s
        raise DeliveryPostponed(
            _detail(result), delay_s, uses_attempt=plan.uses_attempt, max_attempts=plan.max_attempts
        )

    async def _send(
        self,
        notification: BegunNotification,
        known: KnownChannel | ChannelUnusable,
        admitted: AdmittedNotification | None,
    ) -> tuple[str, Result]:
        """Sends the message. A large one is loaded when there is memory for it; without memory, it waits as for a busy
        recipient. Returns the channel's type and its result."""
        if not notification.is_large or isinstance(known, ChannelUnusable):
            return await _send(notification, known, admitted)
        try:
            async with self._memory.hold(notification.payload_bytes * LARGEST_FACTOR, MEMORY_WAIT_S):
                return await _send(await self._store.load_payload(notification), known, admitted)
        except NoRoom:
            reason = "no memory for the content"
            return known.type, TemporaryFailure(reason=reason, kind="memory", wait_for="recipient", after_s=1.0)

    async def _report(self, notification: BegunNotification, outcome: NotificationOutcome) -> None:
        """Reports a delivery for which the execution waits."""
        if self._outcomes is not None and outcome.status in (notification.awaits, "delivered"):
            await self._outcomes.report("delivered" if outcome.status == "delivered" else "sent", notification.id)

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


def _set_outcome(span: spans.Span, result: Result, outcome: NotificationOutcome) -> None:
    if span is spans.NOT_RECORDED:
        return
    span.set_attributes({"filas.delivery.outcome": outcome.outcome, "http.response.status_code": result.status_code})
    if not isinstance(result, Delivered):
        span.fail(result.kind, result.reason)


async def _send(
    notification: Notification, known: KnownChannel | ChannelUnusable, admitted: AdmittedNotification | None
) -> tuple[str, Result]:
    """Sends the message. Returns the channel's type and its result.

    An exception is a fault of our code. The attempt is recorded nevertheless.
    """
    if isinstance(known, ChannelUnusable):
        return "none", PermanentFailure(reason=str(known), kind=known.kind)
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
        with admitted.calling() if admitted else nullcontext():
            result = await known.channel.deliver(message)
    except Exception as error:
        log.error("channel.failed", channel_id=notification.channel_id, type=known.type, exc_info=error)
        reason = (
            "the channel failed with an error that Filas does not expect; the notifier's log has it (channel.failed)"
        )
        result = TemporaryFailure(reason=reason, kind="exception", uncertain=True)
    metrics.NOTIFICATION_SECONDS.labels(known.type).observe(time.monotonic() - begun)
    return known.type, result


def _outcome(notification: Notification, result: Result, plan: AttemptPlan) -> NotificationOutcome:
    """Returns what is recorded of an attempt.

    | result                 | outcome of the attempt                     | status of the notification |
    |------------------------|--------------------------------------------|----------------------------|
    | delivered              | `delivered`, or `sent` if only accepted    | the same                   |
    | temporary failure      | `retry`, or `failed` on the last attempt   | `retrying`                 |
    | busy channel/recipient | `retry`                                    | `retrying`                 |
    | permanent failure      | `failed`                                   | `retrying` (see `deliver`) |
    | failure, uncertain     | `uncertain`                                | `retrying`                 |
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
    failed = isinstance(result, PermanentFailure) or plan.last
    return NotificationOutcome(
        id=notification.id,
        attempt=notification.attempts,
        outcome="uncertain" if result.uncertain else "failed" if failed else "retry",
        status="retrying",
        status_code=result.status_code,
        error=_detail(result),
        due_in_s=plan.delay_s,
    )


def _detail(result: TemporaryFailure | PermanentFailure) -> ErrorDetail:
    status = None if result.status_code is None else {"status": result.status_code}
    # Other notifications share the statement, and a lone surrogate would fail it for all of them.
    message = escape_surrogates(result.reason)[:MAX_REASON]
    return ErrorDetail(kind=result.kind, message=message, detail=status)
