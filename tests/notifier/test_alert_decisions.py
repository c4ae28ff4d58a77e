"""What one evaluation of an alert rule changes: durations, cool-down, silence, quiet hours, recovery."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from filas.models.alerts import AlertFiring, AlertRule, AlertTarget, Observation, QuietHours, StoredAlertRule
from filas.repository.alerts import AlertChanges
from notifier.alerts.announcements import messages_of
from notifier.alerts.decisions import MAX_SUBJECTS, decide, is_quiet

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
RULE = StoredAlertRule(id="r", metric="flow-failures", threshold=10, duration_ms=60_000, cooldown_ms=600_000)


@dataclass
class Evaluations:
    """A rule that is evaluated again and again; the firings are kept as the repository keeps them."""

    rule: StoredAlertRule = RULE
    now: datetime = NOON
    rows: dict[Any, AlertFiring] = field(default_factory=dict)
    announced: list[tuple[str, str]] = field(default_factory=list)

    def at(self, seconds: float, **values: float) -> list[tuple[str, str]]:
        """Evaluates the rule `seconds` after noon with the value of each subject. Returns what is announced."""
        changes = AlertChanges()
        observed = {name: Observation(value=value, sentence=f"{name} fails") for name, value in values.items()}
        firings = sorted(self.rows.values(), key=lambda one: one.pending_since)
        announced = decide(self.rule, observed, firings, NOON + timedelta(seconds=seconds), changes)
        for one in changes.firings:
            self.rows[one.id] = one
        for firing_id in changes.deleted:
            del self.rows[firing_id]
        return [(one.subject, one.state) for one in announced]

    def states(self) -> list[str]:
        return [one.state for one in self.rows.values()]

    def change(self, **fields: Any) -> None:
        self.rule = msgspec.structs.replace(self.rule, **fields)


def test_an_alert_fires_after_its_duration_once_and_recovers_once() -> None:
    runs = Evaluations()
    assert runs.at(0, a=9) == []
    assert runs.rows == {}
    assert runs.at(10, a=10) == []
    assert runs.states() == ["pending"]
    assert runs.at(69, a=12) == []
    assert runs.at(70, a=12) == [("a", "firing")]
    assert runs.at(80, a=50) == []
    assert runs.at(90, a=11) == []
    assert runs.at(100, a=3) == [("a", "resolved")]
    assert runs.at(110, a=3) == []
    [row] = runs.rows.values()
    assert (row.state, row.peak, row.fired_at, row.resolved_at) == (
        "resolved",
        50,
        NOON + timedelta(seconds=70),
        NOON + timedelta(seconds=100),
    )


def test_a_short_rise_is_no_alert() -> None:
    """The pending row is deleted, and the duration begins again."""
    runs = Evaluations()
    runs.at(0, a=10)
    runs.at(59, a=1)
    assert runs.rows == {}
    runs.at(60, a=10)
    assert runs.at(100, a=10) == []
    assert runs.at(120, a=10) == [("a", "firing")]


def test_each_subject_fires_for_itself() -> None:
    runs = Evaluations(msgspec.structs.replace(RULE, duration_ms=0))
    assert runs.at(0, a=10, b=20) == [("a", "firing"), ("b", "firing")]
    assert runs.at(10, a=10) == [("b", "resolved")]
    many = {f"s{number}": 10.0 for number in range(MAX_SUBJECTS + 20)}
    assert len(Evaluations(msgspec.structs.replace(RULE, duration_ms=0)).at(0, **many)) == MAX_SUBJECTS


def test_after_a_recovery_the_cool_down_delays_the_next_announcement() -> None:
    """The alert fires, and is announced when the cool-down is over, if it still fires then."""
    runs = Evaluations(msgspec.structs.replace(RULE, duration_ms=0))
    assert runs.at(0, a=10) == [("a", "firing")]
    assert runs.at(10, a=0) == [("a", "resolved")]
    assert runs.at(20, a=10) == []
    assert runs.at(30, a=0) == []
    assert runs.at(40, a=10) == []
    assert runs.at(609, a=10) == []
    assert runs.at(610, a=10) == [("a", "firing")]


def test_a_silence_delays_the_announcement_and_the_recovery() -> None:
    runs = Evaluations(msgspec.structs.replace(RULE, duration_ms=0, silenced_until=NOON + timedelta(seconds=60)))
    assert runs.at(0, a=10) == []
    assert runs.states() == ["firing"]
    assert runs.at(61, a=10) == [("a", "firing")]
    runs.change(silenced_until=NOON + timedelta(seconds=120))
    assert runs.at(70, a=0) == []
    assert runs.at(121, a=0) == [("a", "resolved")]
    assert runs.at(130, a=0) == []


def test_an_alert_that_ends_in_a_silence_is_never_announced() -> None:
    runs = Evaluations(msgspec.structs.replace(RULE, duration_ms=0, silenced_until=NOON + timedelta(seconds=60)))
    runs.at(0, a=10)
    assert runs.at(30, a=0) == []
    assert runs.at(90, a=0) == []
    assert runs.states() == ["resolved"]


def test_a_disabled_rule_ends_its_alerts() -> None:
    runs = Evaluations(msgspec.structs.replace(RULE, duration_ms=0))
    runs.at(0, a=10)
    runs.change(enabled=False)
    assert runs.at(10, a=10) == [("a", "resolved")]


@pytest.mark.parametrize(
    ("begin", "end", "days", "moment", "quiet"),
    [
        ("22:00", "07:00", (1, 2, 3, 4, 5, 6, 7), "2026-11-27T23:00:00-03:00", True),
        ("22:00", "07:00", (1, 2, 3, 4, 5, 6, 7), "2026-11-27T06:59:00-03:00", True),
        ("22:00", "07:00", (1, 2, 3, 4, 5, 6, 7), "2026-11-27T07:00:00-03:00", False),
        ("22:00", "07:00", (5,), "2026-11-28T03:00:00-03:00", True),
        ("22:00", "07:00", (5,), "2026-11-27T03:00:00-03:00", False),
        ("12:00", "13:00", (5,), "2026-11-27T12:30:00-03:00", True),
        ("12:00", "13:00", (6,), "2026-11-27T12:30:00-03:00", False),
    ],
)
def test_quiet_hours(begin: str, end: str, days: tuple[int, ...], moment: str, quiet: bool) -> None:
    """27 November 2026 is a Friday. Hours over midnight belong to the day on which they begin."""
    hours = QuietHours(begin=begin, end=end, timezone="America/Sao_Paulo", days=days)
    assert is_quiet(hours, datetime.fromisoformat(moment)) is quiet
    assert is_quiet(None, NOON) is False


@pytest.mark.parametrize(("language", "words"), [("en", "Likely cause"), ("pt-BR", "Causa provável")])
def test_a_message_states_what_since_how_bad_why_and_where(language: Any, words: str) -> None:
    """To each recipient once: the ids derive from the firing."""
    rule = AlertRule(id="no-worker", metric="no-worker", severity="critical")
    observation = Observation(
        value=1,
        sentence="no flow-runner is running",
        cause="no flow-runner is running; 12 jobs waiting",
        remedy="start a flow-runner",
        since=NOON - timedelta(minutes=2),
        path="/dashboard/queues/flow",
    )
    firing = AlertFiring(
        id=UUID("0190f3a2-5c1e-7d3b-9a41-6f0f6c1d2e3a"),
        rule_id="no-worker",
        subject="flow",
        state="firing",
        severity="critical",
        value=1,
        peak=1,
        detail=msgspec.to_builtins(observation),
        pending_since=NOON,
        fired_at=NOON,
    )
    targets = [AlertTarget(channel="mail", to="ops@example.com"), AlertTarget(channel="slack", to="#ops")]
    first = messages_of(firing, rule, targets, "https://filas.example", language)
    assert [one.recipient for one in first] == ["ops@example.com", "#ops"]
    assert first == messages_of(firing, rule, targets, "https://filas.example", language)
    text = first[0].payload["text"]
    assert "no-worker (flow)" in first[0].payload["subject"]
    for part in (
        words,
        "2026-11-27 11:58:00 UTC",
        "start a flow-runner",
        "https://filas.example/dashboard/queues/flow",
    ):
        assert part in text
    over = msgspec.structs.replace(firing, state="resolved", resolved_at=NOON + timedelta(seconds=3900))
    [recovery, _] = messages_of(over, rule, targets, "", language)
    assert recovery.id != first[0].id
    assert "1 h 5 min" in recovery.payload["text"]
