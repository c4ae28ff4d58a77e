"""The operators of a rule. A missing operand is null, and no pair of values is an error.

| operator                          | true if                                                                    |
|-----------------------------------|----------------------------------------------------------------------------|
| equals, not-equals                | the same text, number, boolean or JSON; a number and a boolean equal their |
|                                   | text (`5` and `"5"`)                                                       |
| contains, not-contains            | a text has the part, a list the item, an object the key                    |
| starts-with, ends-with            | as texts                                                                   |
| greater-than, greater-or-equal,   | numbers and texts that are numbers by value, other texts by their order;   |
| less-than, less-or-equal          | never with null                                                            |
| is-set                            | not null                                                                   |
| is-empty                          | null, an empty text, list or object                                        |
| matches                           | the RE2 pattern is found in the text                                       |
| in, not-in                        | as contains and not-contains, with the operands exchanged                  |

Texts are compared as people write them: without regard to case, accents and surrounding space, unless the rule is
`exact`. A text is a number if it consists of digits with a sign and a decimal point or comma (`written_numbers`).
"""

import functools
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from filas.flows import author_settings, locales, regular_expressions, step_budget
from filas.flows.templates.template import as_text
from filas.flows.written_numbers import read_number

_FREE_CHARS = 64
"""Texts up to this length cost less than the rule itself."""


class Reading(msgspec.Struct, frozen=True):
    """How a rule reads texts. `locale`: that of numbers."""

    exact: bool
    locale: str

    def text(self, value: Any) -> str:
        """The text of a value, as it is compared."""
        text = value if type(value) is str else as_text(value)
        if len(text) > _FREE_CHARS:
            step_budget.charge(len(text) // (256 if text.isascii() or self.exact else 16))
        return text if self.exact else folded(text)

    def number(self, value: Any) -> int | float | None:
        """The value of a number, or of a text that is one."""
        if isinstance(value, bool):
            return None
        if isinstance(value, (int, float)):
            return value
        return read_number(value, self.locale) if isinstance(value, str) else None

    def boolean(self, value: Any) -> bool | None:
        """The value of a boolean, or of the text `true` or `false`."""
        if isinstance(value, bool):
            return value
        return {"true": True, "false": False}.get(self.text(value)) if isinstance(value, str) else None


def folded(text: str) -> str:
    """The text without case, accents and surrounding space. Equal texts of NFC and NFD are the same here."""
    if text.isascii():
        return text.strip().lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in decomposed if not unicodedata.combining(each)).casefold().strip()


