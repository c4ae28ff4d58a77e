"""Where a turn stands in the flows of its execution, and how it moves through loops and subflows.

The stack holds what is still to be visited. A loop lies under the nodes of its body, so that it comes next when
a body has ended; an edge of the body that leads back to it ends the path it is on. A subflow ends when
the stack is as low as it was at its beginning.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec

from filas.contract import identity
from filas.errors import PermanentError
from filas.flows.definition.flow_definition import Node
from filas.models.executions import ClaimedExecution
from flow_runner.engine.compiled_flow import Plan
from flow_runner.engine.execution_state import CallFrame, LoopFrame, Pending, State, begin_anew, decode
from flow_runner.engine.ports import Flows, ResumeAddresses, Secrets
from flow_runner.engine.template_scope import ExecutionScope, TurnScope

MAX_DEPTH = 8
"""Subflows within one another."""

_MAX_PINNED = 64


class Position:
    """`plan` and `scope` are those of the flow that the next node belongs to."""

    def __init__(
        self,
        claimed: ClaimedExecution,
        plan: Plan,
        state: State,
        flows: Flows,
        secrets: Secrets,
        addresses: ResumeAddresses,
    ) -> None:
        self.state = state
        self.turn_scope = TurnScope(claimed, state.message)
        self._addresses = addresses
        self._execution_id = claimed.id
        self._flows = flows
        self._secrets = secrets
        self._plans = [plan]
        self.plan = plan
        self.scope: ExecutionScope

    async def resume(self) -> None:
        """Loads the flows of the subflows under way. Raises PermanentError when one is gone, and StoreUnavailable."""
        calls = self.state.calls()
        if self._plans[0].subflows and not self.state.pins:
            self.state.pins = await self._pinned()
        for frame in calls:
            self._plans.append(await self._flows.get(frame.flow_id, frame.version))
        # Those of the calling flows too: what they hide stays hidden in the trace of a subflow.
        for depth, frame in enumerate(calls):
            caller = msgspec.structs.replace(self.state, vars=frame.vars, frames=[])
            await self._scope_of(self._plans[depth], caller, None)
        await self._show_innermost()

    def next_node(self) -> Node:
        """The node that the stack has on top, or that a visit under way belongs to. Raises PermanentError when the
        flow has none of that id."""
        pending = self.state.pending
        return self.node(pending.node if pending else self.state.stack[-1])

    def node(self, node_id: str) -> Node:
        """A node of the present flow. Raises PermanentError when there is none."""
        node = self.plan.nodes.get(node_id)
        if node is None:
            raise PermanentError(f"version {self.plan.version} of flow {self.plan.flow_id} has no node {node_id}")
        return node

    def place(self, node_id: str) -> str:
        """The node as a trace names it: after the nodes of the subflows that it lies in, `pay/check-card`."""
        if len(self._plans) == 1:
            return node_id
        return "/".join([frame.visit.node for frame in self.state.calls()] + [node_id])

    def callback_id(self, node_id: str) -> UUID:
        """The call that the node waits for, or will when it is visited next."""
        place = self.place(node_id)
        return identity.callback_id(self._execution_id, place, self.state.calls_awaited.get(place, 0))

    def resume_address(self, node_id: str) -> str:
        """Where that call is to be made."""
        return self._addresses.address(self._execution_id, self.callback_id(node_id))

    @property
    def subflow_over(self) -> bool:
        """Whether the innermost subflow has come to its end."""
        frames = self.state.frames
        return bool(frames) and isinstance(frames[-1], CallFrame) and len(self.state.stack) == frames[-1].base

    def skip_back_edges(self) -> bool:
        """Takes what leads back to a loop from its own body off the stack; loops inside of that one are left.
        True when something was taken."""
        state = self.state
        loops = state.loops() if state.frames and state.stack else []
        for depth, frame in enumerate(loops):
            if frame.node == state.stack[-1]:
                inner = loops[depth + 1 :]
                if not inner and len(state.stack) == frame.base + 1:
                    return False
                state.stack.pop()
                if inner:
                    del state.stack[inner[0].base :]
                    state.visits = inner[0].visits
                    del state.frames[-len(inner) :]
                    self.scope.show_loops(state.loops())
                return True
        return False

    def active_loop(self, node_id: str) -> LoopFrame | None:
        """The loop that the node's visit goes on with; None: it begins."""
        frame = self.state.frames[-1] if self.state.frames else None
        return frame if isinstance(frame, LoopFrame) and frame.node == node_id else None

    def repeat(self, node_id: str, items: list[Any], index: int) -> None:
        """The body of the loop comes next, for the item at `index`, and after it the loop."""
        state, frame = self.state, self.active_loop(node_id)
        if frame is None:
            frame = LoopFrame(node=node_id, base=len(state.stack), items=items, visits=state.visits)
            state.frames.append(frame)
        frame.index, state.visits = index, {}
        state.stack.append(node_id)
        state.stack += reversed(self.plan.targets(node_id, "loop"))
        self.scope.show_loops(state.loops())

    def end_loop(self) -> None:
        """The innermost loop has had its last item."""
        frame = self.state.frames.pop()
        self.state.visits = frame.visits
        self.scope.show_loops(self.state.loops())

    async def call(self, visit: Pending, flow_id: str, version: int | None, values: dict[str, Any]) -> None:
        """Begins a subflow with `values` as its input: those named as its variables are written to them.

        Raises ValueError when a value doesn't fit its variable, PermanentError when the flow can't be run, and
        StoreUnavailable.
        """
        state = self.state
        if len(self._plans) > MAX_DEPTH:
            raise ValueError(f"subflows are more than {MAX_DEPTH} deep")
        version = version if version is not None else state.pins.get(flow_id)
        if version is None:
            raise ValueError(f"flow {flow_id} was not published when this execution began")
        plan = await self._flows.get(flow_id, version)
        if not plan.begins_at:
            raise ValueError(f"flow {flow_id} has no trigger to begin at")
        frame = CallFrame(
            visit=visit,
            flow_id=flow_id,
            version=version,
            base=len(state.stack),
            input=values,
            vars=state.vars,
            outputs=state.outputs,
            visits=state.visits,
        )
        state.frames.append(frame)
        state.vars, state.outputs, state.visits, state.pending = {}, {}, {}, None
        state.stack.append(plan.begins_at)
        self._plans.append(plan)
        await self._show_innermost()
        try:
            for name, value in values.items():
                if self.scope.declares(name):
                    self.scope.assign(name, value)
        except ValueError:
            await self.leave()
            raise

    async def leave(self) -> Pending:
        """Ends the innermost subflow, wherever in it the execution stands; gives the visit that had begun it."""
        state = self.state
        while isinstance(frame := state.frames.pop(), LoopFrame):
            pass
        del state.stack[frame.base :]
        state.vars, state.outputs, state.visits, state.pending = frame.vars, frame.outputs, frame.visits, None
        self._plans.pop()
        await self._show_innermost()
        return frame.visit

    def calling_nodes(self) -> list[Node]:
        """The nodes whose subflows are under way, the outermost first."""
        return [plan.nodes[frame.visit.node] for plan, frame in zip(self._plans, self.state.calls(), strict=False)]

    async def _show_innermost(self) -> None:
        calls = self.state.calls()
        self.plan = self._plans[-1]
        webhook = {"body": calls[-1].input, "headers": {}, "queryParams": {}} if calls else None
        self.scope = await self._scope_of(self.plan, self.state, webhook)

    async def _scope_of(self, plan: Plan, state: State, webhook: dict[str, Any] | None) -> ExecutionScope:
        secrets: Mapping[str, str] = await self._secrets.revealed() if plan.uses_secrets else {}
        scope = ExecutionScope(self.turn_scope, plan, state, secrets, webhook)
        if plan.awaits_calls:
            scope.roots["execution"]["resumeUrls"] = _ResumeUrls(self, plan)
        return scope

    async def _pinned(self) -> dict[str, int | None]:
        """The published version of every flow that may be called without naming one, also by the flows called."""
        pins: dict[str, int | None] = {}
        seen: set[tuple[str, int]] = set()
        pending = list(self._plans[0].subflows)
        while pending and len(pins) < _MAX_PINNED:
            flow_id, version = pending.pop()
            if version is None:
                if flow_id not in pins:
                    pins[flow_id] = await self._flows.published(flow_id)
                version = pins[flow_id]
            if version is None or (flow_id, version) in seen:
                continue
            seen.add((flow_id, version))
            try:
                pending += (await self._flows.get(flow_id, version)).subflows
            except PermanentError:
                continue  # The node that calls it fails, if it is ever visited.
        return pins


