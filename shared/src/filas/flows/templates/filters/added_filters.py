"""All filters that Filas adds or replaces, by name."""

from collections.abc import Callable
from typing import Any, Final

from filas.flows.templates.filters import dates, lists, numbers, texts

FILTERS: Final[dict[str, Callable[..., Any]]] = {
    **dates.FILTERS,
    **numbers.FILTERS,
    **lists.FILTERS,
    **texts.FILTERS,
}
