"""The comparisons of IF, Filter and Switch, as rules."""

import re
from typing import Any, Final

from filas.flows.imports.foreign_fields import mapping, number, objects, text
from filas.flows.imports.n8n.n8n_expressions import N8nExpressions
from filas.flows.imports.pattern_rules import MAX_RULES, NEVER, matching

Rule = dict[str, Any]

_SAME: Final = {
    "equal": "equals",
    "equals": "equals",
    "notEqual": "not-equals",
    "notEquals": "not-equals",
    "contains": "contains",
    "notContains": "not-contains",
    "startsWith": "starts-with",
    "endsWith": "ends-with",
    "larger": "greater-than",
    "largerEqual": "greater-or-equal",
    "smaller": "less-than",
    "smallerEqual": "less-or-equal",
    "gt": "greater-than",
    "gte": "greater-or-equal",
    "lt": "less-than",
    "lte": "less-or-equal",
    "after": "greater-than",
    "afterOrEquals": "greater-or-equal",
    "before": "less-than",
    "beforeOrEquals": "less-or-equal",
}
_SIZES: Final = {
    "lengthEquals": "equals",
    "lengthNotEquals": "not-equals",
    "lengthGt": "greater-than",
    "lengthLt": "less-than",
    "lengthGte": "greater-or-equal",
    "lengthLte": "less-or-equal",
}
_STATES: Final[dict[str, Rule]] = {
    "exists": {"operator": "is-set"},
    "notExists": {"operator": "is-empty"},
    "isEmpty": {"operator": "is-empty"},
    "empty": {"operator": "is-empty"},
    "true": {"operator": "equals", "value": True},
    "false": {"operator": "equals", "value": False},
}
_ANCHORED: Final = {"notStartsWith": "^{}", "notEndsWith": "{}$"}


def test_of(parameters: object, expressions: N8nExpressions) -> dict[str, Any]:
    """The `logic` and the `rules` of the parameter `conditions`, in the old or the new form."""
    conditions = mapping(parameters)
    if isinstance(conditions.get("conditions"), list):
        is_exact = mapping(conditions.get("options")).get("caseSensitive") is not False
        rules = [_new_rule(one, is_exact, expressions) for one in objects(conditions["conditions"])[:MAX_RULES]]
        logic = "or" if conditions.get("combinator") == "or" else "and"
        return {"logic": logic, "rules": rules or [NEVER]}
    rules = []
    for kind, listed in conditions.items():
        for one in objects(listed)[:MAX_RULES]:
            operation = text(one.get("operation")) or ("smaller" if kind == "number" else "equal")
            if kind == "dateTime" and not one.get("operation"):
                operation = "after"
            rules.append(rule_of(one.get("value1"), operation, one.get("value2"), expressions))
    return {"logic": "and", "rules": rules[:MAX_RULES] or [NEVER]}


def _new_rule(condition: dict[str, Any], is_exact: bool, expressions: N8nExpressions) -> Rule:
    operator = mapping(condition.get("operator"))
    operation, kind = text(operator.get("operation")) or "equals", text(operator.get("type"))
    return rule_of(
        condition.get("leftValue"),
        operation,
        condition.get("rightValue"),
        expressions,
        exact=is_exact and kind in ("", "string"),
    )


def rule_of(left: object, operation: str, right: object, expressions: N8nExpressions, *, exact: bool = True) -> Rule:
    """One rule. A comparison that cannot be expressed is never true, and is reported."""
    variable = expressions.template(left)
    if "{{" not in variable:
        variable = f"{{{{ '' }}}}{variable}"
    found = _rule(variable, operation, right, expressions, exact)
    if found is None:
        expressions.report.add("rule-dropped", comparison=f"{text(left)} {operation} {text(right)}")
    return found or NEVER


def _rule(variable: str, operation: str, right: object, expressions: N8nExpressions, exact: bool) -> Rule | None:
    if operation in _SAME:
        operator = _SAME[operation]
        rule: Rule = {"variable": variable, "operator": operator, "value": _right(right, expressions)}
        if exact and operator in ("equals", "not-equals") and isinstance(rule["value"], str):
            rule["exact"] = True
        return rule
    if operation in _STATES:
        return {"variable": variable, **_STATES[operation]}
    inner = variable[2:-2].strip() if re.fullmatch(r"\{\{[^{}]*\}\}", variable) else None
    return _of_expression(inner, operation, right, expressions) if inner else None


def _of_expression(inner: str, operation: str, right: object, expressions: N8nExpressions) -> Rule | None:
    """A rule whose left operand is one expression, to which filters can be added."""
    if operation in _SIZES:
        value = _right(right, expressions)
        return {"variable": f"{{{{ {inner} | size }}}}", "operator": _SIZES[operation], "value": value}
    if operation in ("isNotEmpty", "notEmpty"):
        return {"variable": f"{{{{ {inner} | default: '' }}}}", "operator": "not-equals", "value": ""}
    written = text(right).removeprefix("=")
    if operation in ("regex", "notRegex"):
        return matching(inner, written, is_wanted=operation == "regex")
    if operation in _ANCHORED and "{{" not in written:
        return matching(inner, _ANCHORED[operation].format(re.escape(written)), is_wanted=False)
    return None


def _right(value: object, expressions: N8nExpressions) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number(value)
    if value is None or isinstance(value, (bool, list)):
        return expressions.value(value)
    return expressions.template(value)
