"""Runs `condition`."""

from typing import Any

from filas.flows import rules, templates
from filas.flows.nodes.condition import ConditionData
from flow_runner.nodes.visit import Done, NodeFailure, NodeRunner, Visit


async def _run(visit: Visit) -> Done:
    """The rules are looked at in order until the result is known; the trace shows those."""
    data: ConditionData = visit.data
    decisive = data.logic == "or"
    seen: list[dict[str, Any]] = []
    visit.input = {"logic": data.logic, "rules": seen}
    result = not decisive
    for rule in data.rules or ():
        left = templates.evaluate_or_null(rule.variable, visit.scope.roots)
        right = templates.evaluate_or_null(rule.value, visit.scope.roots)
        try:
            holds = rules.holds(rule.operator, left, right)
        except ValueError as error:
            raise NodeFailure("rule", str(error)) from None
        seen.append({"variable": left, "operator": rule.operator, "value": right, "holds": holds})
        if holds is decisive:
            result = decisive
            break
    return Done({"result": result}, "true" if result else "false")


RUNNER = NodeRunner(_run)
