"""`condition`: rules or an expression, true or false."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, Protocol

from msgspec import Meta

from filas.flows import value_limits
from filas.flows.expressions import cel
from filas.flows.expressions import rules as rule_language
from filas.flows.nodes.node_data import NodeData, Part
from filas.flows.problems import Add
from filas.flows.root_names import ROOTS


class Comparison(Protocol):
    """One rule."""

    @property
    def variable(self) -> str: ...

    @property
    def operator(self) -> str: ...

    @property
    def value(self) -> Any: ...

    @property
    def exact(self) -> bool: ...

    @property
    def locale(self) -> str | None: ...


class Rule(Part, frozen=True, kw_only=True):
    """`variable` (a template) compared by `operator` with `value` (JSON with templates). `exact`: texts are compared
    with case, accents and surrounding space. `locale`: how numbers in texts are written (None: the flow's)."""

    variable: str
    operator: Annotated[str, Meta(extra_json_schema={"enum": list(rule_language.OPERATORS)})]
    value: Any = None
    exact: bool = False
    locale: Annotated[str, Meta(min_length=2, max_length=64)] | None = None


class Test(Protocol):
    """The test of a condition, of each case of a switch, and of a webhook's filter: rules joined by `logic`, or an
    expression."""

    @property
    def logic(self) -> Literal["and", "or"]: ...

    @property
    def rules(self) -> Sequence[Comparison] | None: ...

    @property
    def expression(self) -> str | None: ...


Rules = Annotated[list[Rule], Meta(max_length=100)]
Expression = Annotated[str, Meta(max_length=value_limits.MAX_EXPRESSION_CHARS)]


class ConditionData(NodeData, frozen=True, kw_only=True):
    """True if all (`and`) or any (`or`) of the rules match, or if the CEL expression is true."""

    logic: Literal["and", "or"] = "and"
    rules: Rules | None = None
    expression: Expression | None = None

    def handles(self) -> tuple[str, ...]:
        return ("true", "false")

    def templates(self) -> Iterable[tuple[str, object]]:
        return templates_of(self)

    def expressions(self) -> Iterable[tuple[str, str]]:
        if self.expression is not None:
            yield "expression", self.expression

    def check(self, add: Add) -> None:
        check_test(self, add)


def templates_of(test: Test, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Each field of the rules that has templates. Its name begins with `prefix`."""
    for index, rule in enumerate(test.rules or ()):
        yield f"{prefix}rules[{index}].variable", rule.variable
        yield f"{prefix}rules[{index}].value", rule.value


def check_test(test: Test, add: Add, prefix: str = "", roots: tuple[str, ...] = ROOTS) -> None:
    """Reports the errors of rules or an expression. Each field's name begins with `prefix`. `roots` are the first names
    of paths in an expression."""
    if test.expression is not None:
        if test.rules is not None:
            add(f"{prefix}expression", "is not allowed together with rules")
        problem = cel.problem(test.expression, roots)
        if problem:
            add(f"{prefix}expression", problem)
    elif not test.rules:
        add(f"{prefix}rules", "needs at least one rule, or an expression instead")
    for index, rule in enumerate(test.rules or ()):
        if "{{" not in rule.variable:
            add(f"{prefix}rules[{index}].variable", "names no variable: write {{ vars.name }}")
        for field, message in rule_language.problems(rule.operator, rule.value, rule.locale):
            add(f"{prefix}rules[{index}].{field}", message)
