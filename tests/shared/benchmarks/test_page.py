"""docs/benchmarks.md is what the saved results and the hand-written texts make of it."""

import msgspec
import pytest

from tests.benchmarks.__main__ import FORMS, arguments, parsed
from tests.benchmarks.parts import PARTS
from tests.benchmarks.report.page import PAGE, PLOTS, machines, page, prose_files, saved
from tests.benchmarks.report.plots import middle, plots
from tests.benchmarks.report.results import Machine, PartResult, Subject
from tests.benchmarks.report.sections import SECTIONS

AGAIN = "`.venv/bin/python -m tests.benchmarks.report.page` writes it again"


def part(name: str, **subjects: Subject) -> PartResult:
    """A result with some subjects."""
    return PartResult(
        part=name, measured_on="2026-11-27", commit="bbbbbbbb", form="60 s after 15 s of warm-up",
        machine=Machine("AMD EPYC", 2, 7.8, "6.1"), versions={"Redis": "7.0"}, subjects=dict(subjects),
    )  # fmt: skip


def test_the_page_in_the_repository_is_up_to_date() -> None:
    assert PAGE.read_text() == page(saved(), prose_files()), AGAIN


def test_the_plots_in_the_repository_are_up_to_date() -> None:
    made = plots(saved())
    assert {path.name: path.read_text() for path in PLOTS.glob("*.svg")} == made, AGAIN


def test_a_part_that_was_not_measured_keeps_its_heading() -> None:
    """Links to its section stay valid."""
    text = page({}, {"search": "## Search\n\nBy hand."})
    assert all(f"\n## {section.heading}\n" in text for section in SECTIONS)
    assert text.count("Not measured yet.") == len(SECTIONS)
    assert text.endswith("## Search\n\nBy hand.\n")


def test_a_section_has_its_date_its_rounds_and_the_text_about_causes() -> None:
    found = part("notifier", **{"one notifier, one channel": Subject({"rate": [1000, 1200, 1400], "cpu": [0.5]})})
    found.notes.append("x was left out: y")
    text = page({"notifier": found}, {"notifier": "The goal is missed because of Z."})
    assert "Measured on 2026-11-27 at bbbbbbbb: 3 rounds, 60 s after 15 s of warm-up." in text
    assert "| one notifier, one channel: per second | 1,200 |" in text
    assert "| Notifier | notifications/s to one channel | at least 1,500 | 1,200 | **MISSED by 20 %** |" in text
    assert "- x was left out: y" in text
    assert "The goal is missed because of Z." in text


def test_a_subject_of_two_commits_has_two_rows() -> None:
    found = part("receiving", filas=Subject({"rate": [2000]}, [[1500.0, 2500.0]]))
    found.base, found.base_subjects = "aaaaaaaa", {"filas": Subject({"rate": [1000]}, [[900.0, 1100.0]])}
    text = page({"receiving": found}, {})
    assert "| filas | 2,000 |  |  |  |  |  |  |  | 1,500 to 2,500 |" in text
    assert "| the same at aaaaaaaa | 1,000 |  |  |  |  |  |  |  | 900 to 1,100 |" in text
    assert "in turn with aaaaaaaa" in text


def test_two_machines_are_listed_with_their_parts() -> None:
    one, other = part("queue"), part("price")
    other = msgspec.structs.replace(other, machine=Machine("Intel", 4, 16.0, "6.1"))
    text = machines({"queue": one, "price": other})
    assert "- AMD EPYC, 2 cores, 7.8 GiB, Linux 6.1: queue." in text
    assert "- Intel, 4 cores, 16 GiB, Linux 6.1: price." in text
    assert ": queue" not in machines({"queue": one})


def test_a_line_is_the_median_of_the_rounds() -> None:
    assert middle(Subject({}, [[1, 10, 100], [3, 30], [2, 20, 200]])) == [2, 20]


@pytest.mark.parametrize("part_name", PARTS)
def test_every_part_has_the_length_of_its_form(part_name: str) -> None:
    """What the command line states is used instead of the form's length."""
    assert set(FORMS["short"]) - {""} <= set(PARTS)
    words = arguments(part_name, parsed(["--form", "short", "--seconds", "7", "--base", "HEAD~3"]))
    assert words[words.index("--warm-up") + 1] == "3"
    assert [words[index + 1] for index, word in enumerate(words) if word == "--seconds"][-1] == "7"
    assert ("--base" in words) == (part_name == "whole-way")
    assert "--add" not in words
