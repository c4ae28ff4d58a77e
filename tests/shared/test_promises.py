"""docs/operations/promises.md names tests, faults and checks that exist, and each fault and check of the chaos runs."""

import re

import pytest

from tests.chaos.checker import CHECKS
from tests.chaos.schedule import KINDS
from tests.documents import ROOT

PAGE = ROOT / "docs/operations/promises.md"
COLUMNS = 5
CHAOS = 3
"""The column of the chaos runs."""

NAMES = {*KINDS, *(check.__name__ for check in CHECKS)}


def rows() -> list[list[str]]:
    """The cells of each promise."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| **")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


ROWS = rows()
PROMISES = [re.sub(r"[^a-z ]", "", row[0].lower())[:60] for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=PROMISES)
def test_a_promise_names_what_exists(row: list[str]) -> None:
    """Each row states what could break the promise, what tries to, and what is not covered. Its tests exist."""
    assert len(row) == COLUMNS
    assert all(row)
    tests = re.findall(r"\[(\w+)\]\(([^)]+)\)", row[2])
    assert tests, "no test tries to break it"
    for name, link in tests:
        text = (PAGE.parent / link).read_text()
        assert re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE), f"{link} has no {name}"
    assert set(re.findall(r"`([^`]+)`", row[CHAOS])) <= NAMES


def test_every_fault_and_check_of_the_chaos_runs_belongs_to_a_promise() -> None:
    """If this fails for a new one, add its name to the column of the chaos runs in the row of its promise."""
    named = {name for row in ROWS for name in re.findall(r"`([^`]+)`", row[CHAOS])}
    assert sorted(NAMES - named) == []


def test_each_row_of_the_page_is_read() -> None:
    """A row that does not begin as the others would not be checked."""
    text = PAGE.read_text()
    headings = len(re.findall(r"^\| promise \|", text, re.MULTILINE))
    assert len(ROWS) == text.count("\n|") - 2 * headings + text.startswith("|")
