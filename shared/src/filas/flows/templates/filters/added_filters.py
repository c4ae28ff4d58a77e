"""The filters that Filas adds to Liquid or changes, and those that it corrects, by name."""

from collections.abc import Callable
from typing import Any, Final

from filas.flows.templates.filters import dates, lists, numbers, standard_texts, texts

FILTERS: Final[dict[str, Callable[..., Any]]] = {
    **dates.FILTERS,
    **numbers.FILTERS,
    **lists.FILTERS,
    **texts.FILTERS,
}

CORRECTED: Final = standard_texts.FILTERS
"""Filters that do what Liquid documents."""
