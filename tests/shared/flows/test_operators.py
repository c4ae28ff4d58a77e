"""Each operator on each pair of types, as one table."""

from typing import Any

import pytest

from filas.flows.expressions import rules

VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "number": 5,
    "digits": "5",
    "text": "abc",
    "empty": "",
    "list": [5, "abc"],
    "object": {"abc": 5},
}
EQUAL = {*((name, name) for name in VALUES), ("number", "digits"), ("digits", "number")}
PARTS = {
    *(("text", name) for name in ("text", "empty")),
    *((one, name) for one in ("number", "digits") for name in ("number", "digits", "empty")),
    *((one, one) for one in ("true", "empty")),
    ("true", "empty"),
}
INSIDE = PARTS | {("list", "number"), ("list", "digits"), ("list", "text"), ("object", "text")}
NUMBERS = {(one, other) for one in ("number", "digits") for other in ("number", "digits")}
LESS = {("empty", "text"), ("empty", "digits"), ("digits", "text")}
SAME = NUMBERS | {("text", "text"), ("empty", "empty")}
MORE = {(other, one) for one, other in LESS}
HOLDS: dict[str, set[tuple[str, str]]] = {
    "equals": EQUAL,
    "contains": INSIDE,
    "in": {(part, whole) for whole, part in INSIDE},
    "starts-with": PARTS,
    "ends-with": PARTS,
    "greater-than": MORE,
    "greater-or-equal": MORE | SAME,
    "less-than": LESS,
    "less-or-equal": LESS | SAME,
    "is-set": {(one, other) for one in VALUES for other in VALUES if one != "null"},
    "is-empty": {(one, other) for one in ("null", "empty") for other in VALUES},
    "matches": {
        *(("true", one) for one in ("empty",)),
        *((one, other) for one in ("number", "digits") for other in ("digits", "empty")),
        *(("text", other) for other in ("text", "empty")),
        *(("list", other) for other in ("digits", "text", "empty")),
        *(("object", other) for other in ("digits", "text", "empty")),
        ("empty", "empty"),
    },
}
ALL = {(one, other) for one in VALUES for other in VALUES}
HOLDS |= {f"not-{name}": ALL - HOLDS[name] for name in ("equals", "contains", "in")}


@pytest.mark.parametrize("operator", rules.OPERATORS)
def test_an_operator_is_true_for_exactly_these_pairs(operator: str) -> None:
    found = {(one, other) for one, other in ALL if rules.compare(operator, VALUES[one], VALUES[other])}
    assert found ^ HOLDS[operator] == set()
