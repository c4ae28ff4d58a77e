"""CEL: the scope and the results of expressions, the constructs that are refused, and the bounds on their work."""

import contextlib
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filas.flows.expressions import cel
from filas.flows.expressions.cel import MAX_WORK, ExpressionError, evaluate, problem, references
from tests.long_form import examples

ITEMS = [{"sku": "a", "price": 5, "qty": 2}, {"sku": "b", "price": 12.5, "qty": 1}]
SCOPE: dict[str, Any] = {
    "webhook": {"body": {"text": "Oi, tudo bem?", "n": 5, "f": 2.5, "on": True, "none": None, "items": ITEMS}},
    "vars": {"name": "Ana", "list": [1, 2, 3], "map": {"k": "v"}, "empty": "", "date": "2026-11-24T10:00:00Z"},
    "nodes": {"look-up": {"output": {"status": 200}, "error": None}},
    "conversation": {"text": "1", "vars": {}},
    "secrets": {"pin": "1234"},
    "execution": {"id": "x"},
}


@pytest.mark.parametrize(
    "text",
    [
        'vars.name == "Ana"',
        "vars.name != 'ana' && webhook.body.on",
        "webhook.body.n == 5 && webhook.body.n == 5.0 && webhook.body.n >= 4.5",
        "webhook.body.n + 1 == 6 && webhook.body.n % 2 == 1 && -webhook.body.n < 0",
        'webhook.body["text"].contains("tudo")',
        'webhook.body.text.startsWith("Oi") && webhook.body.text.endsWith("?")',
        r'webhook.body.text.matches("(?i)^oi\\b")',
        'matches(webhook.body.text, r"tudo\\s+bem")',
        "size(vars.list) == 3 && vars.name.size() == 3 && size(vars.map) == 1",
        '2 in vars.list && !(4 in vars.list) && "k" in vars.map',
        'vars.name in ["Ana", "Bia"]',
        "vars.list[0] == 1 && vars.map.k == 'v'",
        "vars.list.all(n, n > 0) && vars.list.exists(n, n == 3) && vars.list.exists_one(n, n == 2)",
        "vars.list.filter(n, n > 1).size() == 2",
        "webhook.body.items.map(i, i.price * double(i.qty))[0] == 10.0 || webhook.body.items.exists(i, i.sku == 'b')",
        "webhook.body.items.exists(i, i.price > 10 && i.sku in ['a', 'b'])",
        'nodes["look-up"].output.status == 200 && nodes.`look-up`.output.status in [200, 201]',
        'vars.name == "Ana" ? webhook.body.on : false',
        'timestamp(vars.date) < timestamp("2027-01-01T00:00:00Z")',
        'timestamp(vars.date).getHours() == 10 && duration("90m") > duration("1h")',
        "int(conversation.text) == 1 && string(webhook.body.n) == '5' && double('2.5') == webhook.body.f",
        "type(webhook.body.n) == int && bool('true')",
        'secrets.pin == "1234"',
        "webhook.body.none == null && webhook.body.missing == null && webhook.body.a.b.c == null && webhook.no == null",
        "has(webhook.body.n) && !has(webhook.body.missing) && has(webhook.body.none)",
        "!has(vars.age) || vars.age > 17",
        "1 / 0 == 1 || true // the other side decides",
        '"""a "quoted" text""" != r"\\d" && \'a\' == "a"',
        "vars.empty == ''",
        "loop.item == null && vars.loop == null",
    ],
)
def test_an_expression_is_true_and_its_negation_false(text: str) -> None:
    assert problem(text) is None
    assert evaluate(text, SCOPE) is True
    assert evaluate(f"!({text}\n)", SCOPE) is False


