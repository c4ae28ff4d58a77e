"""Conditions: a CEL expression or a rule is true or false, or has one documented error, within its bounds.

Input: the CEL expression in the first line; `operator`, `left` and `right` of a rule, and `body`, in a JSON document.
"""

from typing import Any

from filas.contract import bounded_json
from filas.decoding.json_body import decode_json
from filas.flows import regular_expressions, step_budget
from filas.flows.expressions import cel, rules
from filas.flows.root_names import FILTER_ROOTS
from filas.flows.written_numbers import read_number
from tests.fuzz.target import unicode_of

WORDS = (
    "body", "body.a", "body['a']", "headers", "message.text", "queryParams", "has(", ".all(x, ", ".exists(x, ",
    "size(", ".map(x, ", ".filter(x, ", ".matches('", ".startsWith('", ".contains('",
    "timestamp('2026-01-01T00:00:00Z')", "now", "duration('1h')", " && ", " || ", " in ", " ? ", " : ", "==", "!=",
    ">=", "null", "true", "1u", "1.5", "0x1F", "'''", 'r"', 'b"', "[1,2]", "{'a': 1}", "int(", "double(", "string(",
    ".getHours('America/Sao_Paulo')", "//", "loop", "!", "equals", "contains", "matches", "greater-than", "in",
    "starts-with", "is-set", "(a|b)+$", "\\p{L}", "1.234,5", "`a`",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """An expression without a problem evaluates, or fails with ExpressionError."""
    line, _, rest = data.partition(b"\n")
    try:
        document, _ = decode_json(rest)
    except bounded_json.InvalidJson:
        document = None
    values: dict[str, Any] = document if isinstance(document, dict) else {}
    scope: dict[str, Any] = {
        "body": values.get("body"),
        "headers": {},
        "queryParams": {},
        "message": values.get("message"),
    }
    text = unicode_of(line)
    _check_expression(text, scope)
    _check_rule(values)
    _check_pattern(text)


def _check_expression(text: str, scope: dict[str, Any]) -> None:
    problem = cel.problem(text, FILTER_ROOTS)
    assert problem is None or 0 < len(problem) < 1000
    cel.references(text, FILTER_ROOTS)
    try:
        with step_budget.shared_budget():
            found = cel.evaluate(text, scope, FILTER_ROOTS)
    except cel.ExpressionError as error:
        assert len(str(error)) < 2000
        return
    assert found is True or found is False
    with step_budget.shared_budget():
        assert cel.evaluate(text, scope, FILTER_ROOTS) == found or "now" in text


def _check_rule(values: dict[str, Any]) -> None:
    operator, left, right = values.get("operator"), values.get("left"), values.get("right")
    if not isinstance(operator, str):
        return
    list(rules.problems(operator, right, "pt-BR"))
    for exact in (False, True):
        try:
            with step_budget.shared_budget():
                found = rules.compare(operator, left, right, exact=exact, locale="pt-BR")
        except ValueError as error:
            assert len(str(error)) < 1000
            continue
        assert found is True or found is False
    for text in (left, right):
        if isinstance(text, str):
            read_number(text, "en")
            read_number(text, "pt-BR")


def _check_pattern(pattern: str) -> None:
    """A text that is escaped matches itself. A pattern without a problem can be searched."""
    if regular_expressions.problem(pattern) is None:
        try:
            with step_budget.shared_budget():
                regular_expressions.search(pattern, pattern)
                regular_expressions.replace(pattern, "[$1\\1]", pattern)
        except ValueError:
            pass
    escaped = regular_expressions.escaped(pattern)
    if regular_expressions.problem(escaped) is None:
        try:
            with step_budget.shared_budget():
                assert regular_expressions.search(escaped, pattern)
        except ValueError:
            pass
