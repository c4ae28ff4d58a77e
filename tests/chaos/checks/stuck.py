"""`filas why` is right about what unfinished work waits for, at random moments."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from tests.chaos.asking import Question, State
from tests.chaos.checks.alerts import CIRCUIT_S
from tests.chaos.checks.dashboards import SKEW_S, hits_admin, store_explains
from tests.chaos.evidence import FINAL, Evidence
from tests.chaos.schedule import GROUPS

AFTER_S: Final = 20.0
"""How long after a fault no worker of a queue may be known: its heartbeats are in Redis."""

CLOCKS_S: Final = 0.05
"""How much the clocks of two processes of one machine may seem to differ."""

WAITS: Final = {
    "waiting-input": "waits-for-reply",
    "waiting-timer": "waits-for-time",
    "waiting-callback": "waits-for-call",
    "retrying": "retries",
}
JOBS: Final = {
    "running": "running",
    "due": "waiting",
    "later": "delayed",
    "behind": "behind-others",
    "gone": "not-on-queue",
}
MOVING: Final = frozenset(JOBS.values())
"""What may be right between two states that differ: the job was taken, ended or enqueued meanwhile."""

OF_EXECUTIONS: Final = frozenset(WAITS.values()) | {"waits-for-message", "timer-overdue"}
BLOCKED: Final = frozenset({"queue-paused", "no-worker"})
CHANNEL: Final = frozenset({"channel-paused", "channel-failing"})
WORKERS: Final = frozenset(GROUPS["workers"])
REDIS_KILLS: Final = frozenset({"store-kill", "store-stall"})


def why_is_right(evidence: Evidence) -> Iterator[str]:
    """Each answer fits the state just before or just after it; one that needs a store that is down states that."""
    for one in evidence.observed.questions:
        for problem in _problems(evidence, one):
            states = f"before: {_short(one.before)}; after: {_short(one.after)}"
            yield f"{one.kind} {one.id} at {one.asked_s:.1f} s: {problem} ({states})"


def _problems(evidence: Evidence, one: Question) -> Iterator[str]:
    """What is wrong with an answer."""
    if one.answer != "200":
        near = any(hits_admin(fault) and _is_near(fault.at_s, fault.ends_s, one) for fault in evidence.faults)
        if not (near or store_explains(evidence.faults, one.asked_s) or store_explains(evidence.faults, one.at_s)):
            yield f"it was answered with {one.answer}"
        return
    if one.cause in MOVING | BLOCKED and _redis_was_down(evidence, one):
        yield f"Redis did not answer, and the answer is {one.cause}: {one.sentence}"
    states = [state for state in (one.before, one.after) if state is not None]
    if states and one.cause not in _possible(evidence, one, states):
        yield f"the answer is {one.cause}: {one.sentence}"
    times = {(state.execution or state).wake_at for state in states}
    if one.cause in OF_EXECUTIONS and one.until is not None and one.before == one.after and times - {one.until}:
        yield f"the answer is until {one.until}, the row until {times}"
    if one.stuck and not (one.cause in BLOCKED | CHANNEL or _is_explained(evidence, one)):
        yield f"it counts as stuck: {one.sentence}"


def _possible(evidence: Evidence, one: Question, states: Sequence[State]) -> frozenset[str]:
    """The answers that may be right. What differs before and after was in another state in between."""
    found = frozenset[str]().union(*(_causes(evidence, one, state) for state in states))
    if len(states) == 2 and states[0] == states[1]:
        return found
    found |= MOVING | OF_EXECUTIONS
    return found | {"finished", "failed", "undelivered"} if _ended(states[-1]) or len(states) < 2 else found


def _causes(evidence: Evidence, one: Question, state: State) -> frozenset[str]:
    """The answers that fit a state at any time while the question was being answered."""
    if state.kind == "event" and state.execution is not None and state.execution.resumed:
        # The answer is about the execution that the message resumed, whose row was not read.
        return MOVING | OF_EXECUTIONS | {"finished", "failed", "undelivered"}
    if state.kind == "event" and state.execution is not None:
        found = _causes(evidence, one, state.execution)
        return found | _job_causes(evidence, one, state) if state.status == "received" else found
    if _ended(state):
        return _final_causes(state)
    wait = WAITS.get(state.status) if state.kind == "execution" else None
    if wait is not None:
        found = frozenset({"waits-for-message" if state.awaits_message else wait})
        asked = evidence.began + timedelta(seconds=one.asked_s - CLOCKS_S)
        answered = evidence.began + timedelta(seconds=one.at_s + CLOCKS_S)
        wake_at = None if state.wake_at is None else datetime.fromisoformat(state.wake_at)
        if wake_at is None or wake_at > answered:
            return found
        over = _job_causes(evidence, one, state) | {"timer-overdue"}
        return over | found if wake_at >= asked else over
    found = _job_causes(evidence, one, state)
    return found | CHANNEL if state.kind == "notification" and _channel_failed(evidence, one) else found


def _final_causes(state: State) -> frozenset[str]:
    if state.resumed:
        return frozenset({"resumed-another"})
    if state.status in ("failed", "timed-out"):
        return frozenset({"failed"})
    return frozenset({"ignored"}) if state.status == "ignored" else frozenset({"finished", "undelivered"})


def _job_causes(evidence: Evidence, one: Question, state: State) -> frozenset[str]:
    if state.job == "unknown":
        return MOVING | BLOCKED
    if state.job == "running":
        return frozenset({"running"})
    if state.job == "gone":
        return frozenset({"not-on-queue"})
    if state.is_paused:
        return frozenset({"queue-paused"})
    found = frozenset({JOBS[state.job]})
    return found | {"no-worker"} if _is_explained(evidence, one) else found


def _ended(state: State) -> bool:
    finished = {"event": {"ignored", "failed"}, "notification": {"sent", "delivered", "read", "failed", "cancelled"}}
    if state.kind == "event" and state.status == "processed":
        return state.execution is None or _ended(state.execution)
    return state.status in finished.get(state.kind, FINAL)


def _is_near(since: float, until: float, one: Question, after_s: float = AFTER_S) -> bool:
    return since - SKEW_S <= one.at_s and one.asked_s <= until + after_s


def _is_explained(evidence: Evidence, one: Question) -> bool:
    """Whether a fault of Redis, of Postgres or of the workers was near: no worker may be known then."""
    return any(
        _is_near(fault.at_s, fault.ends_s, one) and (fault.store is not None or fault.parts & WORKERS)
        for fault in evidence.faults
    )


def _channel_failed(evidence: Evidence, one: Question) -> bool:
    """Whether the receiver of the messages did not work."""
    return any(
        "messages" in fault.parts and _is_near(fault.at_s, fault.ends_s, one, CIRCUIT_S) for fault in evidence.faults
    )


def _redis_was_down(evidence: Evidence, one: Question) -> bool:
    """Whether Redis was certainly down from before the question until after the answer."""
    return any(
        fault.kind in REDIS_KILLS
        and fault.target == "redis"
        and fault.at_s + SKEW_S < one.asked_s
        and one.at_s < fault.ends_s - SKEW_S
        for fault in evidence.faults
    )


def _short(state: State | None) -> str:
    if state is None:
        return "unknown"
    more = f", {_short(state.execution)}" if state.execution is not None else ""
    return f"{state.kind} {state.status}, job {state.job}, until {state.wake_at}{more}"
