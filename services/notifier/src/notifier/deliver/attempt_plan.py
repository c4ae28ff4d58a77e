"""What follows a failed attempt: whether it counts, and when the next one is made. Pure."""

import math
from typing import Final

import msgspec

from filas.contract.channel_retry import ChannelRetry
from filas.models.notifications import BegunNotification
from notifier.channels.channel import Result, TemporaryFailure

REACHED: Final = frozenset({"exception", "malformed-answer"})
"""The kinds of temporary failures for which no message waits longer: a fault of our own code, and an answer that may
mean that the message was sent. All other kinds mean that the provider cannot be reached: no connection, a timeout,
5xx."""

SHORTEST_DELAY_S: Final = 0.25
"""The shortest wait before the attempt at the end of `forMs`."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of the job: its number from 1 (attempts that are not used do not count), whether an operator replayed
    the job, the recipient (the job's group), and the seconds since the job was enqueued."""

    number: int
    replay: bool
    recipient: str = ""
    age_s: float = 0.0


class AttemptPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The delay until the next attempt in seconds, whether the failed attempt counts, how many may count, and whether
    this was the last one."""

    delay_s: float = 0.0
    uses_attempt: bool = True
    max_attempts: int
    last: bool = False


def plan_next(notification: BegunNotification, result: Result, retry: ChannelRetry, attempt: Attempt) -> AttemptPlan:
    """What follows the result of an attempt.

    The wait for a busy channel or recipient uses no attempt. Neither does the wait for a provider that cannot be
    reached, for the channel's `forMs`. The delay is what the provider asks for, or else the channel's backoff.
    """
    if not isinstance(result, TemporaryFailure):
        return AttemptPlan(max_attempts=retry.max_attempts)
    number, uses_attempt, left_s = attempt.number, result.wait_for == "none", math.inf
    if uses_attempt and result.kind not in REACHED:
        # A replay starts from the beginning, although its notification had attempts before.
        left_s = retry.for_ms / 1000 - min(notification.tried_s, attempt.age_s)
        if left_s > 0:
            number, uses_attempt = notification.attempts, False
        else:
            left_s = math.inf
    # The last attempt of the wait is at its end.
    delay_s = min(retry.delay_s(number), max(left_s, SHORTEST_DELAY_S)) if result.after_s is None else result.after_s
    last = uses_attempt and attempt.number >= retry.max_attempts
    return AttemptPlan(delay_s=delay_s, uses_attempt=uses_attempt, max_attempts=retry.max_attempts, last=last)
