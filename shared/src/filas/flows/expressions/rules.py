"""The operators of a rule. A missing operand is null, and no pair of values is an error.

| operator                          | true if                                                                    |
|-----------------------------------|----------------------------------------------------------------------------|
| equals, not-equals                | the same JSON; a number and a boolean equal their text (`5` and `"5"`)     |
| contains, not-contains            | a text has the part, a list the item, an object the key                    |
| starts-with, ends-with            | as texts                                                                   |
| greater-than, greater-or-equal,   | numbers and texts that are numbers by value, other texts by their order;   |
| less-than, less-or-equal          | never with null                                                            |
| is-set                            | not null                                                                   |
| is-empty                          | null, an empty text, list or object                                        |
| matches                           | the RE2 pattern is found in the text                                       |
| in, not-in                        | as contains and not-contains, with the operands exchanged                  |
"""

from collections.abc import Callable, Iterator
from typing import Any

from filas.flows import regular_expressions, step_budget
from filas.flows.templates.template import as_text


def _equals(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return _boolean(left) == _boolean(right) and _boolean(left) is not None
    if isinstance(left, (int, float)) or isinstance(right, (int, float)):
        numbers = _number(left), _number(right)
        return None not in numbers and numbers[0] == numbers[1]
    if isinstance(left, (list, dict)) and isinstance(right, (list, dict)):
        step_budget.charge(1 + step_budget.measure(left, step_budget.current().left * 64).size // 64)
    return bool(left == right)


def _contains(left: Any, right: Any) -> bool:
    if isinstance(left, list):
        step_budget.charge(len(left) // 2)
        return any(_equals(item, right) for item in left)
    if isinstance(left, dict):
        return isinstance(right, str) and right in left
    if left is None or right is None or isinstance(right, (list, dict)):
        return False
    part, text = as_text(right), as_text(left)
    step_budget.charge(len(text) // 512)
    return part in text


def _edge(method: str) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        if left is None or right is None or isinstance(left, (list, dict)) or isinstance(right, (list, dict)):
            return False
        return bool(getattr(as_text(left), method)(as_text(right)))

    return compare


def _ordered(decide: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        numbers = _number(left), _number(right)
        if None not in numbers:
            return decide(*numbers)
        return isinstance(left, str) and isinstance(right, str) and decide(left, right)

    return compare


def _matches(left: Any, right: Any) -> bool:
    if left is None or not isinstance(right, str):
        return False
    return regular_expressions.search(right, as_text(left))


def _is_empty(left: Any, _: Any) -> bool:
    return left is None or (isinstance(left, (str, list, dict)) and not left)


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "equals": _equals,
    "not-equals": lambda left, right: not _equals(left, right),
    "contains": _contains,
    "not-contains": lambda left, right: not _contains(left, right),
    "starts-with": _edge("startswith"),
    "ends-with": _edge("endswith"),
    "greater-than": _ordered(lambda left, right: left > right),
    "greater-or-equal": _ordered(lambda left, right: left >= right),
    "less-than": _ordered(lambda left, right: left < right),
    "less-or-equal": _ordered(lambda left, right: left <= right),
    "is-set": lambda left, _: left is not None,
    "is-empty": _is_empty,
    "matches": _matches,
    "in": lambda left, right: _contains(right, left),
    "not-in": lambda left, right: not _contains(right, left),
}
WITHOUT_VALUE = frozenset({"is-set", "is-empty"})
ESCAPES: dict[str, Callable[[str], str]] = {"matches": regular_expressions.escaped}
"""By operator, what is applied to a value that a template inserts into the right operand."""


def compare(operator: str, left: Any, right: Any) -> bool:
    """Evaluates the rule. Raises ValueError for an unknown operator or an invalid pattern, and if the step budget is
    used up."""
    operation = OPERATORS.get(operator)
    if operation is None:
        raise ValueError(f"unknown operator {operator!r}")
    return operation(left, right)


def problems(operator: str, value: Any) -> Iterator[tuple[str, str]]:
    """The errors of a rule that are known before it runs, each with its field."""
    if operator not in OPERATORS:
        yield "operator", f"unknown operator {operator[:64]!r}; known are {', '.join(OPERATORS)}"
    elif operator in WITHOUT_VALUE and value is not None:
        yield "value", f"{operator} takes no value"
    elif operator == "matches":
        if not isinstance(value, str):
            yield "value", "matches needs an RE2 pattern, written as a text"
        elif "{{" not in value and (problem := regular_expressions.problem(value)):
            yield "value", problem


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, str) and len(value) <= 400:
        try:
            return int(value) if value.strip().lstrip("+-").isdigit() else float(value)
        except ValueError:
            return None
    return None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None