@pytest.mark.parametrize(
    "text",
    [
        "webhook.body.missing > 5",
        "webhook.body.none > 5",
        "webhook.body.missing.deeper > 5",
        "vars.list[9] == 1",
        'vars.map["no"] == 1 && vars[conversation.text] == 1',
        "!(webhook.body.missing > 5)",
        "vars.age.startsWith('1')",
        "vars.list.all(n, n > webhook.body.missing)",
        "vars.name.first == 'A'",
        "true && webhook.body.missing",
        "!webhook.body.missing",
        "webhook.body.missing",
        "webhook.body.none ? true : true",
        "webhook.body.missing.all(i, i > 1)",
        "1 in webhook.body.missing",
        "has(vars.age) && vars.age > 17",
    ],
)
def test_an_operation_on_a_missing_value_makes_the_condition_false(text: str) -> None:
    assert problem(text) is None
    assert evaluate(text, SCOPE) is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vars.name > 5", "cannot apply > to a text and a whole number"),
        ("vars.name", "is neither true nor false"),
        ("1 / 0 == 1", "cannot divide by 0"),
        ("vars.name.all(c, true)", "cannot be evaluated"),
        ("vars.name && true", "cannot be evaluated"),
        ("vars.name ? true : false", "cannot be evaluated"),
        ("int(vars.name) == 1", "cannot be evaluated"),
    ],
)
def test_an_operation_on_values_of_wrong_types_is_an_error(text: str, message: str) -> None:
    assert problem(text) is None
    scope = {**SCOPE, "webhook": {"body": {"huge": 2**70}}}
    with pytest.raises(ExpressionError) as raised:
        evaluate(text, scope)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid CEL expression"),
        ("vars.name ==", "line 1:"),
        ("vars.\n  name === 1", "line 2:"),
        ("name == 1", "unknown name or function 'name'"),
        ("loop.x ==", "line 1:10"),
        ("__class__ == 1", "unknown name or function"),
        ("vars.name.substring(1) == 'a'", "unknown name or function 'substring'"),
        ("vars.name.matches(vars.name)", "matches needs its pattern as a text"),
        ("vars.name.matches('a' + 'b')", "matches needs its pattern as a text"),
        ("matches(vars.name, vars.empty)", "matches needs its pattern as a text"),
        ("vars.name.matches('(')", "matches: invalid RE2 pattern"),
        ("vars.list.map(a, a + a).size() == 1", "could grow"),
        ("vars.list.map(a, [a, a]).size() == 1", "could grow"),
        ("vars.list.map(a, {'k': a}).size() == 1", "could grow"),
        ("[vars.list].map(a, a).size() == 1", "could grow"),
        ("vars.list" + ".filter(a, true)" * 5 + ".size() == 1", "has 5 macros"),
        ("(" * 200 + "true" + ")" * 200, "nested deeper than"),
        ("vars.name == '" + "x" * 5000 + "'", "longer than 4096"),
    ],
)
def test_an_invalid_or_unbounded_expression_is_refused_before_it_runs(text: str, message: str) -> None:
    found = problem(text)
    assert found is not None
    assert message in found


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("vars.a.b == 1", {("vars", "a", "b")}),
        ('nodes["x-y"].output[0].z == nodes.`x-y`', {("nodes", "x-y", "output", 0, "z"), ("nodes", "x-y")}),
        ("vars[conversation.text] == 1", {("vars", None), ("conversation", "text")}),
        ("'vars.a' == \"nodes.b\" // vars.c", set()),
        ("vars.a.startsWith(vars.b)", {("vars", "a"), ("vars", "b")}),
        ("vars.list.all(i, i.nodes == loop.item)", {("vars", "list"), ("loop", "item")}),
        ("has(webhook.body.x)", {("webhook", "body", "x")}),
        ('secrets[r"a\\b"] == "\\n"', {("secrets", "a\\b")}),
    ],
)
def test_the_paths_that_an_expression_looks_up(text: str, paths: set[tuple[Any, ...]]) -> None:
    assert set(references(text)) == paths


BIG = "x" * 1_000_000
BOMBS = {
    "copies of a large text": ("vars.list.all(n, vars.big == vars.big)", {"big": BIG, "list": list(range(9000))}),
    "a large text in nested rounds": (
        "vars.list.all(n, vars.list.all(m, n != m || vars.big != ''))",
        {"big": BIG[:50_000], "list": list(range(100))},
    ),
    "additions": (f"size({' + '.join(['vars.big'] * 20)}) + size({' + '.join(['vars.big'] * 20)}) > 1", {"big": BIG}),
    "copies of copies": (
        "vars.list.map(a, vars.list).map(b, vars.list).map(c, vars.list).map(d, vars.list).size() == 1",
        {"list": ["y" * 1000] * 200},
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_too_much_work_is_refused_before_it_begins(name: str) -> None:
    text, variables = BOMBS[name]
    assert problem(text) is None
    with pytest.raises(ExpressionError) as raised:
        evaluate(text, {"vars": variables})
    assert "too much work" in str(raised.value)


def test_the_rounds_of_all_macros_are_bounded() -> None:
    with pytest.raises(ExpressionError) as raised:
        evaluate("vars.l.all(a, vars.l.all(b, vars.l.all(c, true)))", {"vars": {"l": list(range(100))}})
    assert "teration" in str(raised.value)


def test_only_the_values_that_the_expression_names_count_as_work() -> None:
    """A large value that the expression does not name costs nothing."""
    assert evaluate("vars.n == 1", {"vars": {"n": 1, "big": "x" * (MAX_WORK + 1)}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
SIGNS = [
    ".",
    "[",
    "]",
    "(",
    ")",
    '"',
    "'",
    "==",
    "&&",
    "!",
    "`",
    "r'",
    "?",
    ":",
    "{",
    "}",
    "+",
    "-",
    "//",
    ",",
    "\\",
    '"""',
]
PIECES = st.sampled_from(
    [*SIGNS, "vars", "a", "b", "1", "in", "null", "é", "has(", ".all(x,", ".matches(", " ", "\n", "\x00"]
)


@settings(max_examples=examples(300), deadline=None)
@given(pieces=st.lists(PIECES, max_size=25), value=JSON)
def test_any_text_returns_a_boolean_or_raises_expression_error(pieces: list[str], value: Any) -> None:
    """No text and no values raise another exception."""
    text = "".join(pieces)
    if problem(text) is None:
        references(text)
        with contextlib.suppress(ExpressionError):
            assert evaluate(text, {"vars": {"a": value, "b": [value]}}) in (True, False)


@pytest.mark.starts_processes
def test_the_library_is_imported_by_the_first_expression() -> None:
    """A worker whose flows have no expressions does not load the 11 MiB of the library."""
    code = (
        "import sys, flow_runner.app, filas.flows.expressions.cel as e\n"
        "assert 'cel_expr_python' not in sys.modules\n"
        "assert e.evaluate('1 == 1', {})\n"
        "assert 'cel_expr_python' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_expression_is_compiled_once() -> None:
    evaluate("vars.n == 41", {"vars": {"n": 1}})
    before = cel._compiled.cache_info().misses
    evaluate("vars.n == 41", {"vars": {"n": 2}})
    assert cel._compiled.cache_info().misses == before
