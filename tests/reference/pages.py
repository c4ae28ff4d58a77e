"""The generated regions of the pages below docs/, and how they are written.

A region is the text between `<!-- generated:NAME:begin -->` and `<!-- generated:NAME:end -->`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from filas.flows.definition.node_types import NODE_TYPES
from tests.reference import (
    api,
    channel_examples,
    command_line,
    definitions,
    error_kinds,
    filters,
    log_events,
    metrics,
    node_examples,
    nodes,
    operators,
    settings,
)

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"

REGIONS: dict[str, dict[str, Callable[[], str]]] = {
    "webhooks.md": {
        "webhook-fields": definitions.webhook_table,
        "auth-types": definitions.auth_table,
        "auth-fields": definitions.auth_fields_table,
        "rejection-reasons": error_kinds.reasons_table,
    },
    "nodes.md": {
        **{f"fields-{owner}": partial(nodes.table, owner) for owner in nodes.owners()},
        **{f"example-{node_type}": partial(node_examples.section, node_type) for node_type in NODE_TYPES},
    },
    "channels.md": {
        **{f"fields-{name}": partial(definitions.channel_table, name) for name in definitions.channel_types()},
        **{f"example-{name}": partial(channel_examples.section, name) for name in definitions.channel_types()},
    },
    "templates.md": {"filters": filters.table, "liquid-filters": filters.names, "operators": operators.table},
    "schedules.md": {"schedule-fields": definitions.schedule_table},
    "api.md": {"routes": api.overview, "operations": api.page},
    "cli.md": {"commands": command_line.page},
    "configuration.md": {"settings": settings.table},
    "errors.md": {"kinds": error_kinds.kinds_table},
    "metrics.md": {"metrics": metrics.table},
    "log-events.md": {"events": log_events.table},
}
"""The regions of each page in docs/reference."""


def regions() -> Iterator[tuple[str, str]]:
    """The page and the name of every region."""
    for page, parts in REGIONS.items():
        yield from ((page, name) for name in parts)


def committed(page: str, name: str) -> str:
    """The text of a region as it is in the page. Raises ValueError if the page has no such region."""
    text = (REFERENCE / page).read_text()
    start, end = _bounds(text, name)
    return text[start:end]


def generated(page: str, name: str) -> str:
    """The text of a region as the code yields it."""
    return f"\n{REGIONS[page][name]()}\n"


def write() -> list[str]:
    """Writes every region; returns the pages that changed."""
    changed = []
    for page, parts in REGIONS.items():
        path = REFERENCE / page
        before = text = path.read_text()
        for name in parts:
            start, end = _bounds(text, name)
            text = text[:start] + generated(page, name) + text[end:]
        if text != before:
            path.write_text(text)
            changed.append(page)
    return changed


def _bounds(text: str, name: str) -> tuple[int, int]:
    begin, end = f"<!-- generated:{name}:begin -->\n", f"<!-- generated:{name}:end -->"
    return text.index(begin) + len(begin), text.index(end)
