"""Right answers of `filas why`, and ways in which their check is broken once. Used by `test_checker`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from tests.chaos.asking import Question, State
from tests.chaos.evidence import Evidence
from tests.chaos.schedule import Fault

LATER: Final = (datetime.now(UTC) + timedelta(days=365)).isoformat()
ASKED: Final = State("execution", "waiting-input", "gone", wake_at=LATER)
RETRIED: Final = State("execution", "retrying", "later", wake_at=LATER)
AWAITING: Final = State("execution", "waiting-callback", "gone", wake_at=LATER, awaits_message=True)
RESUMED: Final = State("execution", "succeeded", "gone", resumed=True)
QUEUED: Final = State("execution", "queued", "behind")
DUE: Final = State("notification", "queued", "due")
ENDED: Final = State("notification", "delivered", "gone")


def _question(state: State, cause: str, **changes: object) -> Question:
    values: dict[str, object] = {"before": state, "after": state, "answer": "200", "cause": cause}
    return Question(state.kind, "id", 10.0, 10.1, **(values | changes))  # type: ignore[arg-type] # of several types


RIGHT: Final = (
    _question(ASKED, "waits-for-reply", until=LATER),
    _question(RETRIED, "retries", until=LATER),
    _question(AWAITING, "waits-for-message", until=LATER),
    _question(State("event", "processed", "gone", execution=QUEUED), "behind-others"),
    _question(State("event", "processed", "gone", execution=RESUMED), "finished"),
    _question(replace(DUE, is_paused=True), "queue-paused", stuck=True),
    _question(DUE, "running", after=ENDED),
    _question(ENDED, "finished"),
    _question(replace(DUE, job="unknown"), "no-worker", stuck=True),
    _question(DUE, "", before=None, after=None),
)


def _ask(question: Question, *faults: Fault) -> Callable[[Evidence], None]:
    def change(evidence: Evidence) -> None:
        evidence.observed.questions = [question]
        evidence.faults = faults

    return change


BROKEN: Final[Mapping[str, list[Callable[[Evidence], None]]]] = {
    "why_is_right": [
        _ask(_question(ASKED, "running")),
        _ask(_question(ASKED, "timer-overdue")),
        _ask(_question(AWAITING, "waits-for-call")),
        _ask(_question(RETRIED, "retries", until="2026-01-01T00:00:00+00:00")),
        _ask(_question(QUEUED, "waiting")),
        _ask(_question(State("event", "processed", "gone", execution=RESUMED), "ignored")),
        _ask(_question(QUEUED, "behind-others", stuck=True)),
        _ask(_question(DUE, "queue-paused", stuck=True)),
        _ask(_question(replace(DUE, is_paused=True), "waiting")),
        _ask(_question(DUE, "channel-failing", stuck=True)),
        _ask(_question(DUE, "no-worker", stuck=True)),
        _ask(_question(DUE, "not-on-queue", after=replace(DUE, job="running", is_paused=True), stuck=True)),
        _ask(_question(ENDED, "waiting")),
        _ask(_question(replace(ENDED, status="failed"), "finished")),
        _ask(_question(DUE, "", answer="404"), Fault(1, "kill", "notifier", 9.0, 2.0)),
        _ask(_question(DUE, "", answer="503")),
        _ask(_question(replace(QUEUED, job="unknown"), "not-on-queue"), Fault(1, "store-kill", "redis", 5.0, 8.0)),
    ]
}
