"""A series that grows is found, and one that is flat, steps once, swings or is noisy is not."""

import random

import pytest

from tests.soak.growth import Bound, Trend, trend

BOUND = Bound(0.05, 2)
"""5 %, or 2."""


def noise(seed: int, spread: float, *, base: float = 100.0, minutes: int = 95) -> list[float]:
    """Values around `base`."""
    chance = random.Random(seed)
    return [chance.gauss(base, spread) for _ in range(minutes)]


def known(values: list[float] | list[float | None]) -> Trend:
    """The trend of a series that is long enough."""
    found = trend([*values])
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(100))
def test_growth_is_found_in_noise(seed: int) -> None:
    grown = [value + minute * 10 / 95 for minute, value in enumerate(noise(seed, 2))]
    found = known(grown)
    assert found.exceeds(BOUND)
    assert found.growth == pytest.approx(10, abs=3)


@pytest.mark.parametrize("seed", range(20))
def test_growth_within_the_bound_is_allowed(seed: int) -> None:
    assert not known([value + minute * 3 / 95 for minute, value in enumerate(noise(seed, 0.5))]).exceeds(BOUND)


@pytest.mark.parametrize("spread", [0, 0.1, 2, 30])
@pytest.mark.parametrize("seed", range(10))
def test_a_flat_series_does_not_grow(seed: int, spread: float) -> None:
    assert not known(noise(seed, spread)).exceeds(BOUND)


@pytest.mark.parametrize("at", range(5, 95, 5))
def test_a_single_step_is_no_growth(at: int) -> None:
    """Memory that was needed once stays with the process."""
    assert not known([100.0] * at + [130.0] * (95 - at)).exceeds(BOUND)


def test_growth_that_ends_is_no_growth() -> None:
    """A cache that is full."""
    assert not known([100.0 + min(minute, 40) for minute in range(95)]).exceeds(BOUND)


def test_steps_that_follow_one_another_are_growth() -> None:
    assert known([100.0 + minute // 19 * 5 for minute in range(95)]).exceeds(BOUND)


def test_a_series_that_falls_does_not_grow() -> None:
    assert not known([100.0 - minute for minute in range(95)]).exceeds(BOUND)


def test_a_series_that_swings_does_not_grow() -> None:
    """Dead rows between two runs of autovacuum."""
    assert not known([float(minute % 7) * 100 for minute in range(95)]).exceeds(Bound(0.05, 20))


def test_outliers_and_missing_values_change_nothing() -> None:
    grown: list[float | None] = [100 + minute * 10 / 95 for minute in range(95)]
    for minute in range(0, 95, 5):
        grown[minute] = 5000.0 if minute % 2 else None
    assert known(grown).exceeds(BOUND)
    flat: list[float | None] = [*noise(1, 1)]
    for minute in range(60, 95, 4):
        flat[minute] = 5000.0
    assert not known(flat).exceeds(BOUND)


def test_a_short_series_is_not_judged() -> None:
    assert trend([1.0, 2.0, 3.0, None, 4.0]) is None


def test_the_bound_is_the_larger_of_share_and_amount() -> None:
    assert BOUND.of(10) == 2
    assert BOUND.of(1000) == 50
