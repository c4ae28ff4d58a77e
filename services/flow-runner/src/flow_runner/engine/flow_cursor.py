"""Where a run is in the flows of its execution. `FlowCursor` is the only object that changes the execution's state.

The stack holds the nodes that are still to be visited. A loop's node is below the nodes of its body, so that it is
visited again when the body has ended; an edge from the body back to the loop ends the path that it is on. A subflow has
ended when the stack is as low as it was at the subflow's start.
"""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

import msgspec

from filas.contract import identity
from filas.errors import PermanentError
from filas.flows.definition.variables import convert
from filas.models.executions import ClaimedExecution
from flow_runner.engine.compiled_flow import CompiledFlow, CompiledNode
from flow_runner.engine.conversation_variables import ConversationVariables
from flow_runner.engine.execution_state import CallFrame, LoopFrame, Pending, State, decode, restarted, seal
from flow_runner.engine.node_protocol import Callback
from flow_runner.engine.pinned_versions import pinned_versions
from flow_runner.engine.ports import FlowServices
from flow_runner.engine.resume_urls import ResumeUrls
from flow_runner.engine.template_scope import (
    RunContext,
    TemplateScope,
    build_roots,
    conversation_texts,
    loop_root,
    message_of,
)

MAX_DEPTH = 8
"""The deepest nesting of subflows."""

NO_WEBHOOK: Mapping[str, Any] = {}


class NextVisit(msgspec.Struct, frozen=True):
    """The visit that comes next. `pending` is what an earlier attempt of it stored, `loop` the loop that it continues.
    `place` is the node's name in traces."""

    node: CompiledNode
    place: str
    pending: Pending | None
    loop: LoopFrame | None
    callback: Callback | None


class CallingVisit(msgspec.Struct, frozen=True):
    """A visit whose subflow is in progress."""

    node: CompiledNode
    place: str
    visit: Pending


