"""For any graph, and wherever its worker is killed, an execution ends and no finished effect is repeated."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filas.contract.jobs import FlowJob
from filas.errors import OutboundFailed, RetryLater
from filas.flows.definition.flow_definition import load
from filas.models.executions import FINAL_EXECUTION_STATUSES, Checkpoint, ClaimedExecution, ExecutionStatus
from filas.models.record import ErrorDetail
from flow_runner.engine.compiled_flow import CompiledFlow
from flow_runner.jobs.flow_job import RunFlow
from tests.flow_runner.harness import TRIGGER, Call, Harness, Response
from tests.flow_runner.memory import WAITS, MemoryRows, Row
from tests.flow_runner.test_conversations import OneFlow
from tests.flow_runner.test_jobs import CONTEXT
from tests.long_form import LONG, by_form, examples

BOUNDS = {"maxSteps": 40, "maxVisitsPerNode": 8}
FEWER_STEPS = {"maxSteps": 20, "maxVisitsPerNode": 5}
"""The bounds where the worker is killed at every point in turn: the work grows with the square of the steps."""

MOST_ATTEMPTS = 3000


class Killed(Exception):
    """The process is killed here."""


class DyingRows(MemoryRows):
    """Kills the worker before or after a write, when `dies` returns True."""

    dies: Callable[[], bool]

    async def claim_many(
        self, turns: Sequence[tuple[UUID, int]], owner: str, lease_s: float
    ) -> list[ClaimedExecution | BaseException | None]:
        self._may_die("before the claim")
        answers = await super().claim_many(turns, owner, lease_s)
        self._may_die("after the claim")
        return answers

    async def checkpoint_many(self, checkpoints: Sequence[Checkpoint]) -> list[ExecutionStatus | None]:
        self._may_die("before the write")
        answers = await super().checkpoint_many(checkpoints)
        self._may_die("after the write")
        return answers

    def _may_die(self, where: str) -> None:
        if self.dies():
            raise Killed(where)


def _api(number: int, on_error: str, attempts: int, on_uncertain: str) -> dict[str, Any]:
    retry = {"maxAttempts": attempts, "delayMs": 100}
    data = {"url": f"https://a.example/{number}", "onError": on_error, "retry": retry, "onUncertain": on_uncertain}
    return {"type": "api", "data": data}


VARIABLES = [{"name": "n", "default": 0}, {"name": "list", "default": [1, 2]}]
RULE = {"variable": "{{ vars.n }}", "operator": "less-than", "value": 3}
CHOICES = [{"id": "one", "title": "One"}, {"id": "two", "title": "Two"}]
REFUSED = ErrorDetail(kind="131047", message="Re-engagement message")
TWO = {"variable": "{{ vars.n }}", "operator": "equals", "value": 2}
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
            {"type": "delay", "data": {"ms": 5000, "endOnReply": True}},
            {"type": "webhook", "data": {"mode": "send", "url": "https://b.example", "onError": "continue"}},
            {"type": "end", "data": {}},
            {"type": "loop", "data": {"items": "{{ 'a,b,c' | split: ',' }}"}},
            {"type": "loop", "data": {"items": "{{ vars.list }}"}},
            {"type": "subflow", "data": {"flowId": "other", "onError": "continue"}},
            {
                "type": "switch",
                "data": {"cases": [{"id": "few", "rules": [RULE]}, {"id": "two", "expression": "true"}]},
            },
            {"type": "input", "data": {"prompt": "?", "variable": "n", "kind": "number", "maxRetries": 1}},
            {"type": "input", "data": {"prompt": "?", "kind": "choice", "choices": CHOICES, "timeoutMs": 4000}},
            {"type": "input", "data": {"prompt": "fails", "timeoutMs": 4000, "onError": "branch"}},
            {"type": "input", "data": {"prompt": "?", "timeoutMs": 4000, "collectMs": 2000}},
            {"type": "message", "data": {"text": "x", "await": "sent", "onError": "continue"}},
            {"type": "message", "data": {"text": "fails", "await": "delivered", "awaitMs": 3000, "onError": "branch"}},
            {"type": "message", "data": {"text": "late", "await": "sent"}},
            {"type": "notify", "data": {"channel": "c", "to": "t", "text": "fails", "await": "sent"}},
            {"type": "webhook", "data": {"mode": "wait", "timeoutMs": 3000}},
        ]
    ),
)


@st.composite
def graphs(draw: st.DrawFn, *, bounds: dict[str, int] = BOUNDS, repeats_uncertain: bool = False) -> CompiledFlow:
    """Any nodes, with any edges from handles that exist, also cycles that never wait. `repeats_uncertain`: no node
    fails because it does not know whether it was interrupted."""
    kinds = draw(st.lists(KINDS, min_size=1, max_size=6))
    nodes = [{"id": f"n{number}"} | kind for number, kind in enumerate(kinds)]
    if repeats_uncertain:
        nodes = [node | {"data": node["data"] | {"onUncertain": "retry"}} if node["type"] == "api" else node
                 for node in nodes]  # fmt: skip
    raw: dict[str, Any] = {"nodes": [TRIGGER, *nodes], "variables": VARIABLES, "settings": bounds}
    ways = [(node.id, way) for node in load(raw).nodes for way in node.data.handles()]
    names = st.sampled_from([node["id"] for node in nodes])
    drawn = draw(st.lists(st.tuples(st.sampled_from(ways), names), max_size=12))
    edges = [{"source": "start", "target": "n0"}]
    edges += [{"source": source, "sourceHandle": way, "target": target} for (source, way), target in drawn]
    return CompiledFlow("flow", 1, load(raw | {"edges": edges}))


class Trial:
    """One conversation, processed as the queue does it: one job at a time, in order, and a retry blocks the group.
    `deaths` decides at each point whether the worker is killed. After a job, the contact may write again. Where a call
    is awaited, one in two waits is called. A message whose text is `late` has no outcome."""

    def __init__(
        self,
        compiled: CompiledFlow,
        other: CompiledFlow,
        deaths: Iterable[bool] = (),
        failures: Iterable[bool] = (),
        messages: Iterable[bool] = (),
    ) -> None:
        self._deaths, self._failures, self._messages = iter(deaths), iter(failures), iter(messages)
        self._called: dict[UUID, set[UUID]] = {}
        self._is_interrupted = False
        self.lease_s = 10
        """The time from a kill until the lease has expired. 0: it expires at once, and nothing else becomes due."""
        self.points = 0
        """At how many points the worker could have been killed."""
        self.harness = Harness(DyingRows)
        self.rows = self.harness.rows.rows
        assert isinstance(self.harness.rows, DyingRows)
        self.harness.rows.dies = self._dies
        self.harness.outbound.respond = self._answer
        self.urls: dict[str, str] = {}
        self.attempts_used = 0
        self.jobs: deque[FlowJob] = deque()
        flows: Any = OneFlow(compiled)
        self.harness.flows.compiled["other"] = other
        executions, clock = self.harness.executions, self.harness.clock
        self._run = RunFlow(executions, flows, self.harness.engine, clock, lambda: False)

    def _dies(self) -> bool:
        self.points += 1
        return next(self._deaths, False)

    async def run(self) -> None:
        self._write()
        for _ in range(MOST_ATTEMPTS):
            if self.lease_s or not self._is_interrupted:
                self._learn()
                self._call()
                self._wake()
            if not self.jobs:
                return
            await self._attempt(self.jobs[0])
        raise AssertionError(f"still {[row.status for row in self.rows.values()]}")

    async def _attempt(self, job: FlowJob) -> None:
        self._is_interrupted = False
        try:
            await self._run(CONTEXT, job)
        except Killed:
            self._is_interrupted = True
            self.harness.clock.advance(self.lease_s)
            for row in self.rows.values() if self.lease_s == 0 else ():
                row.lease_until = None
        except RetryLater as later:
            self.attempts_used += later.uses_attempt
            self.harness.clock.advance(later.delay_s)
        else:
            self.jobs.popleft()
            if next(self._messages, False):
                self._write()

    def _write(self) -> None:
        self._enqueue(self.harness.rows.add(text="1"))

    def _learn(self) -> None:
        """The outcome of each awaited message arrives."""
        for row in list(self.rows.values()):
            message = self.harness.rows.notifications.get(row.awaits_message) if row.awaits_message else None
            text = None if message is None else message.payload.get("text")
            if message is None or row.status not in WAITS or text == "late":
                continue
            if text == "fails" or row.status != "waiting-input":
                status = "failed" if text == "fails" else "delivered"
                if self.harness.rows.learn(message.id, status, REFUSED if text == "fails" else None) == "resumed":
                    self._enqueue(row)

    def _call(self) -> None:
        """Every second address of an execution is called once the execution waits for it."""
        for row in list(self.rows.values()):
            address = row.awaits_callback
            known = self._called.setdefault(row.id, set())
            if row.status != "waiting-callback" or address is None or address in known:
                continue
            known.add(address)
            if len(known) % 2:
                self.harness.rows.callbacks[address] = '{"body": {"ok": true}}'
                self._enqueue(row)

    def _enqueue(self, row: Row) -> None:
        self.jobs.append(FlowJob(execution_id=row.id, turn=row.turn, flow_id="flow"))

    def _wake(self) -> None:
        """Does the timers' work. If nothing else is to be done, time passes until the next due time."""
        clock = self.harness.clock
        waiting = [row for row in self.rows.values() if row.status in WAITS and row.wake_at]
        if waiting and not self.jobs:
            first = min(row.wake_at for row in waiting if row.wake_at)
            clock.advance(max(0.0, (first - clock.now()).total_seconds()))
        for row in waiting:
            if row.wake_at is not None and row.wake_at <= clock.now():
                row.status, row.wake_at, row.awaits_reply_since = "queued", None, None
                self._enqueue(row)

    def _answer(self, call: Call) -> Response:
        key = call.headers["Idempotency-Key"]
        execution, _, seq = key.rpartition(":")
        steps = self.rows[UUID(execution)].steps
        step = steps.get(int(seq))
        assert step is None or step.status in ("running", "retrying"), "a finished effect is repeated"
        before = [other for other in self.urls if other != key and other.startswith(execution)]
        assert all(int(other.rpartition(":")[2]) in steps for other in before), "an earlier effect is not written yet"
        assert self.urls.setdefault(key, call.url) == call.url, "one key for two effects"
        if self._dies():
            raise Killed("before the effect")
        if next(self._failures, False):
            raise OutboundFailed("broken", sent=True)
        if self._dies():
            raise Killed("after the effect")
        return Response()


