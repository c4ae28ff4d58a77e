"""CEL on JSON: numbers with and without a decimal part are alike, and the present time and simple texts can be used."""

import itertools
import math
import operator
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from filas.flows.author_settings import AuthorSettings, applied
from filas.flows.expressions import cel

NOW = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)


def _scope(**body: Any) -> dict[str, Any]:
    return {"webhook": {"body": body}, "vars": {}}


def _holds(expression: str, /, **body: Any) -> bool:
    with applied(AuthorSettings(now=NOW)):
        return cel.evaluate(expression, _scope(**body))


@pytest.mark.parametrize("total", [10, 10.0, 10.5])
@pytest.mark.parametrize(
    "text",
    [
        "webhook.body.total * 2 > 15",
        "2 * webhook.body.total > 15",
        "webhook.body.total + 1 > 10",
        "webhook.body.total - 0.5 >= 9.5",
        "webhook.body.total / 4 >= 2.5",
        "webhook.body.total / 4.0 >= 2.5",
        "webhook.body.total % 3 >= 1",
        "webhook.body.total > 9 && webhook.body.total < 11.5",
        "webhook.body.total >= 10.0",
        "-webhook.body.total < 0",
        "webhook.body.total in [10, 10.5]",
        "[1, 2].exists(x, x * webhook.body.total > 15)",
        "size(webhook.body.items) * webhook.body.total > 15",
        "size(webhook.body.items) > 1.5",
        "webhook.body.items.all(i, i * 1.5 > 1)",
        "(webhook.body.total > 5 ? 1 : 2.5) == 1",
    ],
)
def test_a_whole_number_and_a_decimal_are_alike(text: str, total: float) -> None:
    assert cel.problem(text) is None
    assert _holds(text, total=total, items=[1, 2.5]) is True


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("1 == 1.0", True),
        ("1 < 1.5", True),
        ("10 / 4 == 2", True),
        ("webhook.body.n / 2 == 3.5", True),
        ("webhook.body.huge > 1", True),
        ("webhook.body.huge == 1", False),
        ("webhook.body.large * 4 > 1", True),
        ("string(webhook.body.n) == '7'", True),
        ("webhook.body.list[webhook.body.zero] == 5", True),
        ("webhook.body.text.trim() == 'Oi'", True),
        ("webhook.body.text.trim().lowerAscii() == 'oi'", True),
        ("'ação'.upperAscii() == 'AçãO'", True),
        ("webhook.body.none.trim() == 'x'", False),
        ("webhook.body.missing.lowerAscii() == 'x'", False),
        ("webhook.body.missing * 2 > 1", False),
        ("timestamp(webhook.body.due) < now", True),
        ("timestamp(webhook.body.seconds) < now", True),
        ("timestamp(webhook.body.fraction) < now", True),
        ("now < timestamp('2026-11-27T12:30:00Z')", False),
        ("now == timestamp('2026-11-27T12:30:00Z')", True),
        ("now - duration('1h') < now", True),
        ("now.getHours('America/Sao_Paulo') == 9", True),
        ("now.getDayOfWeek() == 5", True),
        ("webhook.body.object.now == 3", True),
    ],
)
def test_an_expression_on_json(text: str, holds: bool) -> None:
    body = {
        "n": 7, "huge": 2**70, "large": 2**62, "list": [5], "zero": 0, "text": " Oi \n", "none": None,
        "due": "2026-11-26T00:00:00Z", "seconds": 1762338600, "fraction": 1762338600.5, "object": {"now": 3},
    }  # fmt: skip
    assert cel.problem(text) is None
    assert _holds(text, **body) is holds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("timestamp('tomorrow') < now", "timestamp('tomorrow') can never be evaluated: the text is not a timestamp"),
        ("now - duration('1 hour') < now", "duration('1 hour') can never be evaluated: the text is not a duration"),
        ("int('a') == webhook.body.n", "int('a') can never be evaluated: cannot convert a text to a whole number"),
        ("double('1,5') > webhook.body.n", "double('1,5') can never be evaluated"),
        ("bool('sim')", "bool('sim') can never be evaluated: cannot convert a text to a boolean"),
        (
            "now.getHours('Brasilia') > 8",
            "getHours('Brasilia') can never be evaluated: the time zone is not one such as",
        ),
        ("size(webhook.body.items) > 1.5 && nope == 1", "unknown name or function 'nope'"),
        ("1 + 'a' == 2.5", "cannot apply + to a whole number and a text"),
    ],
)
def test_a_constant_that_never_works_is_found_at_publication(text: str, words: str) -> None:
    assert words in str(cel.problem(text))


NUMBERS: list[int | float] = [
    *(0, 1, -1, 2, 3, 7, 10, 10.0, 10.5, -10.5, 0.1, 0.25, 1e-9, 2**31, 2**53, 2**53 + 1, float(2**53)),
    *(2**62, -(2**62), 2**63 - 1, 2**63, 1e18, 1e21, 1.5e300),
]
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
ARITHMETIC: dict[str, Callable[[Any, Any], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "%": math.fmod,
}  # fmt: skip


@pytest.mark.parametrize("sign", COMPARISONS)
def test_every_pair_of_json_numbers_is_compared_by_value(sign: str) -> None:
    """Two whole numbers are compared exactly. A whole number and a decimal, or a number of more than 64 bits, are
    compared as doubles."""
    text = f"webhook.body.a {sign} webhook.body.b"
    for a, b in itertools.product(NUMBERS, NUMBERS):
        whole = isinstance(a, int) and isinstance(b, int) and max(abs(a), abs(b)) < 2**64
        pair = (a, b) if whole else (float(a), float(b))
        assert _holds(text, a=a, b=b) is COMPARISONS[sign](*pair), (a, b)


@pytest.mark.parametrize("sign", ARITHMETIC)
def test_every_pair_of_json_numbers_is_calculated_as_decimals(sign: str) -> None:
    """The result is that of doubles. Whole numbers are exact."""
    text = f"webhook.body.a {sign} webhook.body.b == webhook.body.c"
    for a, b in itertools.product(NUMBERS, NUMBERS):
        if b == 0 and sign in "/%":
            with pytest.raises(cel.ExpressionError, match="cannot divide by 0"):
                _holds(text, a=a, b=b, c=0)
            continue
        wanted = _wanted(sign, a, b)
        if math.isfinite(wanted):
            assert _holds(text, a=a, b=b, c=wanted) is True, (a, b, wanted)


def _wanted(sign: str, a: float, b: float) -> float:
    whole = isinstance(a, int) and isinstance(b, int)
    if whole and sign in "+-*" and all(abs(each) < 2**63 for each in (a, b, ARITHMETIC[sign](a, b))):
        return ARITHMETIC[sign](a, b)
    if whole and sign == "%" and max(abs(a), abs(b)) < 2**63:
        return abs(a) % abs(b) * (1 if a >= 0 else -1)
    return ARITHMETIC[sign](float(a), float(b))
