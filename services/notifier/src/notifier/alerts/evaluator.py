"""Evaluates the alert rules: one notifier at a time, every few seconds."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Final

from filas.contract.job_factories import notification_job
from filas.doctor.figures import Figures
from filas.errors import LeaseLost, StoreUnavailable
from filas.messages.catalogue import Language
from filas.models.alerts import AlertFiring, AlertTarget, StoredAlertRule
from filas.models.notifications import DueNotification
from filas.observability import logs, metrics
from filas.queue.producer import QueueProducer
from filas.repository.alerts import AlertChanges, AlertLease, AlertRepository
from filas.tracing import spans
from notifier.alerts.announcements import messages_of
from notifier.alerts.decisions import decide

EVERY_S: Final = 10.0
LEASE_S: Final = 25.0
"""Another notifier takes over at most this long after the evaluating one has died."""

log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """Where messages go if a rule has no recipients, the address of the dashboard, and the language of the messages."""

    to: tuple[AlertTarget, ...] = ()
    dashboard_url: str = ""
    language: Language = "en"
    lease_s: float = LEASE_S


class AlertEvaluator:
    """Evaluates the rules while it holds the lease. `measure` examines everything."""

    def __init__(
        self,
        alerts: AlertRepository,
        producer: QueueProducer,
        measure: Callable[[], Awaitable[Figures]],
        settings: AlertSettings,
    ) -> None:
        self._alerts = alerts
        self._producer = producer
        self._measure = measure
        self._settings = settings
        self._owner = token_hex(8)
        self._was_evaluating = False

    async def step(self) -> None:
        """Evaluates all rules once, if this process holds the lease or can take it. Raises StoreUnavailable."""
        lease = await self._alerts.take_lease(self._owner, self._settings.lease_s)
        metrics.ALERT_EVALUATOR.set(lease is not None)
        if lease is None:
            self._was_evaluating = False
            return
        if not self._was_evaluating:
            log.info("alerts.evaluating", fence=lease.fence)
            self._was_evaluating = True
        try:
            await self._evaluate(lease)
        except LeaseLost:
            log.warning("alerts.lease_lost")
            self._was_evaluating = False

    async def _evaluate(self, lease: AlertLease) -> None:
        rules, firings = await self._alerts.rules(), await self._alerts.open_firings()
        figures, changes = await self._measure(), AlertChanges()
        for rule in rules:
            observed = await figures.measure(rule) if rule.enabled else {}
            if observed is None:
                continue
            own = [one for one in firings if one.rule_id == rule.id]
            for firing in decide(rule, observed, own, lease.now, changes):
                self._announce(rule, firing, changes)
        known = {rule.id for rule in rules}
        changes.deleted += [one.id for one in firings if one.rule_id not in known and one.resolved_at is None]
        due = await self._alerts.write(lease, changes)
        self._report(firings, changes)
        await self._enqueue(due)

    def _announce(self, rule: StoredAlertRule, firing: AlertFiring, changes: AlertChanges) -> None:
        targets = rule.to or self._settings.to
        changes.messages += messages_of(firing, rule, targets, self._settings.dashboard_url, self._settings.language)

    def _report(self, before: Sequence[AlertFiring], changes: AlertChanges) -> None:
        """Logs what has begun and what is over, and counts what fires."""
        states = {one.id: one.state for one in before}
        for one in changes.firings:
            if one.state == states.get(one.id, "pending"):
                continue
            fields = {"rule_id": one.rule_id, "subject": one.subject, "value": one.value, "peak": one.peak}
            if one.state == "firing":
                reason = one.detail.get("sentence")
                log.warning("alert.firing", **fields, severity=one.severity, reason=reason)
            elif one.state == "resolved":
                log.info("alert.resolved", **fields)
        for one in changes.firings:
            states[one.id] = one.state
        gone = set(changes.deleted)
        firing = sum(state == "firing" for firing_id, state in states.items() if firing_id not in gone)
        metrics.ALERTS_FIRING.set(firing)

    async def _enqueue(self, due: Sequence[DueNotification]) -> None:
        jobs = [notification_job(one.id, one.channel_id, one.recipient, spans.root_traceparent(one.id)) for one in due]
        if not jobs:
            return
        try:
            await self._producer.enqueue_many(jobs)
        except StoreUnavailable as error:
            # The relay enqueues the jobs of the stored rows.
            log.warning("alerts.left_to_relay", messages=len(jobs), store=error.store, reason=error.reason)
