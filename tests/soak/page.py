"""Makes docs/operations/soak.md and its plots from the recorded results.

    python -m tests.soak.page [RESULTS]

RESULTS is copied to docs/operations/soak/results.json first.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks.report.numbers import number
from tests.benchmarks.report.tables import table
from tests.benchmarks.trees import REPOSITORY
from tests.soak.judgement import EXPLAINED, NOT_JUDGED, Judged, breaches, first_minute, judged
from tests.soak.plots import PLOTS, plots
from tests.soak.results import Results, load, save

PAGE: Final = REPOSITORY / "docs" / "operations" / "soak.md"
FILES: Final = REPOSITORY / "docs" / "operations" / "soak"
RESULTS: Final = FILES / "results.json"
CLOSEST: Final = 10
"""So many of the indexes are shown: those whose growth is the largest part of what is allowed."""

INTRODUCTION: Final = Path(__file__).with_name("introduction.md")


def page(results: Results) -> str:
    """The text of the page."""
    series = judged(results)
    indexes = sorted((one for one in series if one.name.startswith("index/")), key=lambda one: -used(one))
    shown = [one for one in series if not one.name.startswith("index/")] + indexes[:CLOSEST]
    period = (
        f"From minute {first_minute(results)} to {results.minutes}. *First* and *last* are the medians of the first "
        f"and the last third. {len(series)} series were judged. Of {len(indexes)} indexes, the "
        f"{len(indexes[:CLOSEST])} closest to their bound are shown."
    )
    parts = [
        INTRODUCTION.read_text(),
        "## The recorded run",
        run(results),
        verdict(results),
        checks(results),
        "## Growth",
        *([period, growth(shown)] if series else ["No series was judged."]),
        "May grow, or is judged in another way:",
        "\n".join(f"- `{name}`: {reason}." for name, reason in {**EXPLAINED, **NOT_JUDGED}.items()),
        "## Plots",
        "The dashed line is the end of the first life cycle.",
        *(f"![{PLOTS[name].title}](soak/{name})" for name in plots(results)),
    ]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def run(results: Results) -> str:
    """What was run, where, and what it has counted."""
    machine = results.machine
    ended = "to its end" if results.ended else "and not to its end, so the checks of the end are missing"
    length = f"{results.minutes} minutes {ended}, {number(results.rate)} webhooks/s"
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    cores = f"{machine.cores} cores, {machine.memory_gib:g} GiB"
    facts = [
        f"{results.measured_on} at {results.commit}: {length}, retention {number(results.retention_minutes)} minutes.",
        f"{machine.cpu}, {cores}, Linux {machine.kernel}; {versions}.",
        results.context,
        *(f"{name}: {number(value)}." for name, value in results.totals.items()),
        *results.notes,
    ]
    return "\n".join(f"- {fact}" for fact in facts if fact)


def verdict(results: Results) -> str:
    """What does not hold, or that everything does."""
    if found := breaches(results):
        return "\n".join(f"- **Breach**: {one}" for one in found)
    return "No check was broken, and no series grew." if judged(results) else "The run is too short to judge growth."


def checks(results: Results) -> str:
    """How often each check held."""
    rows = [[name, number(one.held), number(len(one.broken))] for name, one in results.checks.items()]
    return table(["check", "held", "broken"], rows)


def growth(shown: Iterable[Judged]) -> str:
    """The judged series with their bounds."""
    rows: list[Sequence[str]] = [
        [
            f"`{one.name}`",
            number(one.trend.first),
            number(one.trend.last),
            signed(one.trend.growth),
            number(one.bound.of(one.trend.median)),
            "**too much**" if one.is_broken else "",
        ]
        for one in shown
    ]
    return table(["series", "first", "last", "growth", "allowed", ""], rows)


def used(one: Judged) -> float:
    """The part of its bound that a series has grown by."""
    return one.trend.growth / one.bound.of(one.trend.median)


def signed(value: float) -> str:
    """A growth with its sign."""
    return f"-{number(-value)}" if value < 0 else number(value)


def write(results: Results) -> None:
    """Writes the page and its plots."""
    FILES.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(results))
    for name, svg in plots(results).items():
        (FILES / name).write_text(svg)


def main(arguments: Sequence[str]) -> None:
    """Copies the results if there are others, and writes the page."""
    if arguments:
        save(load(Path(arguments[0])), RESULTS)
    write(load(RESULTS))
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main(sys.argv[1:])
