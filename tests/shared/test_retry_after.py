"""`Retry-After` in its two forms: seconds or a date."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.outbound.retry_after import LONGEST_S, delay_s, retry_after_s

NOW = datetime(2026, 11, 22, 21, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("86400", LONGEST_S),
        ("9" * 5000, LONGEST_S),
        ("Sun, 22 Nov 2026 21:08:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 21:07:00 GMT", 0.0),
        ("Sunday, 22-Nov-26 21:09:00 GMT", 60.0),
        ("Sun Nov 22 21:09:00 2026", 60.0),
        ("2026-11-22T21:09:00Z", 60.0),
        ("2026-11-22T18:09:00.5-03:00", 60.5),
        ("2026-13-22T21:09:00Z", None),
        ("Sun, 22 Nov 2099 21:08:30 GMT", LONGEST_S),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("\u0667", None),
    ],
)
def test_seconds_and_dates_are_read_and_bounded(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds


@given(st.text())
def test_no_value_raises_an_error(value: str) -> None:
    seconds = retry_after_s(value, NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_S


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Sun, 22 Nov 2026 20:08:00 GMT", 30.0),
        (None, LONGEST_S),
        ("soon", LONGEST_S),
    ],
)
def test_a_date_is_compared_with_the_date_of_the_response(date: str | None, seconds: float) -> None:
    """A clock that is an hour ahead on this side shortens no delay."""
    headers = {"retry-after": "Sun, 22 Nov 2026 20:08:30 GMT"} | ({} if date is None else {"date": date})
    assert delay_s(headers, NOW - timedelta(hours=2)) == seconds
