"""One run of an execution: the loop over its nodes, until the execution ends, waits, or uses its time budget.

A checkpoint is written at each effect. The results of pure nodes are written with the next effect, or when the run
ends. After a call, only pure nodes run before the call's checkpoint, so that an effect is recorded without a wait in
between. After a crash, pure nodes run again, and a call is made again under the same key, `execution:seq`.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from filas.errors import PermanentError
from filas.flows import author_settings
from filas.flows.author_settings import AuthorSettings
from filas.flows.definition import flow_graph
from filas.flows.definition.flow_definition import Settings
from filas.flows.step_budget import shared_budget
from filas.flows.templates.template import TemplateError
from filas.models.executions import ClaimedExecution, ExecutionStatus, StepStatus
from filas.models.record import ErrorDetail
from filas.tracing import spans
from flow_runner.engine import loop_steps, node_retry
from flow_runner.engine.checkpoint_builder import CheckpointBuilder
from flow_runner.engine.execution_state import Pending
from flow_runner.engine.flow_cursor import FlowCursor, NextVisit
from flow_runner.engine.node_protocol import (
    Call,
    Done,
    Failed,
    Finish,
    NodeFailure,
    NodeRunner,
    Outcome,
    Repeat,
    Returned,
    Visit,
    Wait,
)
from flow_runner.engine.ports import Channels, Clock, ExecutionStore, Outbound
from flow_runner.engine.template_failure import template_failure
from flow_runner.engine.visit_span import end_span, start_span

YIELD_AFTER_S = 45.0
"""A run of this length saves its state and continues in a new job, well before the 60 s of its own job have passed."""

LAST_END_S = 57.0
"""A call that may last beyond this moment of the job is left to the next job."""

_YIELD_EVERY = 25
_YIELD_INTERVAL_S = 0.005
"""A cooperative yield follows after so many nodes, or so many seconds: the computation of one visit may take long."""

_MAX_UNSAVED_STEPS = 200


class RunResult(msgspec.Struct, frozen=True):
    """The execution's status after a run. With `queued`, the same run number continues at once in the same job; with
    `retrying`, it continues at `wake_at`, which is `wait_s` seconds after the end of the run. With `keeps_turn`, the
    same run number continues after a wait."""

    status: ExecutionStatus
    wake_at: datetime | None = None
    wait_s: float = 0.0
    keeps_turn: bool = False


@dataclass(slots=True)
class ExecutionRun:
    """One run of one execution. `settings` are those of the execution's flow. At `deadline` the execution times out.

    `began_s` is when the job of the run began, `claimed_s` when the execution was claimed, by the clock's `monotonic`.
    """

    runners: Mapping[str, NodeRunner]
    store: ExecutionStore
    outbound: Outbound
    clock: Clock
    claimed: ClaimedExecution
    settings: Settings
    cursor: FlowCursor
    builder: CheckpointBuilder
    deadline: datetime
    began_s: float
    claimed_s: float
    stopping: Callable[[], bool]
    channels: Channels
    _span: spans.Span = spans.NOT_RECORDED
    _result: RunResult | None = field(default=None, init=False)

    async def run(self) -> RunResult:
        """Raises LeaseLost, StoreUnavailable and PermanentError."""
        rounds, yielded_at = 0, time.perf_counter()
        try:
            while self._result is None:
                rounds += 1
                if rounds % _YIELD_EVERY == 0 or time.perf_counter() - yielded_at > _YIELD_INTERVAL_S:
                    await asyncio.sleep(0)
                    yielded_at = time.perf_counter()
                await self._advance()
        finally:
            # A visit that neither ended nor began to wait was interrupted.
            self._span.fail("interrupted")
            self._span.end()
        return self._result

    async def _advance(self) -> None:
        """Makes the next visit, or ends what is to end."""
        if self.claimed.cancel_requested:
            await self._end("cancelled")
            return
        now = self._now()
        if now >= self.deadline:
            message = f"the execution took longer than {self.settings.timeout_ms} ms"
            await self._end("timed-out", ErrorDetail(kind="timeout", message=message))
            return
        upcoming = self.cursor.upcoming()
        if isinstance(upcoming, NextVisit):
            await self._make_visit(upcoming, now)
        elif upcoming == "subflow-over":
            await self._return(None)
        elif upcoming == "flow-over":
            await self._end("succeeded")

    async def _make_visit(self, upcoming: NextVisit, now: datetime) -> None:
        node, pending = upcoming.node, upcoming.pending
        if not self._may_begin(node.call_limit_s):
            await self._save("queued")
            return
        # The node is still in the stack here: after a crash, the execution continues with it.
        unsaved_effects = self.builder.effect_unsaved or bool(self.builder.notifications)
        if (node.call_limit_s and unsaved_effects) or len(self.builder.steps) >= _MAX_UNSAVED_STEPS:
            await self._save("running")
            now = self._now()
        if self._result is None and pending is None:
            exceeded = self.cursor.enter(upcoming, self.settings.max_steps)
            if exceeded is not None:
                await self._end("failed", self._limit_error(exceeded, upcoming))
        if self._result is not None:
            return
        visit = self._begin(upcoming, now)
        if node.call_at_most_once and not (pending is not None and pending.reason == "effect"):
            self.cursor.suspend(self._pending(visit, "effect"))
            self.builder.add_step(visit, "running")
            await self._save("running")
        if self._result is None:
            await self._run_node(visit, upcoming)

    def _may_begin(self, call_limit_s: float) -> bool:
        """Whether the time budget allows a visit that may spend `call_limit_s` seconds on a call."""
        elapsed = self.clock.monotonic() - self.began_s
        return not self.stopping() and elapsed < YIELD_AFTER_S and elapsed + call_limit_s < LAST_END_S

    def _begin(self, upcoming: NextVisit, now: datetime, returned: Returned | None = None) -> Visit:
        node, pending = upcoming.node, upcoming.pending
        seq = pending.seq if pending else self.cursor.state.seq
        attempt = pending.attempt if pending else 1
        visit = Visit(
            node_id=node.id,
            place=upcoming.place,
            type=node.type,
            data=node.data,
            seq=seq,
            attempt=attempt + 1 if pending and pending.reason == "retry" else attempt,
            claimed=self.claimed,
            scope=self.cursor.scope,
            assign=self.cursor.assign,
            outbound=self.outbound,
            channels=self.channels,
            started_at=pending.started_at if pending else now,
            now=now,
            awaits=node.awaits,
            time_limit_s=min(node.call_limit_s, max((self.deadline - now).total_seconds(), 0.05)),
            pending=pending,
            callback=upcoming.callback,
            loop=upcoming.loop,
            returned=returned,
            idle_ms=self.settings.conversation.idle_ms,
            connected=node.targets,
        )
        if spans.is_on():
            self._span = start_span(visit)
            visit.traceparent = self._span.traceparent
        return visit

    async def _run_node(self, visit: Visit, upcoming: NextVisit) -> None:
        outcome: Outcome | None = await self._outcome(visit)
        if isinstance(outcome, Call):
            outcome = await self._start_subflow(visit, outcome)
        if isinstance(outcome, Done) and outcome.timed_out and not upcoming.node.targets.get(outcome.handle):
            error = ErrorDetail(kind="timeout", message=outcome.timed_out, node_id=visit.place)
            await self._end("timed-out", error)
        elif isinstance(outcome, Done):
            self._leave(visit, upcoming, outcome)
        elif isinstance(outcome, Wait):
            await self._wait(visit, outcome)
        elif isinstance(outcome, Repeat) and (problem := self._loop_problem(visit, outcome)):
            await self._fail(visit, upcoming, Failed("limit", problem))
        elif isinstance(outcome, Repeat):
            item = {"index": outcome.index, "item": outcome.items[outcome.index]}
            self._record(visit, "succeeded", "loop", item)
            self.cursor.repeat(upcoming, outcome.items, outcome.index, item)
        elif isinstance(outcome, Finish):
            await self._finish(visit, outcome)
        elif isinstance(outcome, Failed):
            await self._fail(visit, upcoming, outcome)
        if upcoming.node.call_limit_s:
            self.builder.effect_unsaved = self._result is None

    def _loop_problem(self, visit: Visit, repeat: Repeat) -> str | None:
        if repeat.index > 0:
            return None
        left = self.settings.max_steps - self.cursor.state.seq
        return loop_steps.problem(self.cursor.flow, visit.node_id, len(repeat.items), left)

    async def _outcome(self, visit: Visit) -> Outcome:
        if visit.pending is not None and visit.pending.reason == "effect":
            return Failed("uncertain", "the call may have been made before a crash and is not repeated")
        try:
            with shared_budget(), author_settings.applied(self._author_settings(visit)):
                return await self.runners[visit.type](visit)
        except TemplateError as error:
            return template_failure(visit.data, error)
        except NodeFailure as failure:
            return failure.outcome

    def _author_settings(self, visit: Visit) -> AuthorSettings:
        settings = self.cursor.flow.settings
        return AuthorSettings(settings.locale, settings.timezone, visit.now, visit.scope.redactor.text)

    def _leave(self, visit: Visit, upcoming: NextVisit, done: Done, error: ErrorDetail | None = None) -> None:
        node, handle = upcoming.node, done.handle
        targets = node.targets.get(handle, ())
        if not targets and done.otherwise is not None:
            handle, targets = done.otherwise, node.targets.get(done.otherwise, ())
        shown = done.output if done.shown is msgspec.UNSET else done.shown
        self.builder.notifications += done.notifications
        self._record(visit, "failed" if error else "succeeded", handle, shown, error)
        if done.said is not None:
            self.cursor.join_messages(done.said)
        self.cursor.leave(upcoming, done.output, None if error is None else node_retry.in_scope(error), targets)

    async def _wait(self, visit: Visit, wait: Wait) -> None:
        self.cursor.suspend(self._pending(visit, "wait", wait.until, wait.memo))
        self.builder.notifications += wait.notifications
        self._record(visit, "waiting")
        wake_at = min(wait.until or self.deadline, self.deadline)
        await self._save(wait.status, wake_at=wake_at, wait=wait)

    async def _finish(self, visit: Visit, finish: Finish) -> None:
        """Ends the execution, or only the subflow."""
        self._record(visit, finish.status, None, finish.output)
        if finish.status == "succeeded" and self.cursor.calling:
            await self._return(finish.output)
            return
        error = ErrorDetail(kind="ended", message="the flow ended as failed", node_id=visit.place)
        failure = Failed(error.kind, error.message, output=finish.output)
        if finish.status == "failed" and self._catching_depth(failure) is not None:
            await self._fail_callers(failure, error)
        else:
            self.cursor.revisit(visit.node_id)
            await self._end(finish.status, error if finish.status == "failed" else None, finish.output)

    async def _start_subflow(self, visit: Visit, call: Call) -> Failed | None:
        """Starts a subflow. Returns the failure if that is not possible."""
        try:
            await self.cursor.call(self._pending(visit, "subflow"), call.flow_id, call.version, call.values)
        except (ValueError, PermanentError) as error:
            return Failed("subflow", str(error))
        self._record(visit, "waiting")
        return None

    async def _return(self, output: Any) -> None:
        """The innermost subflow has ended: the visit that started it continues."""
        returned = Returned(output, {**self.cursor.scope.roots, "output": output})
        visit, upcoming = await self._leave_subflow(returned)
        await self._run_node(visit, upcoming)

    async def _leave_subflow(self, returned: Returned | None = None) -> tuple[Visit, NextVisit]:
        upcoming = await self.cursor.leave_subflow()
        visit = self._begin(upcoming, self._now(), returned)
        if upcoming.pending is not None:
            visit.input = upcoming.pending.input
        return visit, upcoming

    async def _fail(self, visit: Visit, upcoming: NextVisit, failure: Failed) -> None:
        """Retries the node, leaves it by another handle, or fails the calling node or the execution."""
        data = upcoming.node.data
        error = node_retry.error_detail(visit.place, failure, visit.scope.redactor)
        wait_s = node_retry.wait_s(data, visit.attempt, failure, self.clock.share())
        handle = node_retry.handle_after(data)
        if wait_s is not None:
            wake_at = self._now() + timedelta(seconds=wait_s)
            self.cursor.suspend(self._pending(visit, "retry", wake_at))
            self._record(visit, "retrying", error=error)
            await self._save("retrying", wake_at=min(wake_at, self.deadline))
        elif handle is not None:
            self._leave(visit, upcoming, Done(failure.output, handle), error)
        else:
            self._record(visit, "failed", None, failure.output, error)
            if self._catching_depth(failure) is not None:
                await self._fail_callers(failure, error)
            else:
                self.cursor.suspend(self._pending(visit, "retry"))
                await self._end("failed", error)

    def _catching_depth(self, failure: Failed) -> int | None:
        """How many subflows are still in progress when the innermost calling node that retries or handles the failure
        has handled it; None: the execution fails."""
        for depth, calling in reversed(list(enumerate(self.cursor.calling))):
            retries = node_retry.wait_s(calling.node.data, calling.visit.attempt, failure, 0.0) is not None
            if retries or node_retry.handle_after(calling.node.data) is not None:
                return depth
        return None

    async def _fail_callers(self, failure: Failed, error: ErrorDetail) -> None:
        """Fails the visits whose subflows are in progress, up to the one that handles the failure."""
        depth = self._catching_depth(failure) or 0
        while True:
            visit, upcoming = await self._leave_subflow()
            if len(self.cursor.calling) == depth:
                break
            self._record(visit, "failed", error=error)
        message = f"in {error.node_id}: {failure.message}"
        await self._fail(visit, upcoming, Failed(failure.kind, message, failure.classes, output=failure.output))

    def _pending(self, visit: Visit, reason: Any, wake_at: datetime | None = None, memo: Any = None) -> Pending:
        return Pending(
            node=visit.node_id,
            seq=visit.seq,
            attempt=visit.attempt,
            reason=reason,
            started_at=visit.started_at,
            wake_at=wake_at,
            input=visit.scope.redactor.shown(visit.input),
            memo=memo,
        )

    def _record(
        self,
        visit: Visit,
        status: StepStatus,
        handle: str | None = None,
        output: Any = None,
        error: ErrorDetail | None = None,
    ) -> None:
        ended_at = None if status in ("waiting", "retrying") else self._now()
        self.builder.add_step(visit, status, handle=handle, output=output, error=error, ended_at=ended_at)
        if self._span is not spans.NOT_RECORDED:
            end_span(self._span, status, handle, error)
            self._span = spans.NOT_RECORDED

    def _limit_error(self, message: str, upcoming: NextVisit) -> ErrorDetail:
        cycle = flow_graph.cycle_through(self.cursor.flow.successors, upcoming.node.id)
        where = f"; the cycle is {' → '.join(cycle)}" if cycle else ""
        detail = {"cycle": cycle} if cycle else None
        return ErrorDetail(kind="limit", message=message + where, node_id=upcoming.place, detail=detail)

    async def _end(self, status: ExecutionStatus, error: ErrorDetail | None = None, output: Any = None) -> None:
        """Ends the execution, and with it the visits that are in progress."""
        pending, now = self.cursor.state.pending, self._now()
        if pending is not None and status in ("cancelled", "timed-out"):
            node = self.cursor.flow.nodes.get(pending.node)
            node_type = node.type if node else ""
            self.builder.end_pending(pending, self.cursor.place(pending.node), node_type, "cancelled", None, now)
        ended: StepStatus = "failed" if status == "failed" else "succeeded" if status == "succeeded" else "cancelled"
        for calling in self.cursor.calling:
            self.builder.end_pending(calling.visit, calling.place, calling.node.type, ended, error, now)
        await self._save(status, error=error, output=output)

    async def _save(self, status: ExecutionStatus, **more: Any) -> None:
        """Writes a checkpoint. Any status but `running` ends the run."""
        checkpoint = self.builder.build(status, **more)
        written = await self.store.checkpoint(self.claimed, checkpoint)
        if written != "running":
            wake_at = checkpoint.wake_at
            wait_s = 0.0 if wake_at is None else max((wake_at - self._now()).total_seconds(), 0.0)
            self._result = RunResult(written, wake_at, wait_s, checkpoint.keeps_turn)

    def _now(self) -> datetime:
        """The time by the store's clock, which decides what is due: that of the claim, and the time since then."""
        claimed_at = self.claimed.claimed_at
        if claimed_at is None:
            return self.clock.now()
        return claimed_at + timedelta(0, self.clock.monotonic() - self.claimed_s)
