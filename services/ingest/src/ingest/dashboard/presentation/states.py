"""The shape and the colour class of each state. Its word comes from the catalogue: `states.<state>`.

A state always has a shape, a word and a colour, so that no one depends on seeing colours.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Look:
    """How a state is shown: a sign in front of its word, and a class of dashboard.css."""

    shape: str
    css: str


WAITING: Final = Look("○", "waiting")
ACTIVE: Final = Look("◐", "active")
DELAYED: Final = Look("◷", "delayed")
COMPLETED: Final = Look("✓", "completed")
FAILED: Final = Look("!", "failed")
DEAD: Final = Look("✕", "dead")
PALE: Final = Look("·", "pale")

LOOKS: Final[dict[str, Look]] = {
    # executions and steps
    "queued": WAITING,
    "running": ACTIVE,
    "waiting": DELAYED,
    "waiting-timer": DELAYED,
    "waiting-input": DELAYED,
    "waiting-callback": DELAYED,
    "retrying": FAILED,
    "succeeded": COMPLETED,
    "failed": DEAD,
    "timed-out": DEAD,
    "cancelled": PALE,
    # events
    "received": WAITING,
    "processed": COMPLETED,
    "ignored": PALE,
    # jobs
    "delayed": DELAYED,
    "active": ACTIVE,
    "completed": COMPLETED,
    "dead": DEAD,
    # messages
    "sending": ACTIVE,
    "sent": COMPLETED,
    "delivered": COMPLETED,
    "read": COMPLETED,
    "retry": FAILED,
    "uncertain": FAILED,
    # channels and queues
    "ok": COMPLETED,
    "paused": DELAYED,
    "failing": DEAD,
    "busy": FAILED,
    "unknown": PALE,
    "unavailable": DEAD,
    # findings
    "info": WAITING,
    "warning": FAILED,
    "critical": DEAD,
    # replays
    "finished": COMPLETED,
    "stopped": PALE,
    "replayed": COMPLETED,
}


def look_of(state: str) -> Look:
    """Returns how a state is shown. Raises KeyError for a state that the table does not have."""
    return LOOKS[state]
