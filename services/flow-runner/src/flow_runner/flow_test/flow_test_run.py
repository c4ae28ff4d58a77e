"""Runs a flow as a test, from its beginning or any node, until it ends or waits for what nobody has given."""

import time
from typing import Final, TypeVar

import msgspec

from filas.contract.jobs import FlowTestJob
from filas.errors import PermanentError
from filas.flows.definition.flow_definition import load
from filas.models.executions import FINAL_EXECUTION_STATUSES, Checkpoint, StepRecord
from filas.models.flow_tests import FlowTestCall, FlowTestResult, FlowTestStatus
from filas.models.record import ErrorDetail
from flow_runner.engine.compiled_flow import Plan
from flow_runner.engine.engine import Engine
from flow_runner.engine.ports import Flows, Secrets
from flow_runner.engine.redaction import HIDDEN
from flow_runner.engine.run_time_budget import Budget
from flow_runner.flow_test.jumping_clock import JumpingClock
from flow_runner.flow_test.memory_execution import MemoryExecution
from flow_runner.flow_test.recorded_outbound import RecordedOutside, TestAddresses
from flow_runner.nodes.node_runners import RUNNERS

WALL_S: Final = 10.0
"""The longest that a test run works."""

MAX_STEPS: Final = 5000
"""The most steps that it takes, or a few more: a turn ends at its next node."""

MAX_SHOWN_BYTES: Final = 2 * 1024 * 1024
"""The most that the steps, and the calls, of a result take."""

Shown = TypeVar("Shown", StepRecord, FlowTestCall)


class FlowTest:
    """One test run."""

    def __init__(self, job: FlowTestJob, secrets: Secrets, flows: Flows, *, wall_s: float = WALL_S) -> None:
        self._job = job
        self._plan = Plan(job.flow_id, job.version or 0, load(job.definition))
        self._clock = JumpingClock()
        self._started = self._clock.now()
        self._wall_start, self._wall_s = time.monotonic(), wall_s
        self._outside = RecordedOutside(job.answers)
        self._execution = MemoryExecution(job, self._plan, self._started)
        runners = self._outside.watch(RUNNERS)
        self._engine = Engine(self._execution, self._outside, secrets, self._clock, flows, TestAddresses(), runners)
        self._replies = list(job.replies)

    async def run(self) -> FlowTestResult:
        """Raises PermanentError when the flow can't be run, and StoreUnavailable when its secrets can't be read."""
        reply: str | None = None
        while True:
            budget = Budget(self._clock.monotonic, lambda: self._over_limit() is not None)
            await self._engine.run(self._execution.claim(self._clock.now(), reply), self._plan, budget)
            last = self._last_checkpoint()
            self._outside.notified(self._execution.take_notifications())
            if last.status in FINAL_EXECUTION_STATUSES:
                return self._result(last, msgspec.convert(last.status, FlowTestStatus))
            limit = self._over_limit()
            if limit is not None:
                error = ErrorDetail(kind="limit", message=limit)
                return self._result(msgspec.structs.replace(last, error=error), "stopped")
            reply = None
            if last.status == "queued":
                continue
            if last.awaits_reply and self._replies:
                reply = self._replies.pop(0)
                if reply is not None:
                    continue
            elif last.status in ("waiting-input", "waiting-callback"):
                return self._result(last, msgspec.convert(last.status, FlowTestStatus))
            if last.wake_at is None:
                return self._result(last, "waiting-input")
            self._clock.jump_to(last.wake_at)

    def _over_limit(self) -> str | None:
        """Which bound of a test run has been passed."""
        if time.monotonic() - self._wall_start > self._wall_s:
            return f"the test run worked longer than {self._wall_s:g} s"
        if len(self._execution.steps) > MAX_STEPS:
            return f"the test run took more than {MAX_STEPS:,} steps"
        return None

    def _last_checkpoint(self) -> Checkpoint:
        if self._execution.last is None:
            raise PermanentError("the engine ended a turn without a checkpoint")
        return self._execution.last

    def _result(self, last: Checkpoint, status: FlowTestStatus) -> FlowTestResult:
        steps = [step for _, step in sorted(self._execution.steps.items())]
        calls = sorted(self._outside.calls, key=lambda call: (call.seq, call.attempt))
        shown_steps, shown_calls = _that_fit(steps), _that_fit(calls)
        return FlowTestResult(
            status=status,
            flow_id=self._job.flow_id,
            version=self._job.version,
            steps=shown_steps,
            calls=shown_calls,
            vars=self._vars(),
            output=last.output,
            error=last.error,
            error_flow_id=last.starts[0].flow_id if last.starts else None,
            unused_replies=len(self._replies),
            left_out=len(steps) - len(shown_steps) + len(calls) - len(shown_calls),
            started_at=self._started,
            ended_at=self._clock.now(),
            took_ms=round((time.monotonic() - self._wall_start) * 1000, 3),
        )

    def _vars(self) -> dict[str, object]:
        scope = self._outside.scope
        values = {} if scope is None else scope.vars
        return {
            name: HIDDEN if variable.secret else self._outside.cleaned(values.get(name, variable.default))
            for name, variable in self._plan.variables.items()
        }


def _that_fit(items: list[Shown]) -> list[Shown]:
    """The first ones, as far as they go."""
    size, kept = 0, []
    for item in items:
        size += len(msgspec.json.encode(item))
        if size > MAX_SHOWN_BYTES:
            break
        kept.append(item)
    return kept
