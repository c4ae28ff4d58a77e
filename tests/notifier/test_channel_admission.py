"""When messages come back to a channel that is paused."""

from unittest.mock import AsyncMock

import pytest

from filas.contract.channel_circuits import AdmissionRequest, ChannelCircuitStore, ChannelLimits, Deferred
from notifier.deliver.bulkhead import Bulkhead
from notifier.deliver.channel_admission import NEW_PAUSE_S, SPREAD_S, ChannelAdmission, ChannelBusy, ReturnTimes


class Clock:
    """A clock that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_messages_come_back_one_after_the_other(clock: Clock) -> None:
    """The interval holds however many messages wait, and whenever each one asked."""
    returns = ReturnTimes(clock)
    assert [returns.next_s("d", 10.0) for _ in range(3)] == pytest.approx([10.0, 10.0 + SPREAD_S, 10.0 + 2 * SPREAD_S])
    clock.now += 4.0
    assert returns.next_s("d", 6.0) == pytest.approx(6.0 + 3 * SPREAD_S)
    assert returns.next_s("other", 6.0) == 6.0


def test_a_longer_pause_starts_a_new_sequence_at_its_end(clock: Clock) -> None:
    returns = ReturnTimes(clock)
    returns.next_s("d", 1.0)
    assert returns.next_s("d", 5.0) == 5.0


def test_a_pause_that_redis_has_lost_delays_no_message(clock: Clock) -> None:
    """The return times from before the loss are ignored."""
    returns = ReturnTimes(clock)
    returns.next_s("d", 3600.0)
    assert returns.next_s("d", 1.0) == 1.0
    assert returns.next_s("d", 1.0) == pytest.approx(1.0 + SPREAD_S)


def test_a_new_message_comes_after_those_that_are_still_to_come_back(clock: Clock) -> None:
    """The pause is over, but not all of its messages are back: the next one does not overtake them."""
    returns = ReturnTimes(clock)
    row = [returns.next_s("d", 1.0) for _ in range(2000)]
    clock.now += 1.0 + NEW_PAUSE_S
    assert returns.next_s("d", 0.25) == pytest.approx(row[-1] + SPREAD_S - 1.0 - NEW_PAUSE_S)


async def test_a_deferred_message_releases_its_slot() -> None:
    """A paused channel must not use up the slots that other channels need."""
    store = AsyncMock(spec=ChannelCircuitStore)
    store.admit.return_value = Deferred(reason="paused", delay_s=1.0)
    slots = Bulkhead(1)
    asked = AdmissionRequest(channel_id="d", id="m", recipient="r", limits=ChannelLimits())
    with pytest.raises(ChannelBusy):
        async with ChannelAdmission(store, slots).admit(asked, "http"):
            raise AssertionError("the message was admitted")
    assert slots._total == 0
