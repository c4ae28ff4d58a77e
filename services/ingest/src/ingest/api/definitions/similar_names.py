"""The stored name that a person may have meant, for the error of a definition that is not stored."""

import difflib
from typing import Final, Protocol

from filas.models.record import Page

SIMILAR: Final = 0.6
MAX_NAMES: Final = 500


class NamedDefinitions(Protocol):
    """The definitions of one kind, such as `FlowRepository`."""

    async def list(self, cursor: str | None = None, limit: int = MAX_NAMES, /) -> Page:
        """Returns the first definitions in the order of their ids. Raises StoreUnavailable."""


async def suggestion(name: str, stored: NamedDefinitions) -> str:
    """Returns the end of the message that no definition has this name. Raises StoreUnavailable."""
    page = await stored.list(None, MAX_NAMES)
    near = difflib.get_close_matches(name, [one.id for one in page.items], 1, SIMILAR)
    return f": did you mean `{near[0]}`?" if near else ": store it first"
