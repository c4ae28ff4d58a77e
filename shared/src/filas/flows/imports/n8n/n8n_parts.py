"""What a node of a workflow becomes, and the common parts of the conversions."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from filas.flows.imports.foreign_fields import number
from filas.flows.imports.import_report import BlockReport
from filas.flows.imports.n8n.n8n_expressions import N8nExpressions
from filas.flows.imports.n8n.n8n_scope import N8nScope, NodeData
from filas.flows.imports.n8n.n8n_workflow import N8nNode


@dataclass(slots=True)
class N8nPart:
    """`entry`: the node, None if none is needed. `exits`: the node and the handle of each output, in their order; an
    output may have several handles."""

    entry: str | None = None
    exits: list[list[str]] = field(default_factory=list)


@dataclass(slots=True)
class N8nCall:
    """A node that is converted."""

    node: N8nNode
    scope: N8nScope
    report: BlockReport
    expressions: N8nExpressions
    node_id: str

    @property
    def parameters(self) -> dict[str, Any]:
        return self.node.parameters

    def template(self, value: object) -> str:
        return self.expressions.template(value)

    def add(self, node_type: str, data: dict[str, Any], *handles: str) -> N8nPart:
        """Adds the node. `handles` are those of its outputs, by default `out`."""
        self.scope.builder.add(self.node_id, node_type, {**data, "label": self.node.name[:200]}, self.node.at)
        self.report.nodes.append(self.node_id)
        return N8nPart(self.node_id, [[handle] for handle in handles or ("out",)])

    def passes(self, code: str) -> N8nPart:
        """Needs no node: what comes before leads directly on."""
        self.report.add(code)
        self.scope.data[self.node.name] = NodeData("passes")
        return N8nPart()

    def fallible(self, data: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The data with the reaction to errors and the retries of the node, and its handles."""
        raw = self.node.raw
        reaction = raw.get("onError")
        handles: tuple[str, ...] = ("out",)
        if raw.get("continueOnFail") is True or reaction == "continueRegularOutput":
            data["onError"] = "continue"
        outputs = self.scope.workflow.outputs.get(self.node.name, [])
        if reaction == "continueErrorOutput":
            if len(outputs) > 1 and outputs[1]:
                data["onError"], handles = "branch", ("out", "error")
            else:
                data["onError"] = "continue"
        if raw.get("retryOnFail") is True:
            attempts, wait = number(raw.get("maxTries")), number(raw.get("waitBetweenTries"))
            data["retry"] = {
                "maxAttempts": min(max(int(attempts or 3), 1), 20),
                "delayMs": min(max(int(wait if wait is not None else 1000), 0), 60_000),
                "rate": 1,
            }
        return data, handles


Convert = Callable[[N8nCall], N8nPart | None]
"""Converts a node. None: it cannot be converted, and the report has the reason."""


def json_of(call: N8nCall, written: str) -> Any:
    """The JSON of a text in which expressions are values, with templates."""
    try:
        return call.expressions.value(json.loads(written.removeprefix("=")))
    except (ValueError, RecursionError):
        return None
