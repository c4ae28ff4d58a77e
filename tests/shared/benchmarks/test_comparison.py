"""The comparison of two commits: a change is noticeable, and every round shows it."""

import pytest

from tests.benchmarks.report.comparison import changes, table
from tests.benchmarks.report.results import Machine, PartResult, Subject


def result(here: dict[str, list[float]], base: dict[str, list[float]]) -> PartResult:
    """A part with one subject."""
    return PartResult(
        part="whole-way", measured_on="2026-11-27", commit="bbbbbbbb", form="60 s", machine=Machine("CPU", 2, 8.0, "6"),
        versions={}, subjects={"a subject": Subject(here)}, base="aaaaaaaa", base_subjects={"a subject": Subject(base)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("figure", "here", "base", "verdict"),
    [
        ("rate", [110, 120, 130], [100, 100, 100], "faster"),
        ("rate", [90, 80, 95], [100, 100, 100], "slower"),
        ("cpu flow-runner", [1.2, 1.3, 1.2], [1.0, 1.0, 1.0], "slower"),
        ("wal", [900, 900, 900], [1000, 1000, 1000], "faster"),
        ("rate", [102, 102, 102], [100, 100, 100], "the same"),
        ("rate", [110, 120, 99], [100, 100, 100], "the same"),
    ],
)
def test_a_change_is_noticeable_and_in_every_round(
    figure: str, here: list[float], base: list[float], verdict: str
) -> None:
    """A higher rate is better, and a higher cost is worse."""
    [change] = changes(result({figure: here}, {figure: base}))
    assert change.verdict == verdict


def test_the_ratio_is_that_of_the_medians() -> None:
    [change] = changes(result({"rate": [50, 300, 100]}, {"rate": [50, 50, 400]}))
    assert (change.here, change.base, change.ratio) == (100, 50, 2)
    assert change.rounds == (1.0, 6.0, 0.25)


def test_what_only_one_commit_has_is_left_out() -> None:
    [change] = changes(result({"rate": [1.0], "wal": [5.0]}, {"rate": [1.0], "wal": [0.0]}))
    assert change.figure == "rate"
    assert list(changes(result({"rate": [1.0]}, {}))) == []


def test_the_table_lists_what_became_slower() -> None:
    found = [*changes(result({"rate": [50], "wal": [500]}, {"rate": [100], "wal": [1000]}))]
    text = table(found, "aaaaaaaa", "bbbbbbbb")
    assert "| whole-way | a subject | rate | 100 | 50 | 0.50 | 0.50 | slower |" in text
    assert "Slower or larger than aaaaaaaa: a subject: rate x0.50." in text
    assert "Faster or smaller: a subject: wal x0.50." in text
