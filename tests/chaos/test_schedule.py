"""The schedule of faults: repeatable, bounded, and never against the loss of more than one store."""

import itertools

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.schedule import KINDS, MOST_AT_ONCE, STORE_PAUSE_S, Fault, schedule

SEEDS = range(20)


def test_every_kind_can_be_made() -> None:
    assert FAULTS.keys() == KINDS.keys()


def test_the_same_seed_gives_the_same_faults() -> None:
    assert schedule(1, 600) == schedule(1, 600)
    assert schedule(1, 600) != schedule(2, 600)


def test_only_the_wanted_kinds() -> None:
    assert {one.kind for one in schedule(1, 600, kinds=["kill", "store-stall"])} == {"kill", "store-stall"}


def test_a_link_of_ingest_counts_as_its_store() -> None:
    """`ingest` accepts webhooks with the other store alone while it cannot reach one."""
    faults = [
        Fault(1, "link-cut", target, 0.0, 1.0) for target in ("ingest/redis", "ingest/postgres", "notifier/redis")
    ]
    assert [one.store for one in faults] == ["redis", "postgres", None]


def test_the_others_stay_if_some_are_left_out() -> None:
    faults = schedule(1, 600)
    assert schedule(1, 600, without=[3, 7]) == [one for one in faults if one.number not in (3, 7)]


@pytest.mark.parametrize("seed", SEEDS)
def test_one_to_three_faults_at_once(seed: int) -> None:
    """They hit different things, end within the run, and every kind occurs in ten minutes."""
    faults = schedule(seed, 600)
    for fault in faults:
        at_once = [one for one in faults if one.at_s <= fault.at_s < one.ends_s]
        assert len(at_once) <= MOST_AT_ONCE
        parts = [part for one in at_once for part in one.parts]
        assert len(parts) == len(set(parts)), at_once
        assert 0 < fault.at_s < fault.ends_s <= 600
    assert {one.kind for one in faults} == set(KINDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_store_works_long_enough_before_the_other_fails(seed: int) -> None:
    of_stores = [one for one in schedule(seed, 600) if one.store is not None]
    for one, other in itertools.combinations(of_stores, 2):
        if one.store != other.store:
            first, second = sorted((one, other), key=lambda each: each.at_s)
            assert first.ends_s + STORE_PAUSE_S <= second.at_s
