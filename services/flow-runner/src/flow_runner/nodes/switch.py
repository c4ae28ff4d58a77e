"""Runs `switch`."""

from typing import Any

from filas.flows.nodes.switch import DEFAULT, SwitchData
from flow_runner.engine.node_protocol import Done, Visit
from flow_runner.nodes.condition import evaluate_condition


async def run(visit: Visit) -> Done:
    """The trace shows the cases that were evaluated. The last of them is the one that holds, if any does."""
    data: SwitchData = visit.data
    cases: list[dict[str, Any]] = []
    visit.input = {"cases": cases}
    for index, case in enumerate(data.cases):
        shown: dict[str, Any] = {"id": case.id}
        cases.append(shown)
        if evaluate_condition(case, visit, shown, f"cases[{index}]."):
            return Done({"case": case.id}, case.id)
    return Done({"case": DEFAULT}, DEFAULT)
