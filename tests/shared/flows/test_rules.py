"""Every operator on every type: a missing operand is null, and no pair of values is an error."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.flows.expressions import rules
from tests.reference.operators import EXAMPLES

YES: list[tuple[str, Any, Any]] = [
    ("equals", "oi", "oi"),
    ("equals", 5, "5"),
    ("equals", "5.0", 5),
    ("equals", True, "true"),
    ("equals", None, None),
    ("equals", {"a": [1]}, {"a": [1]}),
    ("not-equals", None, ""),
    ("not-equals", True, 1),
    ("not-equals", "a", "b"),
    ("contains", "olá mundo", "mundo"),
    ("contains", "pedido 42", 42),
    ("contains", [1, "2"], 2),
    ("contains", {"a": None}, "a"),
    ("not-contains", None, "a"),
    ("not-contains", "abc", None),
    ("starts-with", "menu 1", "menu"),
    ("starts-with", 42, 4),
    ("ends-with", "a.pdf", ".pdf"),
    ("greater-than", 10, 9),
    ("greater-than", "10", "9"),
    ("greater-than", "b", "a"),
    ("greater-or-equal", 1, 1.0),
    ("less-than", "2026-01-01", "2026-01-02"),
    ("less-or-equal", "3", 3),
    ("is-set", 0, None),
    ("is-set", "", None),
    ("is-empty", None, None),
    ("is-empty", "", None),
    ("is-empty", [], None),
    ("is-empty", {}, None),
    ("matches", "CPF 123.456.789-00", r"\d{3}\.\d{3}"),
    ("matches", 42, "^42$"),
    ("in", "a", ["a", "b"]),
    ("in", 2, ["2"]),
    ("in", "b", "abc"),
    ("not-in", "c", ["a"]),
    ("not-in", "c", None),
]
NO: list[tuple[str, Any, Any]] = [
    ("equals", 1, True),
    ("equals", "", None),
    ("equals", [1], "[1]"),
    ("contains", None, None),
    ("contains", {"a": 1}, 1),
    ("starts-with", None, "a"),
    ("ends-with", ["a"], "a"),
    ("greater-than", None, 1),
    ("greater-than", 1, None),
    ("greater-than", "a", 1),
    ("less-than", [], {}),
    ("less-than", True, 2),
    ("is-set", None, None),
    ("is-empty", 0, None),
    ("is-empty", False, None),
    ("matches", None, "a"),
    ("matches", "a", None),
    ("in", "a", None),
    ("not-in", "a", "abc"),
]


@pytest.mark.parametrize(("operator", "left", "right"), YES)
def test_a_rule_is_true(operator: str, left: Any, right: Any) -> None:
    assert rules.compare(operator, left, right) is True


@pytest.mark.parametrize(("operator", "left", "right"), NO)
def test_a_rule_is_false(operator: str, left: Any, right: Any) -> None:
    assert rules.compare(operator, left, right) is False


def test_every_operator_is_in_the_tables() -> None:
    assert {row[0] for row in YES} == set(rules.OPERATORS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(operator=st.sampled_from([name for name in rules.OPERATORS if name != "matches"]), left=JSON, right=JSON)
def test_no_pair_of_values_is_an_error(operator: str, left: Any, right: Any) -> None:
    assert rules.compare(operator, left, right) in (True, False)


@given(pattern=st.text(max_size=40), text=JSON)
def test_a_pattern_that_passes_the_checks_never_fails_in_a_run(pattern: str, text: Any) -> None:
    """Whatever the text is, an accepted pattern returns true or false."""
    if not list(rules.problems("matches", pattern)) and "{{" not in pattern:
        assert rules.compare("matches", text, pattern) in (True, False)


@pytest.mark.parametrize(
    ("operator", "value", "field"),
    [("like", "a", "operator"), ("is-set", 1, "value"), ("matches", None, "value"), ("matches", "a(", "value")],
)
def test_an_invalid_rule_is_reported_with_its_field(operator: str, value: Any, field: str) -> None:
    assert [problem[0] for problem in rules.problems(operator, value)] == [field]


def test_a_pattern_for_which_backtracking_takes_exponential_time() -> None:
    """RE2 takes time in proportion to the length of the text."""
    assert rules.compare("matches", "a" * 50_000 + "b", "^(a+)+$") is False


@pytest.mark.parametrize("operator", rules.OPERATORS)
def test_the_examples_of_the_reference(operator: str) -> None:
    """A new operator needs an entry in tests/reference/operators.py."""
    shown = EXAMPLES[operator]
    assert [rules.compare(operator, *pair) for pair in (shown.true, shown.false)] == [True, False]
    assert list(rules.problems(operator, shown.true[1])) == []


def test_every_example_of_the_reference_belongs_to_an_operator() -> None:
    assert EXAMPLES.keys() == rules.OPERATORS.keys()
