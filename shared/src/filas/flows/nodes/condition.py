"""`condition`: rules that are true or false."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import Meta

from filas.flows import rules as rule_language
from filas.flows.nodes.node_data import NodeData, Part
from filas.flows.problems import Add


class Rule(Part, frozen=True, kw_only=True):
    """`variable` (a template) compared by `operator` with `value` (JSON with templates)."""

    variable: str
    operator: str
    value: Any = None


class ConditionData(NodeData, frozen=True, kw_only=True):
    """True when all (`and`) or any (`or`) of the rules are."""

    logic: Literal["and", "or"] = "and"
    rules: Annotated[list[Rule], Meta(max_length=100)] | None = None
    expression: str | None = None

    def ways_out(self) -> tuple[str, ...]:
        return ("true", "false")

    def templates(self) -> Iterable[tuple[str, object]]:
        for index, rule in enumerate(self.rules or ()):
            yield f"rules[{index}].variable", rule.variable
            yield f"rules[{index}].value", rule.value

    def check(self, add: Add) -> None:
        if self.expression is not None:
            add("expression", "expressions are not supported by this version; use rules")
        elif not self.rules:
            add("rules", "a condition needs at least one rule")
        for index, rule in enumerate(self.rules or ()):
            if "{{" not in rule.variable:
                add(f"rules[{index}].variable", "names no variable; write it as {{ vars.name }}")
            for field, message in rule_language.problems(rule.operator, rule.value):
                add(f"rules[{index}].{field}", message)
