"""Makes a chart, its sentence and its table from the points of figures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from babel.numbers import format_percent

from filas.models.analytics import FAILED_OUTCOMES, Point, Resolution, Series, Totals
from ingest.dashboard.pages.analytics.changes import Change, change_of_count, change_of_share, change_of_time
from ingest.dashboard.pages.analytics.periods import time_label
from ingest.dashboard.pages.analytics.views import ChartKind
from ingest.dashboard.presentation.figures import duration, number
from ingest.dashboard.presentation.plots import Line, Plot, Values, nice_count, nice_ms, plot
from ingest.dashboard.presentation.texts import Reader

MOST_POINTS: Final = 96
MOST_ROWS: Final = 24
NO_VALUE: Final = "\u2013"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as the page shows it. `rows`: time, value, value in the period before. `lines` names what is drawn."""

    kind: ChartKind
    value: str
    detail: str
    change: Change
    drawing: Plot
    x_labels: tuple[str, str, str]
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    step: Resolution
    is_empty: bool


def chart_of(reader: Reader, kind: ChartKind, found: Sequence[Series]) -> Chart:
    """Returns the chart of the sum of the series, which have the same points."""
    present = _merged([one.points for one in found])
    before = _merged([one.previous_points or [] for one in found])
    first = found[0]
    length = first.until - first.since
    middle = first.since + length / 2
    times = [first.since, middle, first.until]
    labels = [time_label(reader, at, first.step, length) for at in times]
    columns, rows = _table(reader, kind, first, _joined(present, MOST_ROWS), _joined(before, MOST_ROWS))
    value, detail, change = _sentence(reader, kind, found)
    return Chart(
        kind=kind,
        value=value,
        detail=detail,
        change=change,
        drawing=_drawn(
            reader, kind, _joined(present, MOST_POINTS), _joined(before, MOST_POINTS), value, first.built_until
        ),
        x_labels=(labels[0], labels[1], labels[2]),
        columns=columns,
        rows=rows,
        step=first.step,
        is_empty=not any(one.count for one in present) and not any(one.count for one in before),
    )


@dataclass(frozen=True, slots=True)
class _Slot:
    """What is known of one or several buckets. Of several, the percentiles are the highest ones."""

    at: datetime
    count: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None


def success_of(totals: Totals) -> float | None:
    """The share that has not failed, 0 to 1. None of nothing."""
    return 1 - failures_of(totals) / totals.count if totals.count else None


def failures_of(totals: Totals) -> int:
    """How many have failed or timed out."""
    return sum(totals.outcomes.get(outcome, 0) for outcome in FAILED_OUTCOMES)


def percent(reader: Reader, share: float) -> str:
    """Writes a share. One that is not 100 % is never rounded to it."""
    rounded = math.floor(share * 1000) / 1000
    return format_percent(rounded, format="#,##0.#%", locale=reader.locale)


def _merged(points: Sequence[Sequence[Point]]) -> list[_Slot]:
    return [
        _Slot(
            at=same[0].at,
            count=sum(one.count for one in same),
            failed=sum(failures_of(one) for one in same),
            p50_ms=same[0].times.p50_ms,
            p95_ms=same[0].times.p95_ms,
        )
        for same in zip(*points, strict=True)
    ]


