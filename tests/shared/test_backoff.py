"""The waits between attempts, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.backoff import exponential


@pytest.mark.parametrize(
    ("attempt", "cap_s", "jitter", "expected"),
    [
        (1, 3600.0, 1.0, 2.0),  # the first retry waits for the base
        (2, 3600.0, 1.0, 4.0),  # each further wait is twice as long
        (3, 3600.0, 1.0, 8.0),
        (3, 5.0, 1.0, 5.0),  # the cap limits the wait
        (2, 3600.0, 0.5, 2.0),  # jitter shortens the wait and never lengthens it
        (2, 3600.0, 0.0, 0.0),
    ],
)
def test_the_wait_follows_the_table(attempt: int, cap_s: float, jitter: float, expected: float) -> None:
    """`min(cap, base * 2 ** (attempt - 1)) * jitter`, with a base of 2 s."""
    assert exponential(attempt, base_s=2.0, cap_s=cap_s, jitter=jitter) == expected


@given(attempt=st.integers(1, 10**9), rate=st.floats(1.0, 100.0), jitter=st.floats(0.0, 1.0))
def test_no_attempt_waits_longer_than_the_cap(attempt: int, rate: float, jitter: float) -> None:
    """The wait is between 0 and the cap for every attempt, and no attempt overflows."""
    assert 0.0 <= exponential(attempt, base_s=2.0, rate=rate, cap_s=60.0, jitter=jitter) <= 60.0


def test_attempts_count_from_one() -> None:
    """The attempt 0 raises an error that names the mistake."""
    with pytest.raises(ValueError, match="count from 1"):
        exponential(0, base_s=2.0)