class _ResumeUrls(Mapping[str, str]):
    """`execution.resumeUrls`: an address is made when a template asks for it."""

    def __init__(self, position: Position, plan: Plan) -> None:
        self._position = position
        self._node_ids = [node.id for node in plan.nodes.values() if node.data.awaits_call()]

    def __getitem__(self, node_id: str) -> str:
        if node_id not in self._node_ids:
            raise KeyError(node_id)
        return self._position.resume_address(node_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._node_ids)

    def __len__(self) -> int:
        return len(self._node_ids)


def position_of(
    claimed: ClaimedExecution, plan: Plan, flows: Flows, secrets: Secrets, addresses: ResumeAddresses
) -> Position:
    """Where the turn goes on; with the reply, if one has ended the wait. `resume` comes before anything else."""
    if claimed.state is not None:
        state = decode(claimed.state)
    elif claimed.start_state is not None:
        state = begin_anew(decode(claimed.start_state))
    else:
        state = State(stack=[claimed.node_id or plan.begins_at])
    if claimed.reply is not None:
        state.message = msgspec.json.decode(claimed.reply).get("message") or {}
        if state.pending is not None:
            state.pending.reply = state.message
    if claimed.call is not None and state.pending is not None:
        state.pending.call = msgspec.json.decode(claimed.call)
    return Position(claimed, plan, state, flows, secrets, addresses)
