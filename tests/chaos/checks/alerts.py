"""Alerts fired for what happened and for nothing else, and each was announced once."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from tests.chaos.actions import possible
from tests.chaos.alerts import CHANNEL, LATE_S, OPERATOR, RULES, Firing
from tests.chaos.checks.failing_flows import Met, ended_by_flow, many_failed, most_failed, times_met, windows
from tests.chaos.evidence import Evidence
from tests.chaos.schedule import LONG_KINDS, Fault

SLACK_S: Final = 6.0
"""How far the time of an evaluation and that of a row may differ: a commit, an evaluation, a busy machine."""

EVALUATED_S: Final = 30.0
"""How long something must be so that an evaluation has certainly seen it: the evaluating notifier or its stores may be
hit, and another one takes over."""

SEEN_S: Final = 6.0
"""The same while nothing else is wrong."""

CIRCUIT_S: Final = 75.0
"""How long after its receiver works again a channel may count as failing: its circuit is open for at most a minute."""

AFTER_S: Final = 12.0
"""How long after a fault its effects on the processes may last."""

STANDARD_THAT_MAY_FIRE: Final = frozenset({"failing-flow", "undelivered-messages", "dead-letters"})
"""The standard rules that the flows of a run may meet. Every other one needs more than the faults of a run."""

STANDARD_AFTER_REFUSALS: Final = frozenset({"refused-requests", "wrong-signatures"})


def alerts_fired_for_what_happened(evidence: Evidence) -> Iterator[str]:
    """An alert has fired for each flow that failed for long enough, and for each fault that nothing else hid."""
    if evidence.observed.alerts is None:
        return
    firings = evidence.observed.alerts.firings
    for rule, is_met in (("chaos-failures", many_failed), ("chaos-share", most_failed)):
        for flow, executions in ended_by_flow(evidence).items():
            for since, until in times_met(executions, is_met):
                fired = [one for one in firings if one.rule_id == rule and one.subject == flow]
                if until - since > timedelta(seconds=EVALUATED_S) and not any(
                    one.fired_at <= until and (one.resolved_at is None or since <= one.resolved_at) for one in fired
                ):
                    yield f"{rule}: no alert for {flow}, which failed from {since:%H:%M:%S} to {until:%H:%M:%S}"
    for fault in evidence.faults:
        for rule, subject in _expected(evidence, fault):
            began, ended = (_at(evidence, at_s) for at_s in (fault.at_s - 1.0, fault.ends_s + SLACK_S))
            if not any(
                one.rule_id == rule
                and one.subject == subject
                and one.fired_at <= ended
                and (one.resolved_at is None or began <= one.resolved_at)
                for one in firings
            ):
                yield f"{rule}: no alert{f' for {subject}' if subject else ''} although {fault}"


def alerts_fired_for_nothing_else(evidence: Evidence) -> Iterator[str]:
    """Each alert that has fired had a reason."""
    if evidence.observed.alerts is None:
        return
    for one in evidence.observed.alerts.firings:
        reason = _REASONS.get(one.rule_id)
        is_standard = one.rule_id in STANDARD_THAT_MAY_FIRE | STANDARD_AFTER_REFUSALS
        if not (is_standard if reason is None else reason(evidence, one)):
            subject = f" for {one.subject}" if one.subject else ""
            yield f"{one.rule_id} fired{subject} at {_seconds(evidence, one.fired_at):.1f} s with {one.value:g}"


def alerts_are_announced_once(evidence: Evidence) -> Iterator[str]:
    """One message when an alert fires and one when it is over; both arrive. No two alerts of one subject overlap."""
    if evidence.observed.alerts is None:
        return
    alerts = evidence.observed.alerts
    expected: list[str] = []
    last: dict[tuple[str, str], Firing] = {}
    for one in alerts.firings:
        before = last.get((one.rule_id, one.subject))
        if before is not None and (before.resolved_at is None or one.fired_at < before.resolved_at):
            yield f"{one.rule_id} fired twice at a time for {one.subject or 'all'}"
        last[one.rule_id, one.subject] = one
        if one.rule_id not in RULES:
            continue
        if one.resolved_at is None:
            yield f"{one.rule_id} ({one.subject}) is not over"
        expected += [f"alert:{one.id}:{event}:{CHANNEL}:{OPERATOR}" for event in ("fired", "recovered")]
    stored = Counter(key for key, _ in alerts.messages)
    arrived = {one.key for one in alerts.arrivals}
    bodies = {(one.key, one.body) for one in alerts.arrivals}
    for key in expected:
        if stored[key] != 1:
            yield f"{stored[key]} messages are stored under {key}"
        elif key not in arrived:
            yield f"the message {key} did not arrive"
    for key in sorted((stored.keys() | arrived) - set(expected)):
        yield f"a message about no alert was stored or arrived: {key}"
    if len(bodies) != len(arrived):
        yield "two messages about alerts arrived under one key"


def _expected(evidence: Evidence, fault: Fault) -> Iterator[tuple[str, str]]:
    """The rules and subjects that a fault certainly meets: it lasts, and nothing else is wrong meanwhile."""
    near = [
        one
        for one in evidence.faults
        if one != fault and one.at_s <= fault.ends_s + SLACK_S and fault.at_s - AFTER_S <= one.ends_s
    ]
    if near or fault.lasts_s < SEEN_S:
        return
    if fault.kind == "store-full" and fault.target == "redis":
        yield "chaos-memory", ""
    if fault.kind in ("receiver-down", "receiver-garbage") and fault.target == "messages":
        sent = Counter(
            one.channel
            for one in evidence.sent
            if one.event_id is not None and fault.at_s <= one.accepted_s <= fault.at_s + 2.0 and one.flow == "order"
        )
        # Five failures open the circuit. Each execution sends its message after an API call and a delay.
        yield from (("chaos-channel", channel) for channel, count in sorted(sent.items()) if count >= 2 * 5)


_Reason = Callable[[Evidence, Firing], bool]


def _seconds(evidence: Evidence, at: datetime) -> float:
    return (at - evidence.began).total_seconds()


def _at(evidence: Evidence, seconds: float) -> datetime:
    return evidence.began + timedelta(seconds=seconds)


def _flow_failed(is_met: Met) -> _Reason:
    """Whether the executions of the flow met the rule at about the time when it fired."""

    def reason(evidence: Evidence, firing: Firing) -> bool:
        slack = timedelta(seconds=SLACK_S)
        before: tuple[int, int] = (0, 0)
        for at, counts in windows(ended_by_flow(evidence).get(firing.subject, [])):
            if at > firing.fired_at + slack:
                break
            if at >= firing.fired_at - slack and is_met(*before):
                return True
            before = counts
        # An operator who replays an execution moves its end.
        return is_met(*before) or any(possible(evidence.actions, "replay-letter"))

    return reason


def _something_waited(evidence: Evidence, firing: Firing) -> bool:
    """Whether something of the queue had waited for LATE_S. Events and messages have no times here: what they wait for
    makes executions wait too, except for the stores and the notifiers."""
    since = firing.fired_at - timedelta(seconds=LATE_S - SLACK_S)
    until = firing.fired_at - timedelta(seconds=SLACK_S)
    waited = any(
        one.queued_at <= since and (one.started_at is None or one.started_at >= until) for one in evidence.executions
    )
    return waited or _was_paused(evidence, firing) or bool(_near(evidence, firing.fired_at, AFTER_S + LATE_S))


def _was_paused(evidence: Evidence, firing: Firing) -> bool:
    """Whether an operator paused the queue at about that time."""
    soon = timedelta(seconds=AFTER_S + LATE_S)
    pauses = [one.asked_at for one in possible(evidence.actions, "pause") if one.name == firing.subject]
    return any(at <= firing.fired_at <= at + soon for at in pauses)


def _near(evidence: Evidence, at: datetime, after_s: float) -> list[Fault]:
    """The faults at a time, or at most `after_s` before it."""
    at_s = _seconds(evidence, at)
    return [one for one in evidence.faults if one.at_s - SLACK_S <= at_s <= one.ends_s + after_s]


def _after(after_s: float, *names: str) -> _Reason:
    """Whether one of `names` was hit shortly before."""

    def reason(evidence: Evidence, firing: Firing) -> bool:
        return any(one.parts & {*names} for one in _near(evidence, firing.fired_at, after_s))

    return reason


def _no_worker_known(evidence: Evidence, firing: Firing) -> bool:
    """Redis, which has the heartbeats, was hit, or all workers of the queue were replaced one after the other."""
    near = _near(evidence, firing.fired_at, AFTER_S)
    return any(one.store is not None or "redis" in one.parts or one.kind in LONG_KINDS for one in near)


def _channel_failed(evidence: Evidence, firing: Firing) -> bool:
    """The receiver of its messages did not work. The channel of the alerts works always."""
    return firing.subject != CHANNEL and _after(CIRCUIT_S, "messages")(evidence, firing)


_REASONS: Final[Mapping[str, _Reason]] = {
    "chaos-failures": _flow_failed(many_failed),
    "chaos-share": _flow_failed(most_failed),
    "chaos-late": _something_waited,
    "chaos-worker": _no_worker_known,
    "chaos-channel": _channel_failed,
    "chaos-memory": lambda evidence, firing: any(
        one.kind == "store-full" and one.target == "redis" for one in _near(evidence, firing.fired_at, SLACK_S)
    ),
    "chaos-connections": lambda evidence, firing: any(
        one.kind == "store-full" and one.target == "postgres" for one in _near(evidence, firing.fired_at, SLACK_S)
    ),
    "chaos-redis": _after(AFTER_S, "redis"),
}
