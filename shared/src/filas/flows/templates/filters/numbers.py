"""The filters `money` and `number`, and Liquid's `round` with the rounding that people use."""

import decimal
import functools
import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from babel import numbers as babel_numbers

from filas.flows import author_settings, step_budget
from filas.flows.templates.filters.filter_failure import expected, locale_argument
from filas.flows.written_numbers import read_number

MAX_DIGITS: Final = 20
_STEPS: Final = 8
"""The steps of writing a number by a locale."""

_A_NUMBER: Final = "a number without thousands separators, such as 1234.5"
_CONTEXT: Final = decimal.Context(prec=1000, rounding=ROUND_HALF_UP)


def money_of(value: object, currency: object, locale: object = None) -> str:
    """The amount in that currency, as the locale writes it: `R$ 1.234,50`. Null is empty."""
    code, named = _currency(currency), locale_argument("money", locale)
    if _is_nothing(value):
        return ""
    step_budget.charge(_STEPS)
    # Adding 0 makes -0 a 0: "-R$ 0,00" is no amount.
    amount = _rounded(_decimal("money", value), babel_numbers.get_currency_precision(code)) + 0
    with decimal.localcontext(_CONTEXT):
        return _plain_blanks(babel_numbers.format_currency(amount, code, locale=named))


def number_of(value: object, digits: object = None, locale: object = None) -> str:
    """The number as the locale writes it, with that many digits after the decimal sign (by default as many as it
    has). Null is empty."""
    if isinstance(digits, str) and locale is None and read_number(digits, "en-US") is None:
        digits, locale = None, digits
    named = locale_argument("number", locale)
    places = None if digits is None else _places(digits)
    if _is_nothing(value):
        return ""
    step_budget.charge(_STEPS)
    amount = _decimal("number", value)
    if places is not None:
        amount = _rounded(amount, places) + 0
    pattern = "#,##0." + ("#" * MAX_DIGITS if places is None else "0" * places)
    with decimal.localcontext(_CONTEXT):
        written = babel_numbers.format_decimal(amount, format=pattern.rstrip("."), locale=named)
    return _plain_blanks(written)


def round_of(value: object, digits: object = None) -> int | float:
    """The number rounded to that many digits after the decimal point; a half is rounded away from zero."""
    number = as_number(value)
    places = 0 if digits is None else int(as_number(digits))
    if isinstance(number, int) and places >= 0:
        return number
    rounded = _rounded(Decimal(repr(number)), min(max(places, -400), MAX_DIGITS))
    return int(rounded) if places <= 0 else float(rounded)


def check_money(currency: object = None, locale: object = None) -> None:
    """Raises FilterFailure for a wrong argument of `money`."""
    _currency(currency)
    locale_argument("money", locale)


def check_number(digits: object = None, locale: object = None) -> None:
    """Raises FilterFailure for a wrong argument of `number`."""
    number_of(None, digits, locale)


def as_number(value: object) -> int | float:
    """The number of a value, as Liquid's arithmetic takes it: a text that is no number, and every value that is
    neither a text nor a number, is 0. A text may have the decimal comma of the flow's locale."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, str):
        locale = author_settings.current().locale
        number = read_number(value, "en-US")
        if number is None:
            number = read_number(value, locale)
        return 0 if number is None else number
    return 0


def _is_nothing(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _decimal(name: str, value: object) -> Decimal:
    if isinstance(value, str) and read_number(value, author_settings.current().locale) is not None:
        # The digits of the text are exact; those of a double are not.
        return Decimal(value.strip().replace(",", "."))
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float, Decimal)) or not math.isfinite(value):
        raise expected(name, _A_NUMBER, value)
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _rounded(amount: Decimal, places: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-places), context=_CONTEXT)


def _places(digits: object) -> int:
    number = read_number(digits, "en-US") if isinstance(digits, str) else digits
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_DIGITS:
        raise expected("number", f"a number of digits from 0 to {MAX_DIGITS}", digits)
    return number


def _currency(currency: object) -> str:
    code = currency.strip().upper() if isinstance(currency, str) else ""
    if code not in _currencies():
        raise expected("money", "a currency such as BRL or USD", currency)
    return code


@functools.lru_cache(maxsize=1)
def _currencies() -> frozenset[str]:
    return frozenset(babel_numbers.list_currencies())


def _plain_blanks(text: str) -> str:
    """With ordinary blanks, which every channel and every comparison knows."""
    return text.replace("\xa0", " ").replace("\u202f", " ")


FILTERS: Final[dict[str, Any]] = {"money": money_of, "number": number_of, "round": round_of}
