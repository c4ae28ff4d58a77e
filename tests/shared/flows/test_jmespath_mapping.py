"""JMESPath: the values that expressions find, their errors, and the bounds on their work."""

import gc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filas.flows.expressions import jmespath_mapping
from tests.long_form import examples

ANSWER: dict[str, Any] = {"status": 200, "headers": {"x-id": "7"}, "body": {"items": [{"n": 1}, {"n": 2}], "s": "a"}}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("body.items[0].n", 1),
        ("body.items[*].n", [1, 2]),
        ("body.items[?n > `1`] | [0].n", 2),
        ('headers."x-id"', "7"),
        ("body.missing.deeper", None),
        ("length(body.items)", 2),
        ("join(', ', ['a', body.s])", "a, a"),
        ("to_string(body.items)", '[{"n":1},{"n":2}]'),
        ('{id: headers."x-id", first: body.items[0]}', {"id": "7", "first": {"n": 1}}),
    ],
)
def test_an_expression_finds_a_value(expression: str, value: Any) -> None:
    assert jmespath_mapping.problem(expression) is None
    assert jmespath_mapping.search(expression, ANSWER) == value


@pytest.mark.parametrize("expression", ["", "a[", "a.b.", "((((", "(" * 2000, "x" * 5000, "a ||"])
def test_an_invalid_expression_is_reported_before_it_runs(expression: str) -> None:
    assert jmespath_mapping.problem(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "[@,@]|" * 60 + "@",
        "[@,@][]|" * 60 + "@",
        "to_string(" + "[@,@]|" * 60 + "@)",
        "{a:@,b:@}|" * 60 + "@",
        "[@,@]|" * 40 + "[0] == [1]",
        "body.items[*].n | map(&[@,@], @) | " * 40 + "@",
        "nope(@)",
        "abs('a')",
        "sort_by(body.items, &@)",
    ],
)
def test_too_much_work_or_a_wrong_type_is_an_error(expression: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        jmespath_mapping.search(expression, ANSWER)


PARTS = ["body", "items", "s", ".", "[", "]", "*", "?", "@", "|", "&", "(", ")", "`1`", "'a'", "==", "{", "}", ":", ","]


@settings(max_examples=examples(200), deadline=None)
@given(
    expression=st.lists(st.sampled_from([*PARTS, "map", "join", "length", "\\", '"', "0", ">"]), max_size=16).map(
        "".join
    )
)
def test_any_text_finds_a_value_or_raises_value_error(expression: str) -> None:
    try:
        jmespath_mapping.search(expression, ANSWER)
    except ValueError:
        return
    assert jmespath_mapping.problem(expression) is None


@pytest.mark.parametrize(
    "expression", ["a.b[0]", "length(a.b)", "a.b[?@ > `1`]", "sort_by(a.c, &d)[].d", "{x: a.b, y: [a]}"]
)
def test_an_evaluation_leaves_no_garbage_for_the_collector(expression: str) -> None:
    """Collections are rare, so reference cycles would fill megabytes of a busy flow-runner."""
    value = {"a": {"b": [1, 2], "c": [{"d": 2}, {"d": 1}]}}
    found = jmespath_mapping.search(expression, value)
    gc.collect()
    gc.disable()
    try:
        assert jmespath_mapping.search(expression, value) == found
        assert gc.collect() == 0
    finally:
        gc.enable()