@settings(max_examples=examples(300), deadline=None)
@given(
    compiled=graphs(),
    other=graphs(),
    deaths=st.lists(st.sampled_from([False, False, False, True]), max_size=80),
    failures=st.lists(st.booleans(), max_size=20),
    messages=st.lists(st.booleans(), max_size=5),
)
def test_every_execution_ends_and_repeats_no_finished_effect(
    compiled: CompiledFlow, other: CompiledFlow, deaths: list[bool], failures: list[bool], messages: list[bool]
) -> None:
    """It succeeds, fails or reaches a bound. The trace has every step once, and all steps have ended. A message
    starts its own execution or resumes one that waits."""
    trial = Trial(compiled, other, deaths, failures, messages)
    asyncio.run(trial.run())
    assert trial.attempts_used == 0
    for row in trial.rows.values():
        assert row.status in FINAL_EXECUTION_STATUSES
        assert row.steps if row.resumed is None else not row.steps
        assert row.reply is None
        assert sorted(row.steps) == list(range(1, len(row.steps) + 1))
        assert len(row.steps) <= BOUNDS["maxSteps"]
        ended = (
            {"succeeded", "failed"} if row.status in ("succeeded", "failed") else {"succeeded", "failed", "cancelled"}
        )
        assert {step.status for step in row.steps.values()} <= ended
        assert all(step.ended_at is not None for step in row.steps.values())
        sent = Counter(one.seq for one in trial.harness.rows.notifications.values() if one.execution_id == row.id)
        sending = {seq: step for seq, step in row.steps.items() if step.type in ("message", "notify")}
        assert {seq for seq, step in sending.items() if step.output} <= sent.keys()
        assert all(sent[seq] <= 1 for seq in sending)
        assert all(row.steps[seq].type in ("message", "notify", "input") for seq in sent)
    replied = Counter(row.resumed for row in trial.rows.values() if row.resumed)
    assert set(replied.values()) <= {1}, "two replies for one wait"


