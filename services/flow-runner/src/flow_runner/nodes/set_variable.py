"""Runs `set-variable`."""

from typing import Any

from filas.flows.nodes.set_variable import SetVariableData
from filas.flows.templates import template
from flow_runner.engine.node_protocol import Done, NodeFailure, NodeRunner, Visit


async def _run(visit: Visit) -> Done:
    data: SetVariableData = visit.data
    seen: list[dict[str, Any]] = []
    visit.input = {"assignments": seen}
    for entry in data.assignments:
        value = template.render(entry.value, visit.scope.roots)
        try:
            visit.scope.assign(entry.variable, value)
        except ValueError as error:
            raise NodeFailure("variable", str(error)) from None
        seen.append({"variable": entry.variable, "value": visit.scope.vars[entry.variable]})
    return Done({entry["variable"]: entry["value"] for entry in seen})


RUNNER = NodeRunner(_run)