class FlowCursor:
    """The cursor of one run. Other objects read `state` and change it only through the methods of this class.

    `flow` and `scope` belong to the flow of the next node. `calling` are the visits whose subflows are in progress, the
    outermost first. `conversation` has the variables of the conversation.
    """

    def __init__(self, claimed: ClaimedExecution, flow: CompiledFlow, state: State, services: FlowServices) -> None:
        self.state = state
        self.conversation = ConversationVariables(claimed.conversation_vars, services.box)
        trigger = msgspec.json.decode(claimed.trigger)
        webhook = trigger.get("webhook") or NO_WEBHOOK
        message = state.message or message_of(trigger)
        self.context = RunContext(claimed, trigger, webhook, message, self.conversation.values)
        if secret_values := self.conversation.secret_values:
            self.context.redactor.hide(secret_values)
            state.holds_secrets = True
        self.flow = flow
        self.calling: list[CallingVisit] = []
        self.scope: TemplateScope
        self._services = services
        self._flows = [flow]
        self._vars: dict[str, Any] = {}
        self._outputs: dict[str, Any] = {}
        self._roots: dict[str, Any] = {}

    async def load(self) -> None:
        """Loads the flows of the subflows in progress. Comes before anything else. Raises PermanentError if one does
        not exist, and StoreUnavailable."""
        state = self.state
        if self.flow.subflows and not state.pins:
            state.pins = await pinned_versions(self.flow, self._services.flows)
        for frame in state.frames:
            if isinstance(frame, CallFrame):
                # What a calling flow hides is hidden in the steps of its subflow too.
                variables = self._variables(frame.vars)
                build_roots(self.context, self.flow, variables, {}, await self._secrets(), NO_WEBHOOK)
                self._descend(await self._services.flows.get(frame.flow_id, frame.version), frame.visit)
        await self._open_scope()

    def upcoming(self) -> NextVisit | Literal["back-edge", "subflow-over", "flow-over"]:
        """What comes next. `back-edge`: a path of a loop's body ended, so ask again. Raises PermanentError if the flow
        does not have the next node."""
        state = self.state
        if state.pending is not None:
            return self._next(state.pending.node, state.pending)
        frame = state.frames[-1] if state.frames else None
        if isinstance(frame, CallFrame) and len(state.stack) == frame.base:
            return "subflow-over"
        if not state.stack:
            return "flow-over"
        if frame is not None and self._skip_back_edge():
            return "back-edge"
        return self._next(state.stack[-1], None)

    def enter(self, visit: NextVisit, max_steps: int) -> str | None:
        """Takes the next node from the stack and counts the visit. Returns the message of the limit that the visit
        exceeds; then nothing has changed. The visits of a loop in progress are bounded by its items."""
        state, node_id = self.state, visit.node.id
        visits = 0 if visit.loop is not None else state.visits.get(node_id, 0) + 1
        if visits > self.flow.settings.max_visits_per_node:
            return f"more than {self.flow.settings.max_visits_per_node} visits of node {node_id}"
        if state.seq >= max_steps:
            return f"more than {max_steps} steps"
        state.stack.pop()
        state.seq += 1
        if visits:
            state.visits[node_id] = visits
        return None

    def suspend(self, pending: Pending) -> None:
        """The visit has begun and does not end now."""
        self.state.pending = pending

    def leave(self, visit: NextVisit, output: Any, error: Mapping[str, Any] | None, targets: tuple[str, ...]) -> None:
        """The visit has ended. `targets` come next, before everything else that is in the stack."""
        state = self.state
        state.pending = None
        if visit.loop is not None:
            frame = state.frames.pop()
            state.visits = frame.visits
            self._show_loops()
        if visit.callback is not None:
            state.calls_awaited[visit.place] = state.calls_awaited.get(visit.place, 0) + 1
        self._set_output(visit.node, output, error)
        state.stack += reversed(targets)

    def revisit(self, node_id: str) -> None:
        """The node comes next, again: a failed execution that is replayed starts with it."""
        self.state.stack.append(node_id)

    def repeat(self, visit: NextVisit, items: list[Any], index: int, output: Any) -> None:
        """The body of the loop comes next, for the item at `index`, and then the loop's node."""
        state, node = self.state, visit.node
        if visit.loop is None:
            frame = LoopFrame(node=node.id, base=len(state.stack), items=items, visits=state.visits)
            state.frames.append(frame)
        else:
            frame = visit.loop
        state.frames[-1] = msgspec.structs.replace(frame, index=index)
        state.visits, state.pending = {}, None
        self._set_output(node, output, None)
        state.stack.append(node.id)
        state.stack += reversed(node.targets.get("loop", ()))
        self._show_loops()

    def join_messages(self, text: str) -> None:
        """The last message of the contact has this text: that of a burst of messages."""
        self.state.message = {**self.context.message, "text": text}
        self.context = msgspec.structs.replace(self.context, message=self.state.message)
        self._roots["conversation"] |= conversation_texts(self.state.message)

    def assign(self, name: str, value: Any) -> None:
        """Writes a variable of the present flow, converted to its type. Raises ValueError if the flow does not declare
        the variable or the value does not fit."""
        variable = self.flow.variables.get(name)
        if variable is None:
            raise ValueError(f"unknown variable {name}")
        converted = convert(variable, value)
        self._vars[name] = converted
        if variable.secret:
            self.context.redactor.hide(converted)
        if variable.scope == "conversation":
            self.conversation.assign(name, converted)
        else:
            self.state.vars[name] = converted

    async def call(self, visit: Pending, flow_id: str, version: int | None, values: dict[str, Any]) -> None:
        """Starts a subflow with `values` as its input. Those with the name of a variable of the subflow are assigned.

        Raises ValueError if a value does not fit its variable, PermanentError if the flow cannot be run, and
        StoreUnavailable.
        """
        state = self.state
        if len(self._flows) > MAX_DEPTH:
            raise ValueError(f"subflows are more than {MAX_DEPTH} deep")
        version = version if version is not None else state.pins.get(flow_id)
        if version is None:
            raise ValueError(f"flow {flow_id} was not published when this execution started")
        flow = await self._services.flows.get(flow_id, version)
        if not flow.begins_at:
            raise ValueError(f"flow {flow_id} has no trigger")
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
        state.stack.append(flow.begins_at)
        self._descend(flow, visit)
        await self._open_scope()
        try:
            for name, value in values.items():
                if name in flow.variables:
                    self.assign(name, value)
        except ValueError:
            await self.leave_subflow()
            raise

    async def leave_subflow(self) -> NextVisit:
        """Ends the innermost subflow, wherever it is. Returns the visit that started it."""
        state = self.state
        while isinstance(frame := state.frames.pop(), LoopFrame):
            pass
        del state.stack[frame.base :]
        state.vars, state.outputs, state.visits, state.pending = frame.vars, frame.outputs, frame.visits, None
        self._flows.pop()
        self.calling.pop()
        self.flow = self._flows[-1]
        await self._open_scope()
        return self._next(frame.visit.node, frame.visit)

    def stored(self, text: str) -> str:
        """What is stored of the state whose text is `text`: the text, encrypted if the execution holds secrets."""
        return seal(text, self._services.box) if self.state.holds_secrets is True else text

    def place(self, node_id: str) -> str:
        """The node's name in traces: after the nodes of the subflows that it is in, `pay/check-card`."""
        return f"{self.calling[-1].place}/{node_id}" if self.calling else node_id

    def _next(self, node_id: str, pending: Pending | None) -> NextVisit:
        node, place = self._node(node_id), self.place(node_id)
        callback = None
        if node.awaits_callback:
            callback = Callback(self._callback_id(node_id), self._resume_address(node_id))
        frame = self.state.frames[-1] if self.state.frames and pending is None else None
        loop = frame if isinstance(frame, LoopFrame) and frame.node == node_id else None
        return NextVisit(node, place, pending, loop, callback)

    def _node(self, node_id: str) -> CompiledNode:
        node = self.flow.nodes.get(node_id)
        if node is None:
            raise PermanentError(f"version {self.flow.version} of flow {self.flow.flow_id} has no node {node_id}")
        return node

    def _callback_id(self, node_id: str) -> UUID:
        place = self.place(node_id)
        return identity.callback_id(self.context.claimed.id, place, self.state.calls_awaited.get(place, 0))

    def _resume_address(self, node_id: str) -> str:
        return self._services.addresses.address(self.context.claimed.id, self._callback_id(node_id))

    def _skip_back_edge(self) -> bool:
        """Removes the next node if an edge led from a loop's body back to that loop, and ends the loops inside of it.
        Returns whether a node was removed."""
        state = self.state
        loops = self._loops()
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
                    self._show_loops()
                return True
        return False

    def _loops(self) -> list[LoopFrame]:
        """The loops in progress in the present flow, the innermost last."""
        found: list[LoopFrame] = []
        for frame in reversed(self.state.frames):
            if isinstance(frame, CallFrame):
                break
            found.append(frame)
        return found[::-1]

    def _show_loops(self) -> None:
        root = loop_root(self.flow, self._loops())
        if root is None:
            self._roots.pop("loop", None)
        else:
            self._roots["loop"] = root

    def _set_output(self, node: CompiledNode, output: Any, error: Mapping[str, Any] | None) -> None:
        entry = {"output": output, "error": error}
        self._outputs[node.id] = entry
        if node.output_is_read:
            self.state.outputs[node.id] = entry

    def _descend(self, flow: CompiledFlow, visit: Pending) -> None:
        """The present flow is `flow` from now on; `visit` started it."""
        self.calling.append(CallingVisit(self._node(visit.node), self.place(visit.node), visit))
        self._flows.append(flow)
        self.flow = flow

    def _variables(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The value of each variable of the present flow."""
        return {
            name: (self.conversation.values if variable.scope == "conversation" else stored).get(name, variable.default)
            for name, variable in self.flow.variables.items()
        }

    async def _secrets(self) -> Mapping[str, str]:
        """The secrets that the present flow uses, which its state may contain from now on."""
        if self.flow.uses_secrets or self.flow.secret_variables:
            self.state.holds_secrets = True
            self.conversation.declare_secret(self.flow.secret_variables)
        return await self._services.secrets.revealed(self.flow.secret_names) if self.flow.uses_secrets else {}

    async def _open_scope(self) -> None:
        """The template scope of the present flow."""
        webhook = self.context.webhook
        calls = [frame for frame in self.state.frames if isinstance(frame, CallFrame)]
        if calls:
            webhook = {"body": calls[-1].input, "headers": {}, "queryParams": {}}
        self._vars, self._outputs = self._variables(self.state.vars), dict(self.state.outputs)
        secrets = await self._secrets()
        self._roots = build_roots(self.context, self.flow, self._vars, self._outputs, secrets, webhook)
        if self.flow.callback_nodes:
            self._roots["execution"]["resumeUrls"] = ResumeUrls(self.flow.callback_nodes, self._resume_address)
        if self.state.frames:
            self._show_loops()
        self.scope = TemplateScope(self._roots, self._vars, webhook, self.context.redactor)


async def open_cursor(claimed: ClaimedExecution, flow: CompiledFlow, services: FlowServices) -> FlowCursor:
    """The cursor where the run continues, with the reply, the callback or the outcome that ended
    the wait.

    Raises NewerVersionRequired if a newer version wrote the state or a flow, PermanentError if a flow does not exist,
    and StoreUnavailable.
    """
    if claimed.state is not None:
        state = decode(claimed.state, services.box)
    elif claimed.start_state is not None:
        state = restarted(decode(claimed.start_state, services.box))
    else:
        state = State(stack=[claimed.node_id or flow.begins_at])
    if claimed.reply is not None:
        state.message = message_of(msgspec.json.decode(claimed.reply))
        if state.pending is not None:
            state.pending = msgspec.structs.replace(state.pending, reply=state.message)
    if claimed.call is not None and state.pending is not None:
        state.pending = msgspec.structs.replace(state.pending, call=msgspec.json.decode(claimed.call))
    if claimed.message_outcome is not None and state.pending is not None:
        state.pending = msgspec.structs.replace(state.pending, outcome=msgspec.json.decode(claimed.message_outcome))
    cursor = FlowCursor(claimed, flow, state, services)
    await cursor.load()
    return cursor
