"""The filters of the list of executions, which a replay of all that match takes over."""

from collections.abc import Mapping
from typing import Final

from ingest.dashboard.page_types import PageCall

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
"""The filters that a replay of many has too. It is of all executions that failed or timed out."""

OF_STEP: Final = ("nodeId", "stepStatus", "handle")
"""The filters by a step, which the heat map of a flow leads to."""

NAMES: Final = ("status", *OF_MANY, "eventId", "conversationId", "replayOf", *OF_STEP)


def filters_of(call: PageCall, names: tuple[str, ...] = NAMES) -> dict[str, str]:
    """The filters of the query string, as the API reads them."""
    return call.filters(*names)


def may_replay_all(filters: Mapping[str, str]) -> bool:
    """Whether a replay of many selects what the list shows: it has no other filters."""
    return filters.get("status", FAILED) == FAILED and filters.keys() <= {"status", *OF_MANY}
