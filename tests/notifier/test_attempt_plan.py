"""A channel's `retry`: how often and how long delivery is tried."""

from typing import Any

import msgspec
import pytest

from filas.contract.channel_retry import ChannelRetry
from filas.contract.identity import new_id
from filas.models.notifications import BegunNotification
from notifier.channels.channel import PermanentFailure, Result, TemporaryFailure
from notifier.deliver.attempt_plan import Attempt, AttemptPlan, plan_next
from tests.flow_runner.memory import START

NO_CONNECTION = TemporaryFailure(reason="refused", kind="communication")
TIMEOUT = TemporaryFailure(reason="no answer", kind="timeout", uncertain=True)
BAD_GATEWAY = TemporaryFailure(reason="bad gateway", kind="http-status", status_code=502)
LATER = TemporaryFailure(reason="bad gateway", kind="http-status", status_code=502, after_s=90.0)
BUSY = TemporaryFailure(reason="busy", kind="busy", wait_for="recipient", after_s=6.0)
EXCEPTION = TemporaryFailure(reason="a fault", kind="exception", uncertain=True)
MALFORMED = TemporaryFailure(reason="a proxy", kind="malformed-answer", uncertain=True)
REFUSED = PermanentFailure(reason="no", kind="refused")

HOUR = ChannelRetry(for_ms=3_600_000)


def plan(
    result: Result, retry: ChannelRetry, *, number: int = 1, made: int = 1, tried_s: float = 0.0, age_s: float = 1e9
) -> AttemptPlan:
    """What follows attempt `number` of those that count, of `made` in all, `tried_s` after the first."""
    row: Any = dict.fromkeys(BegunNotification.__struct_fields__)
    notification = BegunNotification(
        **row | {"id": new_id(), "created_at": START, "attempts": made, "tried_s": tried_s, "payload_bytes": 0}
    )
    return plan_next(notification, result, retry, Attempt(number=number, replay=False, age_s=age_s))


@pytest.mark.parametrize("result", [NO_CONNECTION, TIMEOUT, BAD_GATEWAY, EXCEPTION, MALFORMED])
@pytest.mark.parametrize(
    ("retry", "number", "delay_s", "last"),
    [
        # The queue's policy: two attempts, two seconds apart.
        (ChannelRetry(), 1, 2.0, False),
        (ChannelRetry(), 2, 4.0, True),
        (ChannelRetry(max_attempts=1), 1, 2.0, True),
        (ChannelRetry(max_attempts=4, delay_ms=500, rate=3), 1, 0.5, False),
        (ChannelRetry(max_attempts=4, delay_ms=500, rate=3), 3, 4.5, False),
        (ChannelRetry(max_attempts=4, delay_ms=500, rate=3), 4, 13.5, True),
        (ChannelRetry(max_attempts=50, rate=2), 40, 60.0, False),
        (ChannelRetry(max_attempts=5, delay_ms=600_000), 3, 600.0, False),
    ],
)
def test_a_channel_sets_the_number_of_attempts_and_the_waits(
    result: Result, retry: ChannelRetry, number: int, delay_s: float, last: bool
) -> None:
    assert plan(result, retry, number=number, made=number) == AttemptPlan(
        delay_s=delay_s, uses_attempt=True, max_attempts=retry.max_attempts, last=last
    )


@pytest.mark.parametrize("result", [NO_CONNECTION, TIMEOUT, BAD_GATEWAY])
@pytest.mark.parametrize(
    ("made", "tried_s", "delay_s"),
    [(1, 0.0, 2.0), (2, 2.1, 4.0), (6, 70.0, 60.0), (30, 3000.0, 60.0), (60, 3590.0, 10.0), (61, 3599.9, 0.25)],
)
def test_an_unreachable_provider_is_awaited_without_an_attempt(
    result: Result, made: int, tried_s: float, delay_s: float
) -> None:
    """The waits grow as usual, and the last attempt is at the end of `forMs`."""
    found = plan(result, HOUR, made=made, tried_s=tried_s)
    assert (round(found.delay_s, 3), found.uses_attempt, found.last) == (delay_s, False, False)


@pytest.mark.parametrize("number", [1, 2])
def test_after_that_the_attempts_count(number: int) -> None:
    found = plan(NO_CONNECTION, HOUR, number=number, made=61 + number, tried_s=3600.0)
    assert (found.delay_s, found.uses_attempt, found.last) == (2.0 * number, True, number == 2)


def test_a_replay_waits_again() -> None:
    """Its notification was tried a week ago, its job was enqueued a second ago."""
    assert not plan(NO_CONNECTION, HOUR, made=70, tried_s=600_000.0, age_s=1.0).uses_attempt


@pytest.mark.parametrize(
    ("result", "uses_attempt", "delay_s"),
    [(EXCEPTION, True, 2.0), (MALFORMED, True, 2.0), (BUSY, False, 6.0), (LATER, False, 90.0), (REFUSED, True, 0.0)],
)
def test_only_an_unreachable_provider_is_awaited(result: Result, uses_attempt: bool, delay_s: float) -> None:
    """A busy one is awaited as before. The time that the provider asks for is respected."""
    found = plan(result, HOUR)
    assert (found.uses_attempt, found.delay_s) == (uses_attempt, delay_s)


@pytest.mark.parametrize(
    "given",
    [
        {"maxAttempts": 0},
        {"maxAttempts": 101},
        {"maxAttempts": 2.5},
        {"delayMs": -1},
        {"rate": 0.5},
        {"forMs": 86_400_001},
        {"forMs": "1h"},
        {"max_attempts": 2},
    ],
)
def test_other_values_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, ChannelRetry)
