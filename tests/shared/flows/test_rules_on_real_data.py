"""Rules compare texts and numbers as people write them."""

import itertools
import math
import unicodedata
from typing import Any

import pytest

from filas.flows.expressions import rules

NFD = unicodedata.normalize("NFD", "não")
PAIRS: list[tuple[str, str, Any, Any, bool]] = [
    ("the flow in the README", "contains", "Oi, tudo bem?", "oi", True),
    ("case", "equals", "SIM", "sim", True),
    ("case of a letter with an accent", "equals", "NÃO", "não", True),
    ("accents", "equals", "nao", "não", True),
    ("decomposed text", "equals", NFD, "não", True),
    ("decomposed text in a longer one", "contains", f"eu {NFD} quero", "não", True),
    ("decomposed text that starts", "starts-with", f"{NFD} quero", "Não", True),
    ("decomposed pattern", "matches", NFD, "^n[ãa]o$", True),
    ("surrounding space", "equals", "  sim \n", "sim", True),
    ("surrounding no-break space", "equals", "\u00a0sim\u00a0", "sim", True),
    ("a different text", "equals", "sim!", "sim", False),
    ("space inside", "equals", "s im", "sim", False),
    ("not-equals", "not-equals", "SIM", "sim", False),
    ("not-contains", "not-contains", "Oi", "oi", False),
    ("ends-with", "ends-with", "foto.PDF", ".pdf", True),
    ("in a list", "in", "Sim", ["sim", "claro"], True),
    ("in a text", "in", "MENU", "menu, sair", True),
    ("not-in", "not-in", "Sim", ["sim"], False),
    ("item of a list", "contains", ["Ouro", "Prata"], "ouro", True),
    ("key of an object", "contains", {"Cupom": 1}, "cupom", True),
    ("sharp s", "equals", "STRASSE", "straße", True),
    ("Turkish dotted I", "equals", "\u0130", "i", True),
    ("full width", "equals", "\uff2f\uff2b", "ok", True),
    ("order of texts", "less-than", "ana", "Bia", True),
    ("order of an equal text", "greater-or-equal", "ANA", "ana", True),
    ("boolean in another case", "equals", True, " TRUE ", True),
    ("boolean is no number", "equals", True, 1, False),
    ("a boolean in a list", "contains", [1], True, False),
    ("lists with booleans", "equals", [True], [1], False),
    ("lists with decimals", "equals", [1, {"a": 2}], [1.0, {"a": 2.0}], True),
    ("comma", "greater-than", "10,5", 10, True),
    ("comma and point", "equals", "10,5", 10.5, True),
    ("two commas", "equals", "10,50", "10.5", False),
    ("point that can only be decimal", "greater-than", "10.50", 10, True),
    ("point with three digits", "greater-than", "1.500", 1, False),
    ("point with three digits after zero", "equals", "0.125", 0.125, True),
    ("comma with three digits", "equals", "1,500", 1.5, True),
    ("thousands", "greater-than", "1.234,50", 1000, False),
    ("infinity", "greater-than", "inf", 1, False),
    ("infinity spelled out", "greater-than", "Infinity", 1, False),
    ("negative infinity", "less-than", "-inf", 1, False),
    ("not a number", "equals", "nan", 0, False),
    ("underscore", "equals", "1_500", 1500, False),
    ("exponent", "equals", "1e3", 1000, False),
    ("hexadecimal", "equals", "0x10", 16, False),
    ("Arabic digits", "equals", "٣", 3, False),
    ("signs", "equals", "+5", 5, True),
    ("two signs", "equals", "--5", -5, False),
    ("minus and a blank", "equals", "- 5", -5, False),
    ("number with space around", "equals", " 10 ", 10, True),
    ("number without an integer part", "equals", ".5", 0.5, False),
    ("number with a unit", "greater-than", "10 reais", 5, False),
    ("leading zeros", "equals", "007", 7, True),
    ("large number", "equals", "12345678901234567890", 12345678901234567890, True),
    ("very long digits", "greater-than", "9" * 400, 1, False),
    ("overflow", "greater-than", "9" * 290 + ".5", 1, True),
]
EXACT: list[tuple[str, Any, Any, bool]] = [
    ("equals", "SIM", "sim", False),
    ("equals", "sim ", "sim", False),
    ("equals", NFD, "não", False),
    ("contains", "Oi, tudo bem?", "oi", False),
    ("contains", "Oi, tudo bem?", "Oi", True),
    ("starts-with", "Oi", "oi", False),
    ("ends-with", "a.PDF", ".pdf", False),
    ("in", "Sim", ["sim"], False),
    ("contains", {"Cupom": 1}, "cupom", False),
    ("equals", "TRUE", True, False),
    ("equals", 5, "5", True),
    ("less-than", "ana", "Bia", False),
]
LOCALES: list[tuple[str, str, bool]] = [
    ("en-US", "10.5", True),
    ("en-US", "10,5", False),
    ("pt-BR", "10,5", True),
    ("pt-BR", "10.5", True),
    ("de-DE", "10,5", True),
    ("pt_BR", "10,5", True),
]


@pytest.mark.parametrize(("operator", "left", "right", "holds"), [row[1:] for row in PAIRS], ids=[r[0] for r in PAIRS])
def test_a_rule_compares_as_people_write(operator: str, left: Any, right: Any, holds: bool) -> None:
    assert rules.compare(operator, left, right) is holds


@pytest.mark.parametrize(("operator", "left", "right", "holds"), EXACT)
def test_an_exact_rule_compares_character_by_character(operator: str, left: Any, right: Any, holds: bool) -> None:
    assert rules.compare(operator, left, right, exact=True) is holds


@pytest.mark.parametrize(("locale", "text", "holds"), LOCALES)
def test_a_number_in_a_text_is_written_as_in_the_locale(locale: str, text: str, holds: bool) -> None:
    assert rules.compare("equals", text, 10.5, locale=locale) is holds


def test_an_unknown_locale_is_a_problem_of_the_rule() -> None:
    assert list(rules.problems("equals", "a", "xx")) == [("locale", "'xx' is not a locale such as pt-BR or en-US")]


NUMBERS: list[int | float] = [
    *(0, 1, -1, 10, 10.0, 10.5, -10.5, 0.1, 0.30000000000000004, 1e-9, 2**31, -(2**31), 2**53, 2**53 + 1),
    *(float(2**53), 2**63 - 1, -(2**63), 2**63, 1e18, 1e21, 1.5e300, -0.0),
]
ORDERS = {
    "equals": lambda a, b: a == b,
    "not-equals": lambda a, b: a != b,
    "greater-than": lambda a, b: a > b,
    "greater-or-equal": lambda a, b: a >= b,
    "less-than": lambda a, b: a < b,
    "less-or-equal": lambda a, b: a <= b,
    "in": lambda a, b: a == b,
}


@pytest.mark.parametrize("operator", ORDERS)
def test_rules_compare_every_pair_of_numbers_by_value(operator: str) -> None:
    """Also where one or both are texts. The exact order of whole numbers and decimals is that of mathematics."""
    for left, right in itertools.product(NUMBERS, NUMBERS):
        wanted = ORDERS[operator](left, right)
        for one, other in ((left, right), (_written(left), right), (left, _written(right))):
            given = [other] if operator == "in" else other
            assert rules.compare(operator, one, given) is wanted, (operator, one, other)


def _written(number: int | float) -> Any:
    """The number as a text with a decimal comma, if it can be written so without an exponent."""
    text = repr(number)
    return number if "e" in text or not math.isfinite(number) else text.replace(".", ",")
