"""The page of what an entry of the audit is about."""

from typing import Final
from urllib.parse import quote

_SECTIONS: Final = {
    "webhooks": "webhooks",
    "channels": "channels",
    "flows": "flows",
    "schedules": "schedules",
    "alerts": "alerts",
    "events": "events",
    "executions": "executions",
    "dead-letters": "dead-letters",
    "replays": "replays",
    "conversations": "conversations",
    "queue": "queues",
    "jobs": "jobs",
}
"""The first part of a subject, with the section of the pages."""

_OF_ACCESS: Final = ("keys", "sessions", "sign-in", "sign-in-links")
_PARTS_OF: Final = {"replays": "dead-letters", "jobs": "queues"}
"""Sections without an entry in the navigation, with the one that they belong to."""


def entity_address(subject: str, sections: frozenset[str]) -> str:
    """Returns the address of the page of a subject (`webhooks/shop`); empty if there is none."""
    kind, _, rest = subject.partition("/")
    if kind in _OF_ACCESS:
        return "/dashboard/access"
    section = _SECTIONS.get(kind)
    if section is None or _PARTS_OF.get(section, section) not in sections or not rest:
        return ""
    # The id of a job may have a slash; other subjects may have an action after the id.
    entity = rest if kind == "jobs" else rest.partition("/")[0]
    return f"/dashboard/{section}/{quote(entity, safe='')}"
