"""The flows of the gallery, which are files of this package (`flows/*.json`)."""

import functools
import json
from importlib import resources
from typing import Any, Final

ORDER: Final = (
    "support-menu",
    "order-status",
    "appointment-reminder",
    "lead-form",
    "github-to-slack",
    "instagram-reply",
)
"""The flows in the order in which the gallery shows them. The page has a text for each."""


def example_flow(name: str) -> dict[str, Any] | None:
    """The definition of a flow of the gallery, or None if it has no such flow."""
    return _flows().get(name)


@functools.lru_cache(maxsize=1)
def _flows() -> dict[str, dict[str, Any]]:
    folder = resources.files(__package__) / "flows"
    return {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ORDER}
