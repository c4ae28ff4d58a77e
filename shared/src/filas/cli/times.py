"""Times in the output of the commands: one exact format, and ages and due times in words."""

import re
from datetime import UTC, datetime
from typing import Final

_ISO: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")
_STEPS: Final = ((60, 1, "s"), (3600, 60, "min"), (2 * 86_400, 3600, "h"), (float("inf"), 86_400, "d"))
"""Below the first number of seconds, the second is the unit: 90 s is "1 min", 47 h is "47 h", 48 h is "2 d"."""


def is_moment(value: object) -> bool:
    """Whether a value is a text that contains one ISO time with a zone, and nothing else."""
    return isinstance(value, str) and _ISO.fullmatch(value) is not None


def exact(moment: str) -> str:
    """Returns an ISO time as `2026-11-22T12:00:00Z`, which the options --since and --until read."""
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_words(moment: str, now: datetime | None = None) -> str:
    """Returns how long ago an ISO time was, or how soon it is: "3 h ago", "in 4 min", "now"."""
    seconds = (datetime.fromisoformat(moment) - (now or datetime.now(UTC))).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {duration(seconds)}" if seconds > 0 else f"{duration(-seconds)} ago"


def both(moment: str, now: datetime | None = None) -> str:
    """Returns an ISO time for a sentence: "2026-11-22T12:00:00Z (in 4 min)"."""
    return f"{exact(moment)} ({in_words(moment, now)})"


def duration(seconds: float) -> str:
    """Returns a number of seconds as one number with a unit, rounded down: "59 s", "4 min", "3 h", "2 d"."""
    for limit, unit_s, unit in _STEPS:
        if seconds < limit:
            return f"{int(seconds // unit_s)} {unit}"
    raise ValueError(f"{seconds} is not a number of seconds")
