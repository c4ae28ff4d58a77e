"""How many workers the figures of a queue ask for, and the figures of samples."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.messages.catalogue import text
from ingest.scaling.queue_samples import SETTLED_S, Figures, Sample, Samples
from ingest.scaling.worker_advice import HIGH, Bounds, Reason, advise

BOUNDS = Bounds(least=1, most=10, target_age_s=10)
CALM = Figures(waiting=0, oldest_age_s=0, workers=2, busy=0.7, busy_now=0.7, arrival_rate=100, drain_rate=100)

CASES = [
    ("between the marks nothing moves", {}, 2, "steady"),
    ("above the high mark one more", {"busy": 0.85, "busy_now": 0.85}, 3, "busy"),
    ("exactly at the high mark nothing moves", {"busy": 0.8, "busy_now": 0.8}, 2, "steady"),
    ("well below the low mark fewer", {"workers": 5, "busy": 0.36, "busy_now": 0.4}, 3, "idle"),
    ("an idle queue keeps the least", {"workers": 4, "busy": 0, "busy_now": 0, "arrival_rate": 0}, 1, "idle"),
    ("a backlog counts by the rate that clears it", {"waiting": 1000, "busy": 0.9, "busy_now": 0.9}, 5, "behind"),
    (
        "what arrives faster than it is drained counts too",
        {"waiting": 10, "busy": 1, "busy_now": 1, "arrival_rate": 300},
        8,
        "behind",
    ),
    ("a burst that just filled the slots counts at once", {"waiting": 1000, "busy": 0.1, "busy_now": 1}, 5, "behind"),
    ("a backlog beyond all bounds stops at the most", {"waiting": 10**7, "busy": 1, "busy_now": 1}, 10, "behind"),
    ("a job beyond the target age means one more", {"oldest_age_s": 11, "busy_now": 0.8, "waiting": 1}, 3, "too-old"),
    (
        "long jobs without an ended one: no rate, and still one more beyond the target age",
        {"waiting": 5, "oldest_age_s": 60, "busy": 1, "busy_now": 1, "drain_rate": 0, "arrival_rate": None},
        3,
        "too-old",
    ),
    ("an old job beside free slots: no more", {"waiting": 500, "oldest_age_s": 90, "busy_now": 0.1}, 2, "held"),
    (
        "an old job beside free slots: no fewer",
        {"workers": 5, "waiting": 500, "oldest_age_s": 90, "busy": 0.05, "busy_now": 0.05},
        5,
        "held",
    ),
    ("a paused queue asks for what there is", {"paused": True, "waiting": 10**6, "oldest_age_s": 999}, 2, "paused"),
    ("no worker and waiting jobs: one worker, to begin with", {"workers": 0, "busy": 0, "waiting": 9}, 1, "no-worker"),
    ("no worker and no job: the least", {"workers": 0, "busy": 0}, 1, "empty"),
    (
        "rates unknown: the share of busy slots decides",
        {"waiting": 1000, "busy": 1, "busy_now": 1, "drain_rate": None, "arrival_rate": None},
        3,
        "busy",
    ),
    (
        "arrival rate unknown: the drain rate replaces it",
        {"waiting": 1000, "busy": 0.9, "busy_now": 0.9, "arrival_rate": None},
        5,
        "behind",
    ),
    ("more workers than allowed: the most", {"workers": 20, "busy": 0.7, "busy_now": 0.7}, 10, "steady"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "replicas", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_answer(changes: dict[str, float], replicas: int, code: str) -> None:
    """Each row of the table, with its first reason."""
    advice = advise(replace(CALM, **changes), BOUNDS)  # type: ignore[arg-type]
    assert (advice.replicas, advice.reasons[0].code) == (replicas, code), advice


def test_the_example_of_the_docstring() -> None:
    """The numbers of the example."""
    advice = advise(replace(CALM, busy=0.9, busy_now=0.9, waiting=1000), BOUNDS)
    assert advice.replicas == 5
    assert advice.needed == pytest.approx(3.6)
    later = advise(replace(CALM, workers=5, busy=0.36, busy_now=0.36), BOUNDS)
    assert later.replicas == 3
    assert later.needed == pytest.approx(1.8)


@pytest.mark.parametrize(("least", "most", "code"), [(4, 8, "at-least"), (0, 1, "at-most")])
def test_a_bound_that_decides_is_named(least: int, most: int, code: str) -> None:
    """The last reason shows that a bound decided, and not the figures."""
    advice = advise(CALM, Bounds(least, most, 10))
    assert advice.reasons[-1].code == code
    assert str(least if code == "at-least" else most) in in_words(advice.reasons[-1])[1]


def test_an_idle_queue_may_have_no_worker_if_the_bounds_allow_it() -> None:
    """With a lower bound of 0, an idle queue asks for none."""
    assert advise(replace(CALM, busy=0, busy_now=0, arrival_rate=0), Bounds(0, 5, 10)).replicas == 0


FIGURES = st.builds(
    Figures,
    waiting=st.integers(0, 10**7),
    oldest_age_s=st.floats(0, 10**6),
    workers=st.integers(0, 200),
    busy=st.floats(0, 1),
    busy_now=st.floats(0, 1),
    arrival_rate=st.none() | st.floats(0, 10**5),
    drain_rate=st.none() | st.floats(0, 10**5),
    paused=st.booleans(),
)


def numbers(sentence: str) -> list[str]:
    """The figures in it, with their units."""
    return re.findall(r"\d+(?:\.\d+)?(?: s\b|%)?", sentence)


def in_words(reason: Reason) -> tuple[str, str]:
    """The sentences of the catalogue for a reason, in English and Brazilian Portuguese."""
    message = f"scaling.{reason.code}"
    return text("en", message, **reason.parameters), text("pt-BR", message, **reason.parameters)


def test_one_job_is_singular() -> None:
    """And several jobs are plural, in both languages."""
    without_workers = replace(CALM, workers=0, busy=0)
    [one] = advise(replace(without_workers, waiting=1), BOUNDS).reasons
    [two] = advise(replace(without_workers, waiting=2), BOUNDS).reasons
    assert in_words(one) == ("1 job waits and no worker runs.", "1 job espera e nenhum worker está ativo.")
    assert in_words(two) == ("2 jobs wait and no worker runs.", "2 jobs esperam e nenhum worker está ativo.")


@given(FIGURES, st.integers(0, 5), st.integers(0, 50), st.floats(0.1, 3600))
def test_every_answer_lies_within_the_bounds_and_is_explained(
    figures: Figures, least: int, more: int, age: float
) -> None:
    """In both languages, for all figures."""
    bounds = Bounds(least, least + more, age)
    advice = advise(figures, bounds)
    assert bounds.least <= advice.replicas <= bounds.most
    assert advice.reasons
    for reason in advice.reasons:
        english, portuguese = in_words(reason)
        assert english.endswith(".")
        assert portuguese.endswith(".")
        assert sorted(numbers(english)) == sorted(numbers(portuguese)), "both languages give the same figures"


@given(st.integers(1, 50), st.floats(0.0, 1.0))
def test_an_answer_that_was_followed_asks_for_nothing_more(workers: int, busy: float) -> None:
    """The same load on the number of workers asked for is steady: the answers do not oscillate."""
    figures = replace(CALM, workers=workers, busy=busy, busy_now=busy)
    first = advise(figures, Bounds(1, 1000, 10))
    spread = min(1.0, workers * busy / first.replicas)
    again = advise(replace(figures, workers=first.replicas, busy=spread, busy_now=spread), Bounds(1, 1000, 10))
    assert again.replicas == first.replicas
    assert spread <= HIGH + 1e-6


def sample(at_s: float, **changes: float) -> Sample:
    """A sample of a busy queue."""
    base = Sample(at_s=at_s, waiting=10, backlog=14, oldest_age_s=1, workers=2, running=4, slots=8, drain_rate=50)
    return replace(base, **changes)  # type: ignore[arg-type]


def test_the_arrival_rate_is_the_drain_rate_and_the_growth_of_the_backlog() -> None:
    """Over the window only."""
    samples = Samples(60)
    samples.add(sample(0, backlog=10**6))
    samples.add(sample(100, backlog=100, running=0))
    samples.add(sample(120, backlog=500, running=8, waiting=492))
    figures = samples.figures()
    assert (figures.arrival_rate, figures.drain_rate) == (50 + 400 / 20, 50)
    assert (figures.busy, figures.busy_now, figures.waiting) == (0.5, 1.0, 492)


def test_a_removed_backlog_makes_no_negative_rate() -> None:
    """Jobs removed by an operator are not drained: the rate is at least 0."""
    samples = Samples()
    samples.add(sample(0, backlog=10**6))
    samples.add(sample(30, backlog=0))
    assert samples.figures().arrival_rate == 0.0


def test_a_window_that_is_too_short_gives_no_arrival_rate() -> None:
    """Without a sample there are no figures."""
    samples = Samples()
    with pytest.raises(ValueError, match="no sample"):
        samples.figures()
    samples.add(sample(0))
    samples.add(sample(SETTLED_S - 1, backlog=900))
    assert samples.figures().arrival_rate is None
    assert samples.figures(paused=True).paused


def test_workers_without_slots_are_not_busy() -> None:
    """A queue without workers has no division by 0."""
    samples = Samples()
    samples.add(sample(0, workers=0, running=0, slots=0))
    assert (samples.figures().busy, samples.figures().busy_now) == (0.0, 0.0)
