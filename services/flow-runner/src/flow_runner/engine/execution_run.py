"""Walks an execution from where it stands, until it ends, waits, or its turn is up.

A checkpoint is where an effect is. Pure nodes ride along: what they did is written with the next effect, or
when the turn ends. After a call to the outside only pure nodes can run before its checkpoint, so between an
effect and its record lies no waiting. After a crash, pure nodes run again, and a call is made again under the
same key, `execution:seq`.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from filas.contract import identity
from filas.errors import PermanentError
from filas.flows.definition import flow_graph
from filas.flows.definition.flow_definition import Node
from filas.flows.step_budget import one_allowance
from filas.flows.templates.template import TemplateError
from filas.models.executions import ClaimedExecution, ExecutionStatus, StepStatus
from filas.models.record import ErrorDetail
from flow_runner.engine import node_retry
from flow_runner.engine.checkpoint_builder import Progress
from flow_runner.engine.compiled_flow import Plan
from flow_runner.engine.execution_state import Pending
from flow_runner.engine.flow_cursor import Position
from flow_runner.engine.node_protocol import (
    Call,
    Callback,
    Done,
    Finish,
    NodeFailure,
    NodeRunner,
    Outcome,
    Repeat,
    Returned,
    Visit,
    Wait,
)
from flow_runner.engine.ports import Clock, ExecutionStore, Outbound
from flow_runner.engine.run_time_budget import Budget

_BREATH_EVERY = 25
_BREATH_AFTER_S = 0.005
"""Other executions have their turn after so many nodes, or so long: a visit may compute for some time by itself."""

_MAX_UNSAVED_STEPS = 200


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """The status in which a turn has ended. `queued` and `retrying` go on in the same turn, and so in the same
    job: at once, or at `wake_at`."""

    status: ExecutionStatus
    wake_at: datetime | None = None


class Ports(NamedTuple):
    """What a turn needs of the world."""

    store: ExecutionStore
    outbound: Outbound
    clock: Clock
    runners: Mapping[str, NodeRunner]


class Turn:
    """One turn of one execution. `plan` is the flow that the execution is of."""

    def __init__(self, ports: Ports, claimed: ClaimedExecution, plan: Plan, budget: Budget, position: Position) -> None:
        store, self._outbound, self._clock, self._runners = ports
        self._claimed, self._budget, self._position = claimed, budget, position
        self._settings, self._state = plan.settings, position.state
        self._progress = Progress(store, claimed, position.turn_scope, plan.settings.error_flow_id)
        self.steps = self._progress.steps
        self._ended: TurnEnd | None = None
        timeout = timedelta(milliseconds=plan.settings.timeout_ms)
        self._deadline = claimed.deadline_at or claimed.started_at + timeout

    async def run(self) -> TurnEnd:
        """Until the turn has ended. Raises LeaseLost, StoreUnavailable and PermanentError."""
        rounds, breath_at = 0, time.perf_counter()
        while self._ended is None:
            rounds += 1
            if rounds % _BREATH_EVERY == 0 or time.perf_counter() - breath_at > _BREATH_AFTER_S:
                await asyncio.sleep(0)
                breath_at = time.perf_counter()
            if self._claimed.cancel_requested:
                await self._end("cancelled")
            elif self._now() >= self._deadline:
                message = f"the execution took longer than {self._settings.timeout_ms} ms"
                await self._end("timed-out", ErrorDetail(kind="timeout", message=message))
            elif self._state.pending is not None:
                await self._next_node()
            elif self._position.subflow_over:
                await self._return(None)
            elif not self._state.stack:
                await self._end("succeeded")
            elif not self._position.skip_back_edges():
                await self._next_node()
        return self._ended

    async def _next_node(self) -> None:
        pending, node = self._state.pending, self._position.next_node()
        call_s = self._runners[node.type].call_s(node.data)
        if not self._budget.allows(call_s):
            await self._save("queued")
            return
        # Before the node is taken off the stack: whoever goes on from here after a crash visits it.
        unsaved_effects = self._progress.effect_unsaved or bool(self._progress.notifications)
        if (call_s and unsaved_effects) or len(self.steps.records) >= _MAX_UNSAVED_STEPS:
            await self._save("running")
        if pending is None and not await self._enter(node.id):
            return
        visit = self._visit(node, pending, call_s)
        self.steps.begin(visit, pending.started_at if pending else visit.now)
        announced = pending is not None and pending.reason == "effect"
        if self._runners[node.type].announced(node.data) and not announced:
            self._state.pending = self._pending(visit, "effect")
            await self._save("running", started=visit)
        if self._ended is None:
            await self._run_node(visit, node)

    async def _enter(self, node_id: str) -> bool:
        """Counts the visit; False where it is one too many and the execution has ended. A loop that goes on is
        bounded by its items."""
        state, most_visits = self._state, self._position.plan.settings.max_visits_per_node
        state.stack.pop()
        visits = 0
        if self._position.active_loop(node_id) is None:
            visits = state.visits[node_id] = state.visits.get(node_id, 0) + 1
        state.seq += 1
        if visits > most_visits:
            message = f"node {node_id} was to be visited more than {most_visits} times"
        elif state.seq > self._settings.max_steps:
            message = f"more than {self._settings.max_steps} steps"
        else:
            return True
        state.stack.append(node_id)
        await self._end("failed", self._limit_error(message, node_id))
        return False

    def _visit(self, node: Node, pending: Pending | None, call_s: float) -> Visit:
        now = self._now()
        retried = pending is not None and pending.reason == "retry"
        seq = pending.seq if pending else self._state.seq
        return Visit(
            node_id=node.id,
            place=self._position.place(node.id),
            type=node.type,
            data=node.data,
            seq=seq,
            attempt=(pending.attempt if pending else 1) + (1 if retried else 0),
            key=identity.effect_key(self._claimed.id, seq),
            claimed=self._claimed,
            scope=self._position.scope,
            outbound=self._outbound,
            now=now,
            time_limit_s=min(call_s, max((self._deadline - now).total_seconds(), 0.05)),
            pending=pending,
            callback=self._callback(node),
            loop=self._position.active_loop(node.id) if pending is None else None,
        )

    def _callback(self, node: Node) -> Callback | None:
        if not node.data.awaits_call():
            return None
        return Callback(self._position.callback_id(node.id), self._position.resume_address(node.id))

    async def _run_node(self, visit: Visit, node: Node) -> None:
        runner = self._runners[node.type]
        try:
            if visit.pending is not None and visit.pending.reason == "effect":
                raise NodeFailure("uncertain", "the call may have been made before a crash, and is not repeated")
            with one_allowance():
                outcome = await runner.run(visit)
            await self._leave(visit, node, outcome)
        except TemplateError as error:
            await self._failed(visit, node, NodeFailure("template", str(error)))
        except NodeFailure as failure:
            await self._failed(visit, node, failure)
        if runner.call_s(node.data):
            self._progress.effect_unsaved = self._ended is None

    async def _leave(self, visit: Visit, node: Node, outcome: Outcome) -> None:
        if isinstance(outcome, Done):
            if visit.loop is not None:
                self._position.end_loop()
            self._progress.notifications += outcome.notifications
            self._go_on(visit, node, outcome)
        elif isinstance(outcome, Wait):
            self._state.pending = self._pending(visit, "wait", outcome.until, outcome.memo)
            self._progress.notifications += outcome.notifications
            self.steps.waits(visit)
            wake_at = min(outcome.until or self._deadline, self._deadline)
            await self._save(
                outcome.status, wake_at=wake_at, awaits_reply=outcome.awaits_reply, awaits_callback=outcome.callback_id
            )
        elif isinstance(outcome, Repeat):
            item = {"index": outcome.index, "item": outcome.items[outcome.index]}
            self.steps.ends(visit, self._now(), "succeeded", "loop", item)
            self._position.scope.ended(node.id, item, None)
            self._position.repeat(node.id, outcome.items, outcome.index)
        elif isinstance(outcome, Call):
            await self._call(visit, outcome)
        else:
            await self._finish(visit, node, outcome)

    def _go_on(self, visit: Visit, node: Node, done: Done, error: ErrorDetail | None = None) -> None:
        """Leaves the node by `done.handle`: the nodes behind it come next, before what was to come anyway."""
        state = self._state
        state.pending = None
        if visit.callback is not None:
            state.calls_awaited[visit.place] = state.calls_awaited.get(visit.place, 0) + 1
        status: StepStatus = "failed" if error else "succeeded"
        shown = done.output if done.shown is msgspec.UNSET else done.shown
        handle, targets = done.handle, self._position.plan.targets(node.id, done.handle)
        if not targets and done.otherwise is not None:
            handle, targets = done.otherwise, self._position.plan.targets(node.id, done.otherwise)
        self.steps.ends(visit, self._now(), status, handle, shown, error)
        self._position.scope.ended(node.id, done.output, node_retry.in_scope(error))
        state.stack += reversed(targets)

    async def _finish(self, visit: Visit, node: Node, finish: Finish) -> None:
        """The flow ends here: the execution, or the subflow alone."""
        self.steps.ends(visit, self._now(), finish.status, None, finish.output)
        error = ErrorDetail(kind="ended", message="the flow ended as failed", node_id=visit.place)
        if finish.status == "succeeded" and self._state.calls():
            await self._return(finish.output)
        elif finish.status == "succeeded" or self._catching() is None:
            self._state.stack.append(node.id)
            await self._end(finish.status, error if finish.status == "failed" else None, finish.output)
        else:
            await self._raise_to_caller(NodeFailure(error.kind, error.message, output=finish.output), error)

    async def _call(self, visit: Visit, call: Call) -> None:
        """Begins a subflow. Raises NodeFailure where it can't be."""
        try:
            await self._position.call(self._pending(visit, "subflow"), call.flow_id, call.version, call.values)
        except (ValueError, PermanentError) as error:
            raise NodeFailure("subflow", str(error)) from None
        self.steps.waits(visit)

    async def _return(self, output: Any) -> None:
        """The innermost subflow has ended: the node that had begun it goes on."""
        returned = Returned(output, {**self._position.scope.roots, "output": output})
        visit, node = self._resumed(await self._position.leave())
        visit.returned = returned
        await self._run_node(visit, node)

    def _resumed(self, pending: Pending) -> tuple[Visit, Node]:
        """The visit whose subflow has ended, one way or another."""
        node = self._position.node(pending.node)
        visit = self._visit(node, pending, 0.0)
        visit.input = pending.input
        self.steps.begin(visit, pending.started_at)
        return visit, node

    async def _failed(self, visit: Visit, node: Node, failure: NodeFailure) -> None:
        error = node_retry.error_detail(visit.place, failure, self._position.scope.redactor)
        wait_s = node_retry.wait_s(node.data, visit.attempt, failure, self._clock.share())
        handle = node_retry.handle_after(node.data)
        if wait_s is not None:
            wake_at = self._now() + timedelta(seconds=wait_s)
            self._state.pending = self._pending(visit, "retry", wake_at)
            self.steps.retries(visit, error)
            await self._save("retrying", wake_at=min(wake_at, self._deadline))
        elif handle is not None:
            self._go_on(visit, node, Done(failure.output, handle), error)
        else:
            pending = self._pending(visit, "retry")
            self.steps.ends(visit, self._now(), "failed", None, failure.output, error)
            if self._catching(failure) is not None:
                await self._raise_to_caller(failure, error)
            else:
                self._state.pending = pending
                await self._end("failed", error)

    def _catching(self, failure: NodeFailure | None = None) -> int | None:
        """How many of the subflows under way, from the outside, are left when the innermost node that handles
        what fails within its own has handled it; None: the execution fails."""
        calls = self._state.calls()
        for depth, node in reversed(list(enumerate(self._position.calling_nodes()))):
            tried_again = failure and node_retry.wait_s(node.data, calls[depth].visit.attempt, failure, 0.0) is not None
            if tried_again or node_retry.handle_after(node.data) is not None:
                return depth
        return None

    async def _raise_to_caller(self, failure: NodeFailure, error: ErrorDetail) -> None:
        """Fails the nodes whose subflows are under way, up to the one that handles it."""
        depth = self._catching(failure) or 0
        while True:
            visit, node = self._resumed(await self._position.leave())
            if len(self._state.calls()) == depth:
                break
            self.steps.ends(visit, self._now(), "failed", None, None, error)
        message = f"in {error.node_id}: {failure.message}"
        wrapped = NodeFailure(failure.kind, message, classes=failure.classes, output=failure.output)
        await self._failed(visit, node, wrapped)

    def _pending(self, visit: Visit, reason: Any, wake_at: datetime | None = None, memo: Any = None) -> Pending:
        return Pending(
            node=visit.node_id,
            seq=visit.seq,
            attempt=visit.attempt,
            reason=reason,
            started_at=self.steps.started_at(visit),
            wake_at=wake_at,
            input=self.steps.shown(visit.input),
            memo=memo,
        )

    def _limit_error(self, message: str, node_id: str) -> ErrorDetail:
        cycle = flow_graph.cycle_through(self._position.plan.successors, node_id)
        where = f"; the cycle is {' → '.join(cycle)}" if cycle else ""
        detail = {"cycle": cycle} if cycle else None
        return ErrorDetail(kind="limit", message=message + where, node_id=self._position.place(node_id), detail=detail)

    async def _end(self, status: ExecutionStatus, error: ErrorDetail | None = None, output: Any = None) -> None:
        """Ends the execution, and with it the visits that are under way."""
        pending, place = self._state.pending, ""
        if pending is not None and status in ("cancelled", "timed-out"):
            node = self._position.plan.nodes.get(pending.node)
            self.steps.cut_short(pending, self._position.place(pending.node), node.type if node else "", self._now())
        for frame, node in zip(self._state.calls(), self._position.calling_nodes(), strict=True):
            place += f"{node.id}"
            ended: StepStatus = (
                "failed" if status == "failed" else "succeeded" if status == "succeeded" else "cancelled"
            )
            self.steps.cut_short(frame.visit, place, node.type, self._now(), ended, error)
            place += "/"
        await self._save(status, error=error, output=self.steps.shown(output))

    async def _save(self, status: ExecutionStatus, **more: Any) -> None:
        """One checkpoint. Any status but running ends the turn."""
        status, wake_at = await self._progress.save(self._state, status, **more)
        if status != "running":
            self._ended = TurnEnd(status, wake_at)

    def _now(self) -> datetime:
        """Never before the moment of the claim by the store's clock, which has said what is due."""
        now, claimed_at = self._clock.now(), self._claimed.claimed_at
        return claimed_at if claimed_at is not None and claimed_at > now else now
