"""The failure of a filter, in the author's terms, and the arguments that several filters have."""

import zoneinfo
from typing import Final

from babel import Locale
from liquid.exceptions import LiquidError

from filas.flows import author_settings, step_budget
from filas.flows.found_values import described
from filas.flows.locales import locale_of, zone_of

_LOAD_STEPS: Final = 2000
"""The steps of reading a locale's data for the first time."""


class FilterFailure(LiquidError):
    """A filter does not work on its value or its arguments. The message begins with the filter's name."""

    def __init__(self, message: str) -> None:
        super().__init__(message, token=None)


def expected(name: str, what: str, found: object) -> FilterFailure:
    """`money: expected a number, found "abc"`."""
    return FilterFailure(f"{name}: expected {what}, found {described(found)}")


def locale_argument(name: str, value: object) -> Locale:
    """The locale of a filter's argument (null: that of the flow). Raises FilterFailure."""
    if value is not None and not isinstance(value, str):
        raise expected(name, "a locale such as pt-BR", value)
    known = locale_of.cache_info().misses
    try:
        locale = locale_of(author_settings.current().locale if value is None else value)
        if locale_of.cache_info().misses > known:
            step_budget.charge(_LOAD_STEPS)
        return locale
    except ValueError as error:
        raise FilterFailure(f"{name}: {error}") from None


def zone_argument(name: str, value: object) -> zoneinfo.ZoneInfo:
    """The time zone of a filter's argument. Raises FilterFailure."""
    if not isinstance(value, str):
        raise expected(name, "a time zone such as America/Sao_Paulo", value)
    try:
        return zone_of(value)
    except ValueError as error:
        raise FilterFailure(f"{name}: {error}") from None
