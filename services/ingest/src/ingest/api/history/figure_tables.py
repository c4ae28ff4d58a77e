"""Figures over time as CSV, for a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from filas.models.analytics import Groups, Series, Totals
from ingest.api.routing.route_types import CsvTable

TIMES: Final = ("measured", "meanMs", "p50Ms", "p95Ms", "p99Ms")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet calculates a cell that begins with one of these."""

Cell = str | int | float | None


def series_csv(series: Series) -> CsvTable:
    """One row for each bucket of a figure, with the number of each outcome and the times in milliseconds."""
    outcomes = _outcomes(series.points)
    rows = [
        [f"{one.at:%Y-%m-%dT%H:%M:%SZ}", one.count, *(one.outcomes.get(name, 0) for name in outcomes), *_times(one)]
        for one in series.points
    ]
    return _table(["at", "count", *outcomes, *TIMES], rows)


def groups_csv(groups: Groups) -> CsvTable:
    """One row for each subject of a figure. `previousCount` is that of the period before."""
    outcomes = _outcomes(groups.groups)
    rows = [
        [
            one.subject,
            one.node_id or "",
            one.count,
            one.previous_count,
            *(one.outcomes.get(name, 0) for name in outcomes),
            *_times(one),
        ]
        for one in groups.groups
    ]
    return _table(["subject", "node", "count", "previousCount", *outcomes, *TIMES], rows)


def _outcomes(rows: Iterable[Totals]) -> list[str]:
    return sorted({outcome for one in rows for outcome in one.outcomes})


def _times(one: Totals) -> list[Cell]:
    times = one.times
    return [times.measured, times.mean_ms, times.p50_ms, times.p95_ms, times.p99_ms]


def _table(heading: Sequence[str], rows: Iterable[Sequence[Cell]]) -> CsvTable:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_safe(cell) for cell in heading])
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    return CsvTable(text.getvalue())


def _safe(cell: Cell) -> Cell:
    """Returns the cell with an apostrophe in front if a spreadsheet would read it as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
