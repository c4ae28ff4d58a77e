"""Goals: a value is judged by its target, and the distance of a missed one is a share of the target."""

import pytest

from tests.benchmarks.report.goals import GOALS, Goal, judgements, of, row, times, times_base
from tests.benchmarks.report.results import Machine, PartResult, Subject
from tests.benchmarks.report.sections import SECTIONS
from tests.benchmarks.trees import REPOSITORY

RESULT = PartResult(
    part="queue", measured_on="2026-11-27", commit="bbbbbbbb", form="", machine=Machine("CPU", 2, 8.0, "6"),
    versions={},
    subjects={
        "filas": Subject({"process_results": [100, 300, 200], "pickup_p50": [2.5], "idle_cpu": [0.5]}),
        "BullMQ": Subject({"process_results": [100]}),
    },
    base="aaaaaaaa", base_subjects={"filas": Subject({"process_results": [400]})},
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "at_least", "met", "distance", "words"),
    [
        (2.0, True, True, 0.0, "met"),
        (1.5, True, False, 0.25, "**MISSED by 25 %**"),
        (2.0, False, True, 0.0, "met"),
        (3.0, False, False, 0.5, "**MISSED by 50 %**"),
    ],
)
def test_a_value_is_judged_by_its_target(value: float, at_least: bool, met: bool, distance: float, words: str) -> None:
    """The target itself meets the goal."""
    judgement = Goal("a figure", lambda _: value, 2.0, at_least).judged(RESULT)
    assert judgement is not None
    assert (judgement.met, judgement.distance, judgement.words) == (met, distance, words)


def test_values_are_medians_and_their_ratios() -> None:
    assert of("filas", "process_results")(RESULT) == 200
    assert times("filas", "BullMQ", "process_results")(RESULT) == 2.0
    assert times_base("filas", "process_results")(RESULT) == 0.5


def test_what_was_not_measured_is_not_judged() -> None:
    assert times("filas", "BullMQ", "process")(RESULT) is None
    assert times_base("BullMQ", "process_results")(RESULT) is None
    assert [one.goal.words for one in judgements(RESULT)] == [
        "jobs/s with results kept, times BullMQ", "pick-up of a job when idle, p50", "CPU when idle",
    ]  # fmt: skip


def test_the_row_of_a_goal() -> None:
    missed, limit, met = map(row, judgements(RESULT))
    assert missed == ["jobs/s with results kept, times BullMQ", "at least 2.20", "2", "**MISSED by 9 %**"]
    assert limit == ["pick-up of a job when idle, p50", "at most 2 ms", "2.50 ms", "**MISSED by 25 %**"]
    assert met[3] == "met"


def test_every_part_with_goals_has_a_section() -> None:
    assert set(GOALS) <= {section.part for section in SECTIONS}


def test_the_goals_name_subjects_that_the_benchmarks_measure() -> None:
    """Else a goal would silently be missing from the page."""
    source = "".join(path.read_text() for path in (REPOSITORY / "tests" / "benchmarks").rglob("*.py"))
    for subject in ("workers {workers}", "one notifier, ", "beside a busy channel", "one flow-runner"):
        assert f'"{subject}' in source or f'f"{subject}' in source
