"""The filters of the list of executions, which a replay of all that match takes over."""

from typing import Any, Final

from ingest.dashboard.page_types import PageCall
from ingest.dashboard.pages.executions import time_filters

FAILED: Final = "failed,timed-out"

VIEWS: Final = (
    ("all", ""),
    ("failed", FAILED),
    ("waiting", "waiting-timer,waiting-input,waiting-callback,retrying"),
    ("running", "queued,running"),
    ("succeeded", "succeeded"),
    ("cancelled", "cancelled"),
)
"""The views of the list, each with its statuses."""

OF_MANY: Final = ("flowId", "error", "contact", "since", "until")
"""The filters that a replay of many has too, besides the status."""

NAMES: Final = ("status", *OF_MANY, "eventId", "conversationId", "replayOf")


def filters_of(call: PageCall, names: tuple[str, ...] = NAMES) -> dict[str, str]:
    """The filters of the query string, as the API reads them."""
    found = call.filters(*names)
    for name in time_filters.NAMES:
        if name in found:
            found[name] = time_filters.with_zone(call, found[name])
    return found


def body_of_many(call: PageCall) -> dict[str, Any]:
    """The filters as the body of a replay of many."""
    return filters_of(call, ("status", *OF_MANY))
