"""Typebot's comparisons, as rules."""

from typing import Any, Final

from filas.flows.imports.foreign_fields import Json, number, objects, text
from filas.flows.imports.import_report import BlockReport
from filas.flows.imports.pattern_rules import MAX_RULES, NEVER, matching
from filas.flows.imports.typebot.typebot_scope import TypebotScope

_OPERATORS: Final = {
    "Equal to": "equals",
    "Not equal": "not-equals",
    "Contains": "contains",
    "Does not contain": "not-contains",
    "Greater than": "greater-than",
    "Less than": "less-than",
    "Greater or equal to": "greater-or-equal",
    "Less or equal to": "less-or-equal",
    "Starts with": "starts-with",
    "Ends with": "ends-with",
}
_EXACT: Final = frozenset({"equals", "not-equals"})
_ORDERED: Final = frozenset({"greater-than", "less-than", "greater-or-equal", "less-or-equal"})


def test_of(content: Json, scope: TypebotScope, report: BlockReport) -> dict[str, Any]:
    """The `logic` and the `rules` of a condition, which has at least one rule."""
    logic = "or" if text(content.get("logicalOperator")) == "OR" else "and"
    rules = [_rule(one, scope, report) for one in objects(content.get("comparisons"))[:MAX_RULES]]
    return {"logic": logic, "rules": rules or [NEVER]}


def _rule(comparison: dict[str, Any], scope: TypebotScope, report: BlockReport) -> dict[str, Any]:
    variable = scope.variable(comparison.get("variableId"))
    operator = text(comparison.get("comparisonOperator"))
    value = scope.template(comparison.get("value"), report)
    rule: dict[str, Any] | None = None
    if variable is not None:
        name = f"vars.{variable}"
        if operator in _OPERATORS:
            rule = _compared(name, _OPERATORS[operator], value)
        elif operator == "Is set":
            rule = {"variable": f"{{{{ {name} | default: '' }}}}", "operator": "not-equals", "value": ""}
        elif operator == "Is empty":
            rule = {"variable": f"{{{{ {name} }}}}", "operator": "is-empty"}
        elif operator in ("Matches regex", "Does not match regex"):
            rule = matching(f"{name}", text(comparison.get("value")), is_wanted=operator == "Matches regex")
    if rule is None:
        report.add("rule-dropped", comparison=f"{variable or '?'} {operator or '?'} {text(comparison.get('value'))}")
    return rule or NEVER


def _compared(name: str, operator: str, value: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"variable": f"{{{{ {name} }}}}", "operator": operator, "value": value}
    if operator in _EXACT:
        rule["exact"] = True
    if operator in _ORDERED and (found := number(value)) is not None:
        rule["value"] = found
    return rule
