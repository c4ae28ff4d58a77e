"""What the charts of the last hour show: a value for each minute, and the same figures as a table of five minutes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from filas.models.analytics import Series
from ingest.dashboard.live.snapshot import Hour

ROW_MINUTES: Final = 5
_FAILED: Final = {"executions": ("failed", "timed-out"), "deliveries": ("failed",)}


@dataclass(frozen=True, slots=True)
class FiveMinutes:
    """One row of the table. `slowest_ms` is the highest p95 of a minute, None without an answer."""

    at: datetime
    received: int
    failed: int
    slowest_ms: float | None


@dataclass(frozen=True, slots=True)
class HourCharts:
    """The last hour. `failed` counts executions that failed or timed out, and messages that were not delivered.

    `p50_ms` and `p95_ms` are the times from the receipt of an event to its first answer, None without an answer.
    Minutes after `built_until` may be incomplete.
    """

    since: datetime
    until: datetime
    built_until: datetime | None
    received: Sequence[int]
    received_total: int
    received_before: int
    failed: Sequence[int]
    failed_total: int
    failed_before: int
    latency_ms: Sequence[float | None]
    p50_ms: float | None
    p95_ms: float | None
    p95_before_ms: float | None
    rows: Sequence[FiveMinutes]


def charts_of(hour: Hour) -> HourCharts:
    """Returns what the charts show."""
    received = [point.count for point in hour.received.points]
    failed = [
        _failed(hour.executions, index, "executions") + _failed(hour.deliveries, index, "deliveries")
        for index in range(len(received))
    ]
    latency = [point.times.p95_ms for point in hour.answers.points]
    return HourCharts(
        since=hour.received.since,
        until=hour.received.until,
        built_until=hour.received.built_until,
        received=received,
        received_total=hour.received.total.count,
        received_before=hour.received.previous.count,
        failed=failed,
        failed_total=sum(failed),
        failed_before=_failed_before(hour),
        latency_ms=latency,
        p50_ms=hour.answers.total.times.p50_ms,
        p95_ms=hour.answers.total.times.p95_ms,
        p95_before_ms=hour.answers.previous.times.p95_ms,
        rows=[
            FiveMinutes(
                at=hour.received.points[start].at,
                received=sum(received[start : start + ROW_MINUTES]),
                failed=sum(failed[start : start + ROW_MINUTES]),
                slowest_ms=max((one for one in latency[start : start + ROW_MINUTES] if one is not None), default=None),
            )
            for start in range(0, len(received), ROW_MINUTES)
        ],
    )


def _failed(series: Series, index: int, figure: str) -> int:
    outcomes = series.points[index].outcomes
    return sum(outcomes.get(outcome, 0) for outcome in _FAILED[figure])


def _failed_before(hour: Hour) -> int:
    figures = (("executions", hour.executions), ("deliveries", hour.deliveries))
    return sum(series.previous.outcomes.get(outcome, 0) for name, series in figures for outcome in _FAILED[name])
