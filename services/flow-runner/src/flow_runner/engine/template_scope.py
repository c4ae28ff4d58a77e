"""What the templates of one execution see."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from filas.flows.definition.flow_definition import Variable
from filas.flows.definition.variables import convert
from filas.models.executions import ClaimedExecution
from flow_runner.engine.compiled_flow import Plan
from flow_runner.engine.execution_state import LoopFrame, State
from flow_runner.engine.redaction import Redactor


class TurnScope:
    """What all flows of an execution have in common in one turn: the conversation's variables, what started
    it, and what no trace may show."""

    def __init__(self, claimed: ClaimedExecution, message: dict[str, Any] | None) -> None:
        self.claimed = claimed
        self.redactor = Redactor()
        self.conversation_vars: dict[str, Any] = msgspec.json.decode(claimed.conversation_vars or "{}")
        self.conversation_changed = False
        self.trigger: dict[str, Any] = msgspec.json.decode(claimed.trigger)
        self.webhook: dict[str, Any] = self.trigger.get("webhook") or {}
        self.message: dict[str, Any] = message or self.trigger.get("message") or {}

    def conversation_text(self) -> str:
        """The conversation's variables as JSON text."""
        return msgspec.json.encode(self.conversation_vars).decode()


class ExecutionScope:
    """The names in scope of one flow and the variables behind them. `roots` is what templates are rendered with.

    It is made anew each turn from the trigger, the state and the conversation, and lives along as nodes run.
    `webhook` is what the flow has begun with: of a subflow, its input.
    """

    def __init__(
        self,
        turn: TurnScope,
        plan: Plan,
        state: State,
        secrets: Mapping[str, str],
        webhook: dict[str, Any] | None = None,
    ) -> None:
        self._turn = turn
        self._plan = plan
        self._state = state
        claimed, self.message, self.redactor = turn.claimed, turn.message, turn.redactor
        for secret in secrets.values():
            self.redactor.hide(secret)
        self.webhook: dict[str, Any] = turn.webhook if webhook is None else webhook
        self.vars = {name: self._stored(variable) for name, variable in plan.variables.items()}
        for name, value in self.vars.items():
            if plan.variables[name].secret:
                self.redactor.hide(value)
        self.nodes: dict[str, Any] = dict(state.outputs)
        self.roots: dict[str, Any] = {
            "webhook": self.webhook,
            "nodes": self.nodes,
            "vars": self.vars,
            "secrets": secrets,
            "conversation": {
                "contact": claimed.contact,
                "channel": claimed.channel,
                "id": str(claimed.conversation_id) if claimed.conversation_id else None,
                "text": self.message.get("text"),
                "vars": turn.conversation_vars,
            },
            "execution": {"id": str(claimed.id), "flowId": claimed.flow_id, "version": claimed.version},
        }
        self.show_loops(state.loops())

    def assign(self, name: str, value: Any) -> None:
        """Writes a variable, converted to its type. Raises ValueError when it is not declared or doesn't fit."""
        variable = self._plan.variables.get(name)
        if variable is None:
            raise ValueError(f"unknown variable {name}")
        converted = convert(variable, value)
        self.vars[name] = converted
        if variable.secret:
            self.redactor.hide(converted)
        if variable.scope == "conversation":
            self._turn.conversation_vars[name] = converted
            self._turn.conversation_changed = True
        else:
            self._state.vars[name] = converted

    def declares(self, name: str) -> bool:
        """Whether the flow has such a variable."""
        return name in self._plan.variables

    def ended(self, node_id: str, output: Any, error: dict[str, Any] | None) -> None:
        """Puts a node's output and error into scope, and into the state where a template looks at them."""
        entry = {"output": output, "error": error}
        self.nodes[node_id] = entry
        if self._plan.keeps_output(node_id):
            self._state.outputs[node_id] = entry

    def show_loops(self, loops: Sequence[LoopFrame]) -> None:
        """`loop` as templates see it from now on: the innermost one, with the items of those around it."""
        shown: dict[str, Any] = {}
        for frame in loops:
            length, index = len(frame.items), frame.index
            shown = {
                **shown,
                self._plan.item_name(frame.node): frame.items[index],
                "index": index,
                "number": index + 1,
                "first": index == 0,
                "last": index == length - 1,
                "length": length,
                "parent": shown or None,
            }
        if shown:
            self.roots["loop"] = shown
        else:
            self.roots.pop("loop", None)

    def _stored(self, variable: Variable) -> Any:
        kept = self._turn.conversation_vars if variable.scope == "conversation" else self._state.vars
        return kept.get(variable.name, variable.default)
