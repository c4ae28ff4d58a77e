"""Whether rules or an expression hold: what `condition` and `switch` share."""

from typing import Any

from filas.flows.expressions import cel, rules
from filas.flows.nodes.condition import Test
from filas.flows.templates import template
from flow_runner.engine.node_protocol import NodeFailure, Visit


def holds(test: Test, visit: Visit, seen: dict[str, Any]) -> bool:
    """Looks at the rules in order until the result is known; `seen` tells a trace which. Raises NodeFailure."""
    if test.expression is not None:
        seen["expression"] = test.expression
        try:
            return cel.holds(test.expression, visit.scope.roots)
        except ValueError as error:
            raise NodeFailure("expression", str(error)) from None
    decisive = test.logic == "or"
    looked_at = seen.setdefault("rules", [])
    seen["logic"] = test.logic
    for rule in test.rules or ():
        left = template.evaluate_or_null(rule.variable, visit.scope.roots)
        right = template.evaluate_or_null(rule.value, visit.scope.roots)
        try:
            result = rules.holds(rule.operator, left, right)
        except ValueError as error:
            raise NodeFailure("rule", str(error)) from None
        looked_at.append({"variable": left, "operator": rule.operator, "value": right, "holds": result})
        if result is decisive:
            return decisive
    return not decisive
