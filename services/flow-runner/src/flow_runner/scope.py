"""What the templates of one execution see."""

from collections.abc import Mapping
from typing import Any

import msgspec

from filas.flows.definition import Variable
from filas.flows.variables import convert
from filas.models import ClaimedExecution
from flow_runner.plan import Plan
from flow_runner.state import State
from flow_runner.trace import Redactor


class ExecutionScope:
    """The names in scope and the variables behind them. `roots` is what templates are rendered with.

    It is made anew each turn from the trigger, the state and the conversation, and lives along as nodes run.
    """

    def __init__(self, claimed: ClaimedExecution, plan: Plan, state: State, secrets: Mapping[str, str]) -> None:
        self._plan = plan
        self._state = state
        self.redactor = Redactor(secrets.values())
        self.conversation_vars: dict[str, Any] = msgspec.json.decode(claimed.conversation_vars or "{}")
        self.conversation_changed = False
        trigger = msgspec.json.decode(claimed.trigger)
        self.webhook: dict[str, Any] = trigger.get("webhook") or {}
        self.trigger: dict[str, Any] = trigger
        self.message: dict[str, Any] = state.message or trigger.get("message") or {}
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
                "vars": self.conversation_vars,
            },
            "execution": {"id": str(claimed.id), "flowId": claimed.flow_id, "version": claimed.version},
        }

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
            self.conversation_vars[name] = converted
            self.conversation_changed = True
        else:
            self._state.vars[name] = converted

    def ended(self, node_id: str, output: Any, error: dict[str, Any] | None) -> None:
        """Puts a node's output and error into scope, and into the state where a template looks at them."""
        entry = {"output": output, "error": error}
        self.nodes[node_id] = entry
        if self._plan.keeps_output(node_id):
            self._state.outputs[node_id] = entry

    def conversation_text(self) -> str:
        """The conversation's variables as JSON text."""
        return msgspec.json.encode(self.conversation_vars).decode()

    def _stored(self, variable: Variable) -> Any:
        kept = self.conversation_vars if variable.scope == "conversation" else self._state.vars
        return kept.get(variable.name, variable.default)
