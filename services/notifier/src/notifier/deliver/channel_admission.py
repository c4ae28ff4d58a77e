"""The gate before a destination: who may pass now, and when the others ought to come back.

Whoever may not pass goes back to the queue without having used up a try, and holds no handler while it waits.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

from filas.contract.channel_circuits import (
    AdmissionRequest,
    Admitted,
    ChannelCircuitStore,
    ChannelReport,
    CircuitChange,
)
from filas.errors import RetryLater, StoreUnavailable
from filas.observability import logs, metrics
from notifier.channels.channel import Result, TryAgain
from notifier.deliver.bulkhead import FairShare

SLOW_S = 0.25
"""When a message comes back that found its destination slow."""

SPREAD_S = 0.002
"""The time between two messages that come back to one destination: 500 a second come back to one that is paused,
however many wait for it."""

QUICKEST_S, SLOWEST_S = 0.0005, 0.01
"""The bounds of that time for a destination that is merely slow."""

FORGOTTEN_S = 2.0
"""A pause that ends so much sooner than was said before is another one."""

log = logs.get_logger(__name__)


class DestinationBusy(RetryLater):
    """The destination takes nothing more at present. No try was made; it uses up none."""

    def __init__(self, reason: str, delay_s: float) -> None:
        super().__init__(f"its destination has to be waited for: {reason}", delay_s=delay_s, spend_try=False)
        self.reason = reason


class Returns:
    """Spreads the messages that are to come back to a destination over the time after it takes some again."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: dict[str, tuple[float, float]] = {}

    def place(self, destination: str, resume_s: float, spread_s: float = SPREAD_S) -> float:
        """The seconds after which a message ought to come back to a destination that resumes in `resume_s`:
        `spread_s` behind those that were told before.

        A pause never becomes shorter, except that Redis has lost it: then those are nothing to stand behind.
        """
        now = self._clock()
        resumes_at = now + resume_s
        resumed_at, last = self._last.get(destination, (0.0, 0.0))
        when = resumes_at if resumed_at > resumes_at + FORGOTTEN_S else max(resumes_at, last + spread_s)
        self._last[destination] = (resumes_at, when)
        return when - now


class Passage:
    """One message's way through the gate. What became of it is to be told here."""

    def __init__(self, gate: "Gate", asked: AdmissionRequest, admitted: Admitted, channel_type: str) -> None:
        self._gate = gate
        self._asked = asked
        self._admitted = admitted
        self._type = channel_type
        self._left = False
        self.told = False

    @contextmanager
    def calling(self) -> Iterator[None]:
        """The block is the call to the destination. Behind it the destination's place is free for the next."""
        try:
            with self._gate.share.calling(self._asked.channel_id):
                yield
        finally:
            self.leave()

    def leave(self) -> None:
        """Give the place back, once."""
        if not self._left:
            self._left = True
            self._gate.share.leave(self._asked.channel_id)

    async def tell(self, result: Result) -> float:
        """Tell what the destination did; gives the seconds in which it may be tried again by this message.

        Never raises: that the destination's state can't be written hurts only what comes next.
        """
        self.told = True
        report = _report(self._asked, result)
        if report.outcome == "success" and not (self._admitted.probe or self._admitted.reports_success):
            return 0.0
        verdict = await self._gate.report(report, self._type)
        return self._gate.paused.place(self._asked.channel_id, verdict.resume_s)

    async def unsent(self) -> None:
        """Nothing was sent: whoever comes next may find out how the destination is."""
        if self._admitted.probe and not self.told:
            asked = self._asked
            await self._gate.report(
                ChannelReport(channel_id=asked.channel_id, id=asked.id, outcome="unsent"), self._type
            )


class Gate:
    """Lets messages pass to their destinations: not more than one destination's share of this process's handlers,
    and as the destination's circuit and rates, known to all processes, allow."""

    def __init__(
        self, store: ChannelCircuitStore, share: FairShare, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self.share = share
        self.paused = Returns(clock)
        self._slow = Returns(clock)

    @asynccontextmanager
    async def passage(self, asked: AdmissionRequest, channel_type: str) -> AsyncIterator[Passage]:
        """Hold a place while the block runs.

        Raises DestinationBusy when the message may not pass now, and StoreUnavailable.
        """
        if not await self.share.enter(asked.channel_id):
            # At the destination's own speed, so that it stays busy with what comes back.
            spread_s = min(max(self.share.gap_s(asked.channel_id), QUICKEST_S), SLOWEST_S)
            raise self._busy("slow", self._slow.place(asked.channel_id, SLOW_S, spread_s))
        passage: Passage | None = None
        try:
            admitted = await self._store.admit(asked)
            if not isinstance(admitted, Admitted):
                own_time = admitted.reason in ("rate", "receiver")
                delay_s = admitted.delay_s if own_time else self.paused.place(asked.channel_id, admitted.delay_s)
                raise self._busy(admitted.reason, delay_s)
            passage = Passage(self, asked, admitted, channel_type)
            if admitted.delay_s > 0:
                await asyncio.sleep(admitted.delay_s)
            yield passage
        finally:
            if passage is None:
                self.share.leave(asked.channel_id)
            else:
                passage.leave()
                await passage.unsent()

    async def report(self, report: ChannelReport, channel_type: str) -> CircuitChange:
        """Write what became of a message; what can't be written is as if nothing had happened."""
        try:
            verdict = await self._store.report(report)
        except StoreUnavailable as error:
            log.warning("destination.not_reported", channel_id=report.channel_id, store=error.store)
            return CircuitChange(change="none", resume_s=report.pause_s or 0.0)
        if verdict.change != "none":
            opened = verdict.change == "opened"
            metrics.DESTINATION_CHANGES.labels(channel_type, "open" if opened else "closed").inc()
            event = "destination.opened" if opened else "destination.closed"
            log.warning(event, channel_id=report.channel_id, resume_s=round(verdict.resume_s, 3))
        return verdict

    def _busy(self, reason: str, delay_s: float) -> DestinationBusy:
        metrics.NOTIFICATIONS_PUT_OFF.labels(reason).inc()
        return DestinationBusy(reason, delay_s)


def _report(asked: AdmissionRequest, result: Result) -> ChannelReport:
    """What a try says of the destination: one that refuses a message is well, as is one with a busy receiver."""
    if isinstance(result, TryAgain) and result.wait_for == "destination":
        return ChannelReport(channel_id=asked.channel_id, id=asked.id, outcome="busy", pause_s=result.after_s)
    if isinstance(result, TryAgain) and result.wait_for == "nobody":
        # A fault of our own says nothing of the destination.
        what: Literal["unsent", "failure"] = "unsent" if result.kind == "exception" else "failure"
        return ChannelReport(channel_id=asked.channel_id, id=asked.id, outcome=what)
    return ChannelReport(channel_id=asked.channel_id, id=asked.id, outcome="success")
