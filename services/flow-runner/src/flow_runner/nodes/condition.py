"""Runs `condition`, and evaluates rules and expressions for `switch` too."""

from typing import Any

from filas.flows.expressions import cel, rules
from filas.flows.found_values import MAX_CHARS, described
from filas.flows.nodes.condition import Test
from filas.flows.templates import template
from flow_runner.engine.node_protocol import Done, NodeFailure, Visit


async def run(visit: Visit) -> Done:
    visit.input = {}
    result = evaluate_condition(visit.data, visit, visit.input)
    return Done({"result": result}, "true" if result else "false")


def evaluate_condition(test: Test, visit: Visit, shown: dict[str, Any], prefix: str = "") -> bool:
    """Whether the expression or the rules hold. Evaluates the rules in order until the result is known, and adds what
    it evaluated to `shown`, for the trace. Raises NodeFailure, which names the field after `prefix`."""
    if test.expression is not None:
        shown["expression"] = test.expression
        try:
            return cel.evaluate(test.expression, visit.scope.roots)
        except ValueError as error:
            raise NodeFailure("expression", f"{prefix}expression: {error} (in {_begin(test.expression)})") from None
    decisive = test.logic == "or"
    evaluated = shown.setdefault("rules", [])
    shown["logic"] = test.logic
    for index, rule in enumerate(test.rules or ()):
        left = template.evaluate_or_null(rule.variable, visit.scope.roots)
        right = template.evaluate_or_null(rule.value, visit.scope.roots, rules.ESCAPES.get(rule.operator))
        try:
            result = rules.compare(rule.operator, left, right, exact=rule.exact, locale=rule.locale)
        except ValueError as error:
            found = f"the variable is {described(left)}, the value {described(right)}"
            raise NodeFailure("rule", f"{prefix}rules[{index}]: {rule.operator}: {error} ({found})") from None
        evaluated.append({"variable": left, "operator": rule.operator, "value": right, "holds": result})
        if result is decisive:
            return decisive
    return not decisive


def _begin(expression: str) -> str:
    text = " ".join(expression.split())
    return f"{text[:MAX_CHARS]}…" if len(text) > MAX_CHARS else text