@pytest.mark.timeout(by_form(240, 900))
@settings(max_examples=by_form(10, 60), deadline=None, derandomize=not LONG)
@given(
    compiled=graphs(bounds=FEWER_STEPS, repeats_uncertain=True),
    other=graphs(bounds=FEWER_STEPS, repeats_uncertain=True),
    replies=st.integers(0, 3),
)
def test_a_kill_at_any_write_changes_nothing(compiled: CompiledFlow, other: CompiledFlow, replies: int) -> None:
    """An execution whose worker is killed at one point, at each in turn, ends as one that is never interrupted: with
    the same steps, the same messages and the same calls."""
    undisturbed = Trial(compiled, other, messages=[True] * replies)
    asyncio.run(undisturbed.run())
    for point in range(undisturbed.points):
        killed = Trial(compiled, other, deaths=[*[False] * point, True], messages=[True] * replies)
        killed.lease_s = 0
        asyncio.run(killed.run())
        assert ending(killed) == ending(undisturbed), f"killed at point {point}"


def ending(trial: Trial) -> list[Any]:
    """How each execution ended, in the order of their starts: its status, its steps, and what it has sent and called.
    The ids and the times differ."""
    numbers = {row_id: number for number, row_id in enumerate(trial.rows)}
    return [
        (
            row.status,
            row.error and (row.error.kind, row.error.message),
            numbers.get(row.resumed[0]) if row.resumed else None,
            [(seq, step.node_id, step.status, step.handle) for seq, step in sorted(row.steps.items())],
            sorted((one.seq, one.payload["text"]) for one in trial.harness.rows.notifications.values()
                   if one.execution_id == row.id),
            sorted((key.rpartition(":")[2], url) for key, url in trial.urls.items() if key.startswith(str(row.id))),
        )
        for row in trial.rows.values()
    ]  # fmt: skip