def _joined(slots: Sequence[_Slot], most: int) -> list[_Slot]:
    """Joins neighbours until there are at most `most`."""
    size = -(-len(slots) // most) or 1
    parts = [slots[start : start + size] for start in range(0, len(slots), size)]
    return [
        _Slot(
            at=part[0].at,
            count=sum(one.count for one in part),
            failed=sum(one.failed for one in part),
            p50_ms=max((one.p50_ms for one in part if one.p50_ms is not None), default=None),
            p95_ms=max((one.p95_ms for one in part if one.p95_ms is not None), default=None),
        )
        for part in parts
    ]


def _drawn(
    reader: Reader,
    kind: ChartKind,
    present: Sequence[_Slot],
    before: Sequence[_Slot],
    value: str,
    built_until: datetime | None,
) -> Plot:
    label = reader.text(f"analytics.chart-{kind.name}") + ": " + value
    if kind.measure == "times":
        highest = max((one.p95_ms for one in (*present, *before) if one.p95_ms is not None), default=0.0)
        lines: list[tuple[Line, Values]] = [
            ("before", [one.p95_ms for one in before]),
            ("thin", [one.p50_ms for one in present]),
            ("strong", [one.p95_ms for one in present]),
        ]
        return plot(lines, label, top=nice_ms(highest), write=lambda ms: duration(reader, ms / 1000))
    if kind.measure == "success":
        lines = [("before", [_share(one) for one in before]), ("strong", [_share(one) for one in present])]
        return plot(lines, label, top=1.0, write=lambda share: percent(reader, share))
    top = nice_count(max((one.count for one in (*present, *before)), default=0))
    # What is not built yet is a gap, not a fall to 0.
    counts = [None if one.count == 0 and built_until and one.at >= built_until else one.count for one in present]
    lines = [("before", [one.count for one in before]), ("strong", counts)]
    return plot(lines, label, top=top, write=lambda count: number(reader, count), filled=True)


def _share(one: _Slot) -> float | None:
    return 1 - one.failed / one.count if one.count else None


def _table(
    reader: Reader, kind: ChartKind, first: Series, present: Sequence[_Slot], before: Sequence[_Slot]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    length = first.until - first.since

    def time(ms: float | None) -> str:
        return NO_VALUE if ms is None else duration(reader, ms / 1000)

    def cells(one: _Slot, other: _Slot) -> tuple[str, ...]:
        if kind.measure == "times":
            return time(one.p50_ms), time(one.p95_ms), time(other.p95_ms)
        if kind.measure == "success":
            shares = (NO_VALUE if (share := _share(each)) is None else percent(reader, share) for each in (one, other))
            return (*shares, number(reader, one.failed))
        return number(reader, one.count), number(reader, other.count)

    names = {
        "times": ("column-p50", "column-p95", "column-p95-before"),
        "success": ("column-success", "column-before", "column-failed"),
        "count": ("column-count", "column-before"),
    }
    columns = tuple(reader.text(f"analytics.{name}") for name in names[kind.measure])
    rows = [
        (time_label(reader, one.at, first.step, length), *cells(one, other))
        for one, other in zip(present, before, strict=True)
    ]
    return columns, rows


def _sentence(reader: Reader, kind: ChartKind, found: Sequence[Series]) -> tuple[str, str, Change]:
    """The value of the period, a detail, and the change since the period before."""
    total, previous = found[0].total, found[0].previous
    if kind.measure == "times":
        p95, p50 = total.times.p95_ms, total.times.p50_ms
        change = change_of_time(reader, p95, previous.times.p95_ms)
        if p95 is None or p50 is None:
            return NO_VALUE, reader.text("analytics.no-times"), change
        p99 = total.times.p99_ms or p95
        parts = {"p50": duration(reader, p50 / 1000), "p99": duration(reader, p99 / 1000)}
        return duration(reader, p95 / 1000), reader.text("analytics.p95", **parts), change
    if kind.measure == "success":
        share = success_of(total)
        change = change_of_share(reader, share, success_of(previous))
        if share is None:
            return NO_VALUE, reader.text("analytics.nothing"), change
        failed = failures_of(total)
        parts = {"failed": number(reader, failed), "total": number(reader, total.count)}
        return percent(reader, share), reader.text("analytics.failed-of", count=failed, **parts), change
    count, earlier = sum(one.total.count for one in found), sum(one.previous.count for one in found)
    is_bad = kind.name == "retries"
    return number(reader, count), "", change_of_count(reader, count, earlier, more_is_bad=is_bad)
