"""Runs `set-variable`."""

from typing import Any

from filas.flows.nodes.set_variable import SetVariableData
from filas.flows.templates.json_text import render_nested
from flow_runner.engine.node_protocol import Done, NodeFailure, Visit


async def run(visit: Visit) -> Done:
    data: SetVariableData = visit.data
    assigned: list[dict[str, Any]] = []
    visit.input = {"assignments": assigned}
    for index, entry in enumerate(data.assignments):
        value = render_nested(entry.value, visit.scope.roots)
        try:
            visit.assign(entry.variable, value)
        except ValueError as error:
            raise NodeFailure("variable", f"assignments[{index}].value: {error}") from None
        assigned.append({"variable": entry.variable, "value": visit.scope.vars[entry.variable]})
    return Done({entry["variable"]: entry["value"] for entry in assigned})
