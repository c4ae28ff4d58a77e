"""Whatever the graph, and wherever its worker is killed, an execution ends, and no finished effect is repeated."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from filas.errors import OutboundFailed, RetryLater
from filas.flows.definition import load
from filas.models import FINAL_EXECUTION_STATUSES, Checkpoint, ExecutionStatus
from flow_runner.plan import Plan
from tests.flow_runner.harness import TRIGGER, Answer, Call, Harness
from tests.flow_runner.memory import MemoryRows, Row

BOUNDS = {"maxSteps": 40, "maxVisitsPerNode": 8}
MOST_TURNS = 400


class Killed(Exception):
    """The process is killed here."""


class DyingRows(MemoryRows):
    """Is killed before or after a write, when `dies` says so."""

    dies: Callable[[], bool]

    async def checkpoint_many(self, checkpoints: Sequence[Checkpoint]) -> list[ExecutionStatus | None]:
        if self.dies():
            raise Killed("before the write")
        answers = await super().checkpoint_many(checkpoints)
        if self.dies():
            raise Killed("after the write")
        return answers


def _api(number: int, on_error: str, attempts: int, on_uncertain: str) -> dict[str, Any]:
    retry = {"maxAttempts": attempts, "delayMs": 100}
    data = {"url": f"https://a.example/{number}", "onError": on_error, "retry": retry, "onUncertain": on_uncertain}
    return {"type": "api", "data": data}


RULE = {"variable": "{{ vars.n }}", "operator": "less-than", "value": 3}
ADD = {"variable": "n", "value": "{{ vars.n | plus: 1 }}"}
KINDS = st.one_of(
    st.builds(
        _api,
        st.integers(0, 9),
        st.sampled_from(["fail", "continue", "branch"]),
        st.integers(1, 3),
        st.sampled_from(["retry", "fail"]),
    ),
    st.sampled_from(
        [
            {"type": "message", "data": {"text": "n is {{ vars.n }}"}},
            {"type": "condition", "data": {"rules": [RULE]}},
            {"type": "set-variable", "data": {"assignments": [ADD]}},
            {"type": "set-variable", "data": {"assignments": [{"variable": "n", "value": "{{ webhook.body.no }}"}]}},
            {"type": "delay", "data": {"ms": 1000}},
            {"type": "delay", "data": {"ms": 0}},
            {"type": "webhook", "data": {"mode": "send", "url": "https://b.example", "onError": "continue"}},
            {"type": "end", "data": {}},
        ]
    ),
)


@st.composite
def graphs(draw: st.DrawFn) -> Plan:
    """Any nodes, any edges out of ways that exist: cycles that never wait included."""
    nodes = [{"id": f"n{number}"} | kind for number, kind in enumerate(draw(st.lists(KINDS, min_size=1, max_size=6)))]
    raw: dict[str, Any] = {"nodes": [TRIGGER, *nodes], "variables": [{"name": "n", "default": 0}], "settings": BOUNDS}
    ways = [(node.id, way) for node in load(raw).nodes for way in node.data.ways_out()]
    names = st.sampled_from([node["id"] for node in nodes])
    drawn = draw(st.lists(st.tuples(st.sampled_from(ways), names), max_size=12))
    edges = [{"source": "start", "target": "n0"}]
    edges += [{"source": source, "sourceHandle": way, "target": target} for (source, way), target in drawn]
    return Plan("flow", 1, load(raw | {"edges": edges}))


class Trial:
    """One execution, killed where `deaths` says true, point by point."""

    def __init__(self, plan: Plan, deaths: list[bool], failures: list[bool]) -> None:
        self.plan = plan
        self._deaths, self._failures = iter(deaths), iter(failures)
        self.harness = Harness(DyingRows)
        assert isinstance(self.harness.rows, DyingRows)
        self.harness.rows.dies = lambda: next(self._deaths, False)
        self.harness.outside.answer = self._answer
        self.row: Row = self.harness.rows.add()
        self.urls: dict[str, str] = {}

    async def run(self) -> None:
        for _ in range(MOST_TURNS):
            if self.row.status in FINAL_EXECUTION_STATUSES:
                return
            try:
                await self.harness.turn(self.row, self.plan)
            except (Killed, RetryLater):
                self.harness.clock.advance(10)
            self.harness.clock.advance(1)
        raise AssertionError(f"still {self.row.status}")

    def _answer(self, call: Call) -> Answer:
        key = call.headers["Idempotency-Key"]
        step = self.row.steps.get(int(key.rpartition(":")[2]))
        assert step is None or step.status in ("running", "retrying"), "a finished effect is repeated"
        unsaved = [other for other in self.urls if other != key and int(other.rpartition(":")[2]) not in self.row.steps]
        assert not unsaved, "an earlier effect is not written yet"
        assert self.urls.setdefault(key, call.url) == call.url, "one key for two effects"
        if next(self._deaths, False):
            raise Killed("before the effect")
        if next(self._failures, False):
            raise OutboundFailed("broken", sent=True)
        if next(self._deaths, False):
            raise Killed("after the effect")
        return Answer()


@settings(max_examples=300, deadline=None)
@given(
    plan=graphs(),
    deaths=st.lists(st.sampled_from([False, False, False, True]), max_size=60),
    failures=st.lists(st.booleans(), max_size=20),
)
def test_every_execution_ends_and_repeats_no_finished_effect(
    plan: Plan, deaths: list[bool], failures: list[bool]
) -> None:
    """Success, failure or a bound; the trace has every step once, and all of them ended."""
    trial = Trial(plan, deaths, failures)
    asyncio.run(trial.run())
    steps = trial.row.steps
    assert sorted(steps) == list(range(1, len(steps) + 1))
    assert len(steps) <= BOUNDS["maxSteps"]
    assert {step.status for step in steps.values()} <= {"succeeded", "failed"}
    assert all(step.ended_at is not None for step in steps.values())
    sent = [notification.seq for notification in trial.harness.rows.notifications.values()]
    assert sorted(sent) == [seq for seq, step in sorted(steps.items()) if step.type == "message" and step.output]