def _equals(left: Any, right: Any, reading: Reading) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return reading.boolean(left) == reading.boolean(right) and reading.boolean(left) is not None
    if isinstance(left, (int, float)) or isinstance(right, (int, float)):
        numbers = reading.number(left), reading.number(right)
        return None not in numbers and numbers[0] == numbers[1]
    if isinstance(left, str) and isinstance(right, str):
        return left == right or reading.text(left) == reading.text(right)
    if isinstance(left, (list, dict)) and isinstance(right, (list, dict)):
        step_budget.charge(1 + step_budget.measure(left, step_budget.current().left * 64).size // 64)
        return _same_json(left, right)
    return left is None and right is None


def _same_json(left: Any, right: Any) -> bool:
    """Equality of JSON: 1 and 1.0 are the same number, and neither is `true`."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same_json, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same_json(value, right[key]) for key, value in left.items())
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _contains(left: Any, right: Any, reading: Reading) -> bool:
    if isinstance(left, list):
        step_budget.charge(len(left) // 2)
        return any(_equals(item, right, reading) for item in left)
    if isinstance(left, dict):
        return isinstance(right, str) and (right in left or _has_key(left, right, reading))
    if left is None or right is None or isinstance(right, (list, dict)):
        return False
    part, text = reading.text(right), reading.text(left)
    return part in text


def _has_key(left: dict[str, Any], right: str, reading: Reading) -> bool:
    step_budget.charge(len(left) // 2)
    wanted = reading.text(right)
    return not reading.exact and any(reading.text(key) == wanted for key in left)


def _edge(method: str) -> Callable[[Any, Any, Reading], bool]:
    def compare(left: Any, right: Any, reading: Reading) -> bool:
        if left is None or right is None or isinstance(left, (list, dict)) or isinstance(right, (list, dict)):
            return False
        return bool(getattr(reading.text(left), method)(reading.text(right)))

    return compare


def _ordered(decide: Callable[[Any, Any], bool]) -> Callable[[Any, Any, Reading], bool]:
    def compare(left: Any, right: Any, reading: Reading) -> bool:
        numbers = reading.number(left), reading.number(right)
        if None not in numbers:
            return decide(*numbers)
        return isinstance(left, str) and isinstance(right, str) and decide(reading.text(left), reading.text(right))

    return compare


def _matches(left: Any, right: Any, reading: Reading) -> bool:
    if left is None or not isinstance(right, str):
        return False
    text = as_text(left)
    if not reading.exact:
        right, text = (unicodedata.normalize("NFC", each) for each in (right, text))
    return regular_expressions.search(right, text)


def _is_empty(left: Any, _right: Any, _reading: Reading) -> bool:
    return left is None or (isinstance(left, (str, list, dict)) and not left)


def _not(operation: Callable[[Any, Any, Reading], bool]) -> Callable[[Any, Any, Reading], bool]:
    return lambda left, right, reading: not operation(left, right, reading)


def _in(left: Any, right: Any, reading: Reading) -> bool:
    return _contains(right, left, reading)


OPERATORS: dict[str, Callable[[Any, Any, Reading], bool]] = {
    "equals": _equals,
    "not-equals": _not(_equals),
    "contains": _contains,
    "not-contains": _not(_contains),
    "starts-with": _edge("startswith"),
    "ends-with": _edge("endswith"),
    "greater-than": _ordered(lambda left, right: left > right),
    "greater-or-equal": _ordered(lambda left, right: left >= right),
    "less-than": _ordered(lambda left, right: left < right),
    "less-or-equal": _ordered(lambda left, right: left <= right),
    "is-set": lambda left, _right, _reading: left is not None,
    "is-empty": _is_empty,
    "matches": _matches,
    "in": _in,
    "not-in": _not(_in),
}
WITHOUT_VALUE = frozenset({"is-set", "is-empty"})
ESCAPES: dict[str, Callable[[str], str]] = {"matches": regular_expressions.escaped}
"""By operator, what is applied to a value that a template inserts into the right operand."""


def compare(operator: str, left: Any, right: Any, *, exact: bool = False, locale: str | None = None) -> bool:
    """Evaluates the rule. `locale`: that of numbers in texts (None: the flow's). Raises ValueError for an unknown
    operator, locale or an invalid pattern, and if the step budget is used up."""
    operation = OPERATORS.get(operator)
    if operation is None:
        raise ValueError(f"unknown operator {operator!r}")
    return operation(left, right, _reading(exact, locale or author_settings.current().locale))


@functools.lru_cache(maxsize=64)
def _reading(exact: bool, locale: str) -> Reading:
    return Reading(exact, locale)


def problems(operator: str, value: Any, locale: str | None = None) -> Iterator[tuple[str, str]]:
    """The errors of a rule that are known before it runs, each with its field."""
    if locale is not None and (problem := locales.locale_problem(locale)):
        yield "locale", problem
    if operator not in OPERATORS:
        yield "operator", f"unknown operator {operator[:64]!r}; known are {', '.join(OPERATORS)}"
    elif operator in WITHOUT_VALUE and value is not None:
        yield "value", f"{operator} takes no value"
    elif operator == "matches":
        if not isinstance(value, str):
            yield "value", "matches needs an RE2 pattern, written as a text"
        elif "{{" not in value and (problem := regular_expressions.problem(value)):
            yield "value", problem
