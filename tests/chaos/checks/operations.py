"""Pauses hold, and the audit has what operators did."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from math import inf
from typing import Final

from tests.chaos.actions import Action, confirmed, possible
from tests.chaos.evidence import Evidence, settled

PAUSED_S: Final = 1.5
"""How long after a pause was confirmed its workers may claim a job: they look for pauses every 0.4 s."""

ALLOWED: Final = {"404", "409"}
"""What a refusal may be: the subject is gone, or has ended meanwhile."""


def no_action_is_refused_without_reason(evidence: Evidence) -> Iterator[str]:
    """The API refuses an action only if its subject has changed meanwhile. A failure is answered with 503."""
    for one in evidence.actions:
        wrong = [each for each in one.others if each.isdigit() and each != "503" and each not in ALLOWED]
        if wrong:
            yield f"{one.operation} {one.subject} was answered with {', '.join(wrong)}"


def a_pause_holds(evidence: Evidence) -> Iterator[str]:
    """No job of a paused queue begins, from soon after the pause was confirmed until the operator looks at the jobs and
    resumes the queue. The times are those of the clocks of workers, so nothing can be seen once one was stepped."""
    stepped = min((one.at_s for one in evidence.faults if one.kind.startswith("clock")), default=inf)
    for action in evidence.actions:
        paused = _pause_before(evidence, action) if action.kind == "resume" else None
        if paused is None or (action.asked_at - evidence.began).total_seconds() >= stepped:
            continue
        since, until = settled(evidence, paused, PAUSED_S), action.seen["at"]
        for job in action.seen["jobs"]:
            began = datetime.fromtimestamp((job["processedOn"] or 0) / 1000, UTC)
            if since < began < until:
                pause = f"{action.subject} was paused at {paused:%H:%M:%S.%f}"
                yield f"job {job['id']} began at {began:%H:%M:%S.%f}, and {pause}"


def the_audit_has_each_change_once(evidence: Evidence) -> Iterator[str]:
    """Each confirmed change has one entry. A call whose answer was lost has one or none."""
    entries = Counter((operation, subject) for operation, subject, outcome in evidence.audit if outcome == "done")
    least, most = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for one in possible(evidence.actions, *_AUDITED):
        what = (one.operation, one.subject)
        least[what] += _changed(one)
        most[what] += _changed(one) + one.uncertain
    for what in entries.keys() | most.keys():
        if not least[what] <= entries[what] <= most[what]:
            wanted = f"{least[what]}" if least[what] == most[what] else f"{least[what]} to {most[what]}"
            yield f"{what[0]} {what[1]} was done {wanted} times, and the audit has it {entries[what]} times"


_AUDITED: Final = ("cancel", "replay", "replay-event", "replay-letter", "pause", "resume", "edit")


def _changed(action: Action) -> bool:
    """Whether the action, by its answer, has changed something: a queue may have been paused already."""
    if action.answered_at is None:
        return False
    return bool(action.answer["changed"]) if action.kind in ("pause", "resume") else True


def _pause_before(evidence: Evidence, resume: Action) -> datetime | None:
    pauses = [at for one, at in confirmed(evidence.actions, "pause") if one.subject == resume.subject]
    return max((at for at in pauses if at < resume.asked_at), default=None)
