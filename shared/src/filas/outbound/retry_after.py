"""Reads `Retry-After`: the delay that a server asks for (RFC 9110, section 10.2.3). Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_S: Final = 3600.0
"""The longest delay in seconds that a server can ask for at a time."""

_MAX_DIGITS: Final = 18
"""A number with more digits is above LONGEST_S, and Python refuses to convert thousands of digits."""

_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,20}(?:Z|[+-][0-9:]{2,6})?", re.IGNORECASE)


def delay_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Returns the delay that the headers of a response ask for (names in lower case), as `retry_after_s` does.

    A date is compared with the response's own `Date`, so that a wrong clock on either side does not matter; without
    `Date`, with `now`.
    """
    return retry_after_s(headers.get("retry-after"), _date(headers.get("date") or "") or now)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Returns the seconds from `now`, between 0 and LONGEST_S, or None without a valid value.

    The value is a number of seconds (`120`) or a date (`Sun, 22 Nov 2026 21:08:00 GMT`, also in the two older forms of
    RFC 9110). Some servers send ISO 8601 (`2026-11-22T21:08:00Z`).
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:_MAX_DIGITS]), LONGEST_S)
    date = _date(text)
    if date is None:
        return None
    try:
        return min(max((date - now).total_seconds(), 0.0), LONGEST_S)
    except OverflowError:
        return None


def _date(text: str) -> datetime | None:
    try:
        date = datetime.fromisoformat(text) if _ISO_DATE.fullmatch(text) else parsedate_to_datetime(text)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
