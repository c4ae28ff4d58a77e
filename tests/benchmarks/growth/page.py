"""The table of docs/operations/scale.md about stored data."""

from __future__ import annotations

from typing import Final

from tests.benchmarks.report.results import PartResult
from tests.benchmarks.simulation.tables import table

FIGURES: Final = {
    "with-message": ("flows/s", "p99 ms", "CPU ms", "postgres, CPU ms", "WAL bytes", "WAL page images"),
    "without-message": ("flows/s", "p99 ms", "CPU ms", "postgres, CPU ms", "WAL bytes"),
    "receiving": ("requests/s", "p99 ms", "ingest, CPU ms", "postgres, CPU ms", "WAL bytes"),
}
TITLES: Final = {
    "with-message": "a flow with a message",
    "without-message": "a flow without a message",
    "receiving": "receiving alone",
}


def stored_data(result: PartResult, sizes: list[int], events: int) -> str:
    """The medians at each size, and how the largest differs from the smallest."""
    rows = []
    for name, figures in FIGURES.items():
        for figure in figures:
            found = [result.subjects.get(f"{name}, {times}x") for times in sizes]
            values = [None if subject is None else subject.median(figure) for subject in found]
            if any(value is not None for value in values):
                change = values[-1] / values[0] - 1 if values[0] and values[-1] else None
                shown = [
                    "" if value is None else f"{value:,.3g}" if value < 100 else f"{value:,.0f}" for value in values
                ]
                rows.append([f"{TITLES[name]}: {figure}", *shown, "" if change is None else f"{change * 100:+.0f} %"])
    return table(["", *(f"{times * events:,} events" for times in sizes), "change"], rows)


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.3g}" if value < 100 else f"{value:,.0f}"
