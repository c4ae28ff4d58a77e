"""Runs `switch`."""

from typing import Any

from filas.flows.nodes.switch import DEFAULT, SwitchData
from flow_runner.engine.node_protocol import Done, NodeRunner, Visit
from flow_runner.nodes.rule_evaluation import holds


async def _run(visit: Visit) -> Done:
    """The trace shows the cases that were looked at, the last of them the one that held."""
    data: SwitchData = visit.data
    cases: list[dict[str, Any]] = []
    visit.input = {"cases": cases}
    for case in data.cases:
        seen: dict[str, Any] = {"id": case.id}
        cases.append(seen)
        if holds(case, visit, seen):
            return Done({"case": case.id}, case.id)
    return Done({"case": DEFAULT}, DEFAULT)


RUNNER = NodeRunner(_run)
