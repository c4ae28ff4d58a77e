"""When messages come back to a destination that takes nothing at present."""

import pytest

from notifier.deliver.channel_admission import FORGOTTEN_S, SPREAD_S, Returns


class Clock:
    """Stands still unless told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_they_come_back_one_behind_the_other(clock: Clock) -> None:
    """However many wait, and whenever each was told."""
    returns = Returns(clock)
    assert [returns.place("d", 10.0) for _ in range(3)] == pytest.approx([10.0, 10.0 + SPREAD_S, 10.0 + 2 * SPREAD_S])
    clock.now += 4.0
    assert returns.place("d", 6.0) == pytest.approx(6.0 + 3 * SPREAD_S)
    assert returns.place("other", 6.0) == 6.0


def test_a_longer_pause_begins_a_new_row_at_its_end(clock: Clock) -> None:
    returns = Returns(clock)
    returns.place("d", 1.0)
    assert returns.place("d", 5.0) == 5.0


def test_a_pause_that_redis_has_forgotten_holds_nobody_back(clock: Clock) -> None:
    """What was said before it was emptied would keep them for its whole length."""
    returns = Returns(clock)
    returns.place("d", 3600.0)
    assert returns.place("d", 1.0) == 1.0
    assert returns.place("d", 1.0) == pytest.approx(1.0 + SPREAD_S)


def test_a_row_that_is_still_coming_back_is_stood_behind(clock: Clock) -> None:
    """Its pause is over, its messages are not all here: the next refusal does not overtake them."""
    returns = Returns(clock)
    row = [returns.place("d", 1.0) for _ in range(2000)]
    clock.now += 1.0 + FORGOTTEN_S
    assert returns.place("d", 0.25) == pytest.approx(row[-1] + SPREAD_S - 1.0 - FORGOTTEN_S)
