"""The real clock."""

import random
import time
from datetime import UTC, datetime


class WallClock:
    """The engine's Clock in a real process."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def share(self) -> float:
        return random.random()  # noqa: S311 - spreads retries, protects nothing
