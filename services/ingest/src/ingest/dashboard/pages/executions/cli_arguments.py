"""The options of the `filas` command that are the filters of a page."""

from collections.abc import Mapping
from typing import Final

OPTIONS: Final = {
    "flowId": "--flow",
    "nodeId": "--node",
    "stepStatus": "--step-status",
    "handle": "--handle",
    "error": "--error",
    "contact": "--contact",
    "since": "--since",
    "until": "--until",
    "eventId": "--event",
    "conversationId": "--conversation",
    "waitsFor": "--for",
    "channel": "--channel",
    "from": "--from",
    "version": "--version",
    "limit": "--limit",
    "rate": "--rate",
}


def cli_arguments(filters: Mapping[str, object]) -> tuple[str, ...]:
    """The options of the filters that have one. `status` is `--failed`, or one `--status`; others have none."""
    found: list[str] = []
    for name, option in OPTIONS.items():
        if filters.get(name):
            found += [option, str(filters[name])]
    status = str(filters.get("status") or "")
    if status == "failed,timed-out":
        found.append("--failed")
    elif status and "," not in status:
        found += ["--status", status]
    return tuple(found)
