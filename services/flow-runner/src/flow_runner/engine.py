"""Walks an execution from where it stands, until it ends, waits, or its turn is up.

A checkpoint is where an effect is. Pure nodes ride along: what they did is written with the next effect, or
when the turn ends. After a call to the outside only pure nodes can run before its checkpoint, so between an
effect and its record lies no waiting. After a crash, pure nodes run again, and a call is made again under the
same key, `execution:seq`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from filas import identity
from filas.errors import PermanentError
from filas.flows import graph
from filas.flows.definition import Node
from filas.flows.templates import TemplateError
from filas.models import (
    FINAL_EXECUTION_STATUSES,
    Checkpoint,
    ClaimedExecution,
    ErrorDetail,
    ExecutionStatus,
    FollowingExecution,
    NewNotification,
    StepStatus,
)
from flow_runner import retrying
from flow_runner.budget import Budget
from flow_runner.error_flow import error_trigger
from flow_runner.nodes.visit import Done, Finish, NodeFailure, NodeRunner, Outcome, Visit, Wait
from flow_runner.plan import Plan
from flow_runner.ports import Clock, ExecutionStore, Outbound, Secrets
from flow_runner.registry import RUNNERS
from flow_runner.scope import ExecutionScope
from flow_runner.state import MAX_STATE_BYTES, Pending, State, begin_anew, decode, encode
from flow_runner.steps import StepLog

_BREATH_EVERY = 25
_MAX_UNSAVED_STEPS = 200


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """The status in which a turn has ended. `queued` and `retrying` go on in the same turn, and so in the same
    job: at once, or at `wake_at`."""

    status: ExecutionStatus
    wake_at: datetime | None = None


class Engine:
    """Runs turns of executions, each alone; many run at a time in one process. `runners` says how each type of
    node is run."""

    def __init__(
        self,
        store: ExecutionStore,
        outbound: Outbound,
        secrets: Secrets,
        clock: Clock,
        runners: Mapping[str, NodeRunner] = RUNNERS,
    ) -> None:
        self._ports = _Ports(store, outbound, clock, runners)
        self._secrets = secrets

    async def run(self, claimed: ClaimedExecution, plan: Plan, budget: Budget) -> TurnEnd:
        """Runs one turn and says how it ended.

        Raises LeaseLost when somebody else holds the execution by now, StoreUnavailable, and PermanentError
        when the execution can't be run by this version.
        """
        state = _position(claimed, plan)
        secrets = await self._secrets.revealed() if plan.uses_secrets else {}
        scope = ExecutionScope(claimed, plan, state, secrets)
        return await _Turn(self._ports, claimed, plan, budget, state, scope).run()


class _Ports(NamedTuple):
    store: ExecutionStore
    outbound: Outbound
    clock: Clock
    runners: Mapping[str, NodeRunner]


class _Turn:
    """One turn of one execution."""

    def __init__(
        self,
        ports: _Ports,
        claimed: ClaimedExecution,
        plan: Plan,
        budget: Budget,
        state: State,
        scope: ExecutionScope,
    ) -> None:
        self._store, self._outbound, self._clock, self._runners = ports
        self._claimed, self._plan, self._budget = claimed, plan, budget
        self._state, self._scope = state, scope
        self._steps = StepLog(scope.redactor)
        self._notifications: list[NewNotification] = []
        self._effect_unsaved = False
        self._ended: TurnEnd | None = None
        timeout = timedelta(milliseconds=plan.settings.timeout_ms)
        self._deadline = claimed.deadline_at or claimed.started_at + timeout

    async def run(self) -> TurnEnd:
        visits = 0
        while self._ended is None:
            if self._claimed.cancel_requested:
                await self._end("cancelled")
            elif self._now() >= self._deadline:
                message = f"the execution took longer than {self._plan.settings.timeout_ms} ms"
                await self._end("timed-out", ErrorDetail(kind="timeout", message=message))
            elif self._state.pending is None and not self._state.stack:
                await self._end("succeeded")
            else:
                visits += 1
                if visits % _BREATH_EVERY == 0:
                    await asyncio.sleep(0)
                await self._next_node()
        return self._ended

    async def _next_node(self) -> None:
        pending = self._state.pending
        node_id = pending.node if pending else self._state.stack[-1]
        node = self._plan.nodes.get(node_id)
        if node is None:
            raise _no_node(self._plan, node_id)
        call_s = self._runners[node.type].call_s(node.data)
        if not self._budget.allows(call_s):
            await self._save("queued")
            return
        # Before the node is taken off the stack: whoever goes on from here after a crash visits it.
        unsaved_effects = self._effect_unsaved or bool(self._notifications)
        if (call_s and unsaved_effects) or len(self._steps.records) >= _MAX_UNSAVED_STEPS:
            await self._save("running")
        if pending is None and not await self._enter(node_id):
            return
        visit = self._visit(node, pending, call_s)
        self._steps.begin(visit, node.type, pending.started_at if pending else visit.now)
        announced = pending is not None and pending.reason == "effect"
        if self._runners[node.type].announced(node.data) and not announced:
            self._state.pending = self._pending(visit, "effect")
            await self._save("running", started=visit)
        if self._ended is None:
            await self._run_node(visit, node)

    async def _enter(self, node_id: str) -> bool:
        """Counts the visit; False where it is one too many and the execution has ended."""
        state, settings = self._state, self._plan.settings
        state.stack.pop()
        visits = state.visits[node_id] = state.visits.get(node_id, 0) + 1
        state.seq += 1
        if visits > settings.max_visits_per_node:
            message = f"node {node_id} was to be visited more than {settings.max_visits_per_node} times"
        elif state.seq > settings.max_steps:
            message = f"more than {settings.max_steps} steps"
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
            data=node.data,
            seq=seq,
            attempt=(pending.attempt if pending else 1) + (1 if retried else 0),
            key=identity.effect_key(self._claimed.id, seq),
            claimed=self._claimed,
            scope=self._scope,
            outbound=self._outbound,
            now=now,
            time_limit_s=min(call_s, max((self._deadline - now).total_seconds(), 0.05)),
            pending=pending,
        )

    async def _run_node(self, visit: Visit, node: Node) -> None:
        runner = self._runners[node.type]
        try:
            if visit.pending is not None and visit.pending.reason == "effect":
                raise NodeFailure("uncertain", "the call may have been made before a crash, and is not repeated")
            outcome: Outcome = await runner.run(visit)
        except TemplateError as error:
            await self._failed(visit, node, NodeFailure("template", str(error)))
        except NodeFailure as failure:
            await self._failed(visit, node, failure)
        else:
            await self._leave(visit, node, outcome)
        if runner.call_s(node.data):
            self._effect_unsaved = self._ended is None

    async def _leave(self, visit: Visit, node: Node, outcome: Outcome) -> None:
        if isinstance(outcome, Wait):
            self._state.pending = self._pending(visit, "wait", outcome.until, outcome.memo)
            self._notifications += outcome.notifications
            self._steps.waits(visit)
            wake_at = min(outcome.until or self._deadline, self._deadline)
            await self._save(outcome.status, wake_at=wake_at, awaits_reply=outcome.awaits_reply)
        elif isinstance(outcome, Finish):
            self._steps.ends(visit, self._now(), "succeeded", None, outcome.output)
            self._state.stack.append(node.id)
            error = ErrorDetail(kind="ended", message="the flow ended as failed", node_id=node.id)
            await self._end(outcome.status, error if outcome.status == "failed" else None, outcome.output)
        else:
            self._notifications += outcome.notifications
            self._go_on(visit, node, outcome)

    def _go_on(self, visit: Visit, node: Node, done: Done, error: ErrorDetail | None = None) -> None:
        """Leaves the node by `done.handle`: the nodes behind it come next, before what was to come anyway."""
        state = self._state
        state.pending = None
        status: StepStatus = "failed" if error else "succeeded"
        shown = done.output if done.shown is msgspec.UNSET else done.shown
        self._steps.ends(visit, self._now(), status, done.handle, shown, error)
        self._scope.ended(node.id, done.output, retrying.in_scope(error))
        state.stack += reversed(self._plan.targets(node.id, done.handle))

    async def _failed(self, visit: Visit, node: Node, failure: NodeFailure) -> None:
        error = retrying.error_detail(node.id, failure, self._scope.redactor)
        wait_s = retrying.wait_s(node.data, visit.attempt, failure, self._clock.share())
        if wait_s is not None:
            wake_at = self._now() + timedelta(seconds=wait_s)
            self._state.pending = self._pending(visit, "retry", wake_at)
            self._steps.retries(visit, error)
            await self._save("retrying", wake_at=min(wake_at, self._deadline))
            return
        handle = retrying.handle_after(node.data)
        if handle is not None:
            self._go_on(visit, node, Done(failure.output, handle), error)
            return
        self._state.pending = self._pending(visit, "retry")
        self._steps.ends(visit, self._now(), "failed", None, failure.output, error)
        await self._end("failed", error)

    def _pending(self, visit: Visit, reason: Any, wake_at: datetime | None = None, memo: Any = None) -> Pending:
        return Pending(
            node=visit.node_id,
            seq=visit.seq,
            attempt=visit.attempt,
            reason=reason,
            started_at=self._steps.started_at(visit),
            wake_at=wake_at,
            input=self._steps.shown(visit.input),
            memo=memo,
        )

    def _limit_error(self, message: str, node_id: str) -> ErrorDetail:
        cycle = graph.cycle_through(self._plan.successors, node_id)
        where = f"; the cycle is {' → '.join(cycle)}" if cycle else ""
        detail = {"cycle": cycle} if cycle else None
        return ErrorDetail(kind="limit", message=message + where, node_id=node_id, detail=detail)

    async def _end(self, status: ExecutionStatus, error: ErrorDetail | None = None, output: Any = None) -> None:
        pending = self._state.pending
        if pending is not None and status in ("cancelled", "timed-out"):
            node = self._plan.nodes.get(pending.node)
            self._steps.cancels(pending, node.type if node else "", self._now())
        await self._save(status, error=error, output=self._steps.shown(output))

    async def _save(
        self,
        status: ExecutionStatus,
        *,
        started: Visit | None = None,
        wake_at: datetime | None = None,
        awaits_reply: bool = False,
        error: ErrorDetail | None = None,
        output: Any = None,
    ) -> None:
        """One checkpoint: all that has happened since the last one. Any status but running ends the turn."""
        state = self._saved_state(status)
        if state is not None and len(state) > MAX_STATE_BYTES:
            wake_at, state = None, None
            if status not in FINAL_EXECUTION_STATUSES:
                message = f"the execution holds more than {MAX_STATE_BYTES} bytes of variables and outputs"
                status, error = "failed", ErrorDetail(kind="limit", message=message)
        changed = self._scope.conversation_changed and self._claimed.conversation_id is not None
        checkpoint = Checkpoint(
            execution_id=self._claimed.id,
            fence=self._claimed.fence,
            status=status,
            state=state,
            steps=self._steps.take(started),
            notifications=self._notifications,
            wake_at=wake_at,
            error=error,
            output=output,
            conversation_vars=self._scope.conversation_text() if changed else None,
            awaits_reply=awaits_reply and self._claimed.conversation_id is not None,
            starts=self._starts(status, error),
        )
        status = await self._store.checkpoint(self._claimed, checkpoint)
        self._notifications = []
        self._effect_unsaved = False
        self._scope.conversation_changed = False
        if status != "running":
            self._ended = TurnEnd(status, wake_at)

    def _saved_state(self, status: ExecutionStatus) -> str | None:
        """What has not succeeded keeps its position, to be replayed from there; what of a visit has begun is in
        the pending one."""
        return None if status == "succeeded" else encode(self._state)

    def _starts(self, status: ExecutionStatus, error: ErrorDetail | None) -> list[FollowingExecution]:
        """The execution of the error flow, if this one fails; one that is itself of an error flow starts none."""
        flow_id = self._plan.settings.error_flow_id
        if status not in ("failed", "timed-out") or flow_id is None or "errorOf" in self._scope.trigger:
            return []
        trigger = error_trigger(self._claimed, self._scope, status, error)
        following = identity.error_execution_id(self._claimed.id)
        return [FollowingExecution(id=following, flow_id=flow_id, trigger=trigger)]

    def _now(self) -> datetime:
        """Never before the moment of the claim by the store's clock, which has said what is due."""
        now, claimed_at = self._clock.now(), self._claimed.claimed_at
        return claimed_at if claimed_at is not None and claimed_at > now else now


def _position(claimed: ClaimedExecution, plan: Plan) -> State:
    """Where the turn goes on; with the reply, if one has ended the wait."""
    if claimed.state is not None:
        state = decode(claimed.state)
    elif claimed.start_state is not None:
        state = begin_anew(decode(claimed.start_state))
    else:
        first = claimed.node_id or plan.begins_at
        if first not in plan.nodes:
            raise _no_node(plan, first)
        state = State(stack=[first])
    if claimed.reply is not None:
        state.message = msgspec.json.decode(claimed.reply).get("message") or {}
        if state.pending is not None:
            state.pending.reply = state.message
    return state


def _no_node(plan: Plan, node_id: str) -> PermanentError:
    return PermanentError(f"version {plan.version} of flow {plan.flow_id} has no node {node_id}")
