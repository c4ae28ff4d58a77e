"""A clock on which waits take no time."""

import time
from datetime import UTC, datetime, timedelta


class JumpingClock:
    """The engine's Clock in a test run: the time at its start, the time since then, and the waits that were skipped.
    The jitter of a retry is always the full wait."""

    def __init__(self) -> None:
        self._start, self._start_s = datetime.now(UTC), time.monotonic()
        self._jumped = timedelta()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=time.monotonic() - self._start_s) + self._jumped

    def monotonic(self) -> float:
        return time.monotonic()

    def share(self) -> float:
        return 1.0

    def jump_to(self, moment: datetime) -> None:
        """Sets the clock forward to `moment`, unless that has passed."""
        self._jumped += max(moment - self.now(), timedelta())
