"""Decides what the observations of a rule change. Everything is in the firings, so any notifier can continue."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from filas.contract.identity import new_id
from filas.models.alerts import AlertFiring, AlertRule, Observation, QuietHours, StoredAlertRule
from filas.repository.alerts import AlertChanges

MAX_SUBJECTS: Final = 50
"""How many subjects of one rule may fire at a time."""


def decide(
    rule: StoredAlertRule,
    observed: Mapping[str, Observation],
    firings: Sequence[AlertFiring],
    now: datetime,
    changes: AlertChanges,
) -> list[AlertFiring]:
    """Adds the changes of one rule. `firings` are those of the rule, the oldest first: open ones, and past ones that
    were announced.

    Returns the firings that are to be announced now: `firing` ones as alerts, `resolved` ones as recoveries. They are
    in `changes` too, with the time of the announcement.
    """
    reached = {name: one for name, one in observed.items() if one.value >= rule.threshold} if rule.enabled else {}
    announced: list[AlertFiring] = []
    open_firings = {one.subject: one for one in firings if one.resolved_at is None}
    for subject, observation in list(reached.items())[:MAX_SUBJECTS]:
        before = open_firings.pop(subject, None)
        firing = _continued(rule, subject, observation, before, now)
        if firing.state == "firing" and firing.announced_at is None and _may_announce(rule, subject, firings, now):
            firing = msgspec.structs.replace(firing, announced_at=now)
            announced.append(firing)
        if firing != before:
            changes.firings.append(firing)
    for firing in open_firings.values():
        if firing.state == "pending":
            changes.deleted.append(firing.id)
        else:
            changes.firings.append(msgspec.structs.replace(firing, state="resolved", resolved_at=now))
    announced += _recoveries(rule, firings, now, changes)
    return announced


def is_quiet(hours: QuietHours | None, now: datetime) -> bool:
    """Whether `now` is within the quiet hours. Hours that end before they begin include midnight."""
    if hours is None:
        return False
    local = now.astimezone(ZoneInfo(hours.timezone))
    begin, end, clock = time.fromisoformat(hours.begin), time.fromisoformat(hours.end), local.time()
    if begin <= end:
        return begin <= clock < end and local.isoweekday() in hours.days
    if clock >= begin:
        return local.isoweekday() in hours.days
    return clock < end and (local - timedelta(days=1)).isoweekday() in hours.days


def _continued(
    rule: AlertRule, subject: str, observation: Observation, before: AlertFiring | None, now: datetime
) -> AlertFiring:
    """The firing of a subject that has reached the threshold: a new one, or the one before with the present value."""
    detail = msgspec.to_builtins(observation)
    if before is None:
        before = AlertFiring(
            id=new_id(),
            rule_id=rule.id,
            subject=subject,
            state="pending",
            severity=rule.severity,
            value=observation.value,
            peak=observation.value,
            detail=detail,
            pending_since=now,
        )
    firing = msgspec.structs.replace(
        before,
        severity=rule.severity,
        value=observation.value,
        peak=max(before.peak, observation.value),
        detail=detail,
    )
    if firing.state == "pending" and now - firing.pending_since >= timedelta(milliseconds=rule.duration_ms):
        firing = msgspec.structs.replace(firing, state="firing", fired_at=now)
    return firing


def _recoveries(
    rule: StoredAlertRule, firings: Sequence[AlertFiring], now: datetime, changes: AlertChanges
) -> list[AlertFiring]:
    """The alerts that are over and were announced, and whose recovery was not."""
    if _is_silent(rule, now):
        return []
    written = {one.id: index for index, one in enumerate(changes.firings)}
    found: list[AlertFiring] = []
    for one in firings:
        current = changes.firings[written[one.id]] if one.id in written else one
        if current.state != "resolved" or current.announced_at is None or current.recovery_announced_at is not None:
            continue
        current = msgspec.structs.replace(current, recovery_announced_at=now)
        if one.id in written:
            changes.firings[written[one.id]] = current
        else:
            changes.firings.append(current)
        found.append(current)
    return found


def _may_announce(rule: StoredAlertRule, subject: str, firings: Sequence[AlertFiring], now: datetime) -> bool:
    """Whether an alert may be announced now: it is not silenced, no quiet hours, and the cool-down is over."""
    cooldown = timedelta(milliseconds=rule.cooldown_ms)
    recent = any(
        one.subject == subject
        and one.announced_at is not None
        and one.resolved_at is not None
        and now - one.resolved_at < cooldown
        for one in firings
    )
    return not recent and not _is_silent(rule, now)


def _is_silent(rule: StoredAlertRule, now: datetime) -> bool:
    is_silenced = rule.silenced_until is not None and now < rule.silenced_until
    return is_silenced or is_quiet(rule.quiet_hours, now)
