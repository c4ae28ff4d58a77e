"""Admission: whether a notification may be sent over its channel now, and when a deferred one comes back.

A notification that is not admitted is requeued without using an attempt, and holds no slot while it waits.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Literal

from filas.contract.channel_circuits import (
    AdmissionRequest,
    Admitted,
    ChannelCircuitStore,
    ChannelReport,
    CircuitChange,
)
from filas.errors import RetryLater, StoreUnavailable
from filas.observability import logs, metrics
from notifier.channels.channel import Result, TemporaryFailure
from notifier.deliver.bulkhead import Bulkhead

SLOW_RETRY_S: Final = 0.25
"""After how many seconds a notification comes back that found its channel slow."""

SPREAD_S: Final = 0.002
"""The interval between two notifications that come back to one paused channel: 500 per second, however many wait."""

SHORTEST_SPREAD_S, LONGEST_SPREAD_S = 0.0005, 0.01
"""The bounds of that interval for a channel that is only slow."""

NEW_PAUSE_S: Final = 2.0
"""A pause that ends by more than this before the end that was known is a new pause."""

log = logs.get_logger(__name__)


class ChannelBusy(RetryLater):
    """The channel accepts nothing more at present. Nothing was sent, and no attempt is used."""

    def __init__(self, reason: str, delay_s: float) -> None:
        super().__init__(f"the channel is not available yet: {reason}", delay_s=delay_s, uses_attempt=False)
        self.reason = reason


class ReturnTimes:
    """Spreads the notifications that wait for a channel over the time after the channel resumes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: dict[str, tuple[float, float]] = {}

    def next_s(self, channel_id: str, resume_s: float, spread_s: float = SPREAD_S) -> float:
        """Returns after how many seconds a notification comes back to a channel that resumes in `resume_s` seconds:
        `spread_s` after the notification before it.

        A pause only becomes shorter when Redis has lost it. The earlier return times are then ignored.
        """
        now = self._clock()
        resumes_at = now + resume_s
        known_resumes_at, last = self._last.get(channel_id, (0.0, 0.0))
        is_new_pause = known_resumes_at > resumes_at + NEW_PAUSE_S
        when = resumes_at if is_new_pause else max(resumes_at, last + spread_s)
        self._last[channel_id] = (resumes_at, when)
        return when - now


class AdmittedNotification:
    """One admitted notification. It holds a slot of the bulkhead until its call has ended."""

    def __init__(
        self, admission: "ChannelAdmission", asked: AdmissionRequest, admitted: Admitted, channel_type: str
    ) -> None:
        self._admission = admission
        self._asked = asked
        self._admitted = admitted
        self._type = channel_type
        self._released = False
        self._reported = False

    @contextmanager
    def calling(self) -> Iterator[None]:
        """The block is the call to the provider. After it, the slot is free for the next notification."""
        try:
            with self._admission.bulkhead.measured_call(self._asked.channel_id):
                yield
        finally:
            self.release()

    def release(self) -> None:
        """Releases the slot of the bulkhead. Further calls do nothing."""
        if not self._released:
            self._released = True
            self._admission.bulkhead.release(self._asked.channel_id)

    async def report(self, result: Result) -> float:
        """Reports the result. Returns after how many seconds this notification may be tried again.

        Never raises: a report that cannot be written only delays what the other processes learn about the channel.
        """
        self._reported = True
        report = _report(self._asked, result)
        if report.outcome == "success" and not (self._admitted.probe or self._admitted.reports_success):
            return 0.0
        verdict = await self._admission.report(report, self._type)
        return self._admission.paused.next_s(self._asked.channel_id, verdict.resume_s)

    async def report_unsent(self) -> None:
        """Reports that nothing was sent, if this was the probe: the next notification may be the probe."""
        if self._admitted.probe and not self._reported:
            asked = self._asked
            await self._admission.report(
                ChannelReport(channel_id=asked.channel_id, id=asked.id, outcome="unsent"), self._type
            )


class ChannelAdmission:
    """Admits notifications to their channels, within the bulkhead of this process and the circuit and rate limits that
    all processes share."""

    def __init__(
        self, store: ChannelCircuitStore, bulkhead: Bulkhead, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self.bulkhead = bulkhead
        self.paused = ReturnTimes(clock)
        self._slow = ReturnTimes(clock)

    @asynccontextmanager
    async def admit(self, asked: AdmissionRequest, channel_type: str) -> AsyncIterator[AdmittedNotification]:
        """Holds a slot while the block runs.

        Raises ChannelBusy if the notification may not be sent now, and StoreUnavailable.
        """
        if not await self.bulkhead.acquire(asked.channel_id):
            # They come back at the channel's own speed, which keeps the channel busy.
            spread_s = min(max(self.bulkhead.interval_s(asked.channel_id), SHORTEST_SPREAD_S), LONGEST_SPREAD_S)
            raise self._busy("slow", self._slow.next_s(asked.channel_id, SLOW_RETRY_S, spread_s))
        notification: AdmittedNotification | None = None
        try:
            admitted = await self._store.admit(asked)
            if not isinstance(admitted, Admitted):
                has_own_time = admitted.reason in ("rate", "recipient")
                delay_s = admitted.delay_s if has_own_time else self.paused.next_s(asked.channel_id, admitted.delay_s)
                raise self._busy(admitted.reason, delay_s)
            notification = AdmittedNotification(self, asked, admitted, channel_type)
            if admitted.delay_s > 0:
                await asyncio.sleep(admitted.delay_s)
            yield notification
        finally:
            if notification is None:
                self.bulkhead.release(asked.channel_id)
            else:
                notification.release()
                await notification.report_unsent()

    async def report(self, report: ChannelReport, channel_type: str) -> CircuitChange:
        """Writes a report. If the store is unavailable, the report is dropped and logged."""
        try:
            verdict = await self._store.report(report)
        except StoreUnavailable as error:
            log.warning("channel.report_failed", channel_id=report.channel_id, store=error.store)
            return CircuitChange(change="none", resume_s=report.pause_s or 0.0)
        if verdict.change != "none":
            opened = verdict.change == "opened"
            metrics.CHANNEL_CIRCUIT_CHANGES.labels(channel_type, "open" if opened else "closed").inc()
            event = "channel.paused" if opened else "channel.recovered"
            log.warning(event, channel_id=report.channel_id, resume_s=round(verdict.resume_s, 3))
        return verdict

    def _busy(self, reason: str, delay_s: float) -> ChannelBusy:
        metrics.NOTIFICATIONS_DEFERRED.labels(reason).inc()
        return ChannelBusy(reason, delay_s)


def _report(asked: AdmissionRequest, result: Result) -> ChannelReport:
    """Returns what a result means for the channel. A refused message and a busy recipient are successes."""
    if isinstance(result, TemporaryFailure) and result.wait_for == "channel":
        return ChannelReport(channel_id=asked.channel_id, id=asked.id, outcome="busy", pause_s=result.after_s)
    if isinstance(result, TemporaryFailure) and result.wait_for == "none":
        # An exception is a fault of our own code, so it is no failure of the channel.
        outcome: Literal["unsent", "failure"] = "unsent" if result.kind == "exception" else "failure"
        return ChannelReport(channel_id=asked.channel_id, id=asked.id, outcome=outcome)
    return ChannelReport(channel_id=asked.channel_id, id=asked.id, outcome="success")
