"""`Retry-After`: when the other side wants to be asked again (RFC 9110, section 10.2.3). Pure."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_S = 3600.0
"""The longest delay in seconds that a provider can ask for at a time."""


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds from `now`, between 0 and LONGEST_S; None for no value or one that says nothing.

    It is a number of seconds (`120`) or a date (`Sun, 22 Nov 2026 21:08:00 GMT`).
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        # More digits than that are the longest wait anyway, and Python refuses to read thousands of them.
        return min(float(text[:18]), LONGEST_S)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    try:
        aware = date if date.tzinfo else date.replace(tzinfo=UTC)
        return min(max((aware - now).total_seconds(), 0.0), LONGEST_S)
    except OverflowError:
        return None
