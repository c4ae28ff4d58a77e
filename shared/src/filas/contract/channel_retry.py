"""How often and how long the delivery of a message over a channel is tried: the field `retry` of a channel."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from filas.backoff import exponential
from filas.contract.policies import NOTIFICATIONS

MAX_ATTEMPTS: Final = 100
MAX_FOR_MS: Final = 24 * 3600 * 1000
"""A notification fails after a day, whatever it waits for."""

LONGEST_DELAY_S: Final = 60.0
"""The longest wait between two attempts, unless `delay_ms` is longer: soon after an unreachable provider is back,
its messages arrive."""


class ChannelRetry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """At most `max_attempts` attempts, with a wait of `delay_ms * rate ** (attempt - 1)` milliseconds after each.

    `for_ms`: for so long after the first attempt, the message waits for a provider that cannot be reached, and these
    attempts do not count.
    """

    max_attempts: Annotated[int, Meta(ge=1, le=MAX_ATTEMPTS, description="The number of attempts.")] = (
        NOTIFICATIONS.max_attempts
    )
    delay_ms: Annotated[int, Meta(ge=0, le=3_600_000, description="The wait after the first attempt.")] = round(
        NOTIFICATIONS.backoff_s * 1000
    )
    rate: Annotated[float, Meta(ge=1, le=100, description="The factor by which each wait grows.")] = 2.0
    for_ms: Annotated[int, Meta(ge=0, le=MAX_FOR_MS, description="How long to wait for an unreachable provider.")] = 0

    def delay_s(self, attempt: int) -> float:
        """Seconds until the next attempt after the failed attempt number `attempt` (from 1).

        | attempt | delayMs 2000, rate 2 | delayMs 120000, rate 2 |
        |---------|----------------------|------------------------|
        | 1       | 2 s                  | 120 s                  |
        | 2       | 4 s                  | 120 s                  |
        | 6       | 60 s                 | 120 s                  |
        """
        base_s = self.delay_ms / 1000
        return exponential(attempt, base_s=base_s, rate=self.rate, cap_s=max(LONGEST_DELAY_S, base_s))
