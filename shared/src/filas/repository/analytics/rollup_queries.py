"""Reads rollups: a figure over time or by subject, with percentiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import asyncpg

from filas.models.analytics import (
    ALL,
    WIDTHS,
    Comparison,
    Figure,
    Group,
    Groups,
    Overview,
    Point,
    Resolution,
    Series,
    Times,
    Totals,
)
from filas.models.histograms import BUCKETS, percentile
from filas.repository.analytics.rollup_sources import SOURCES, WITHOUT_SUM
from filas.repository.analytics.rollup_sql import COLUMNS
from filas.repository.postgres.database import Database

_SUMS: Final = ", ".join(f"sum({column})::bigint as {column}" for column in COLUMNS)


def _composed(statement: str) -> str:
    return statement.replace("{sums}", f"sum(count)::bigint as count, sum(sum_ms) as sum_ms, {_SUMS}")


# $1: the resolution. $2: the figures. $3: the buckets. $4: the part, or null. Each bucket is looked up, so the rows of
# other times are not read.
SERIES: Final = _composed("""
select b.at, f.figure, r.outcome, {sums}
from unnest($3::timestamptz[]) as b (at) cross join unnest($2::text[]) as f (figure)
    cross join lateral (
        select * from rollups
        where resolution = $1 and figure = f.figure and at = b.at and ($4::text is null or part = $4) offset 0) r
group by b.at, f.figure, r.outcome""")

# $5: the subject. The rows of other subjects are not read either.
SERIES_OF_SUBJECT: Final = _composed("""
select b.at, f.figure, r.outcome, {sums}
from unnest($3::timestamptz[]) as b (at) cross join unnest($2::text[]) as f (figure)
    cross join lateral (
        select * from rollups
        where resolution = $1 and figure = f.figure and at = b.at and subject = $5
            and ($4::text is null or part = $4) offset 0) r
group by b.at, f.figure, r.outcome""")

# As SERIES_OF_SUBJECT and SERIES, without the buckets.
TOTALS_OF_SUBJECT: Final = SERIES_OF_SUBJECT.replace("b.at, f.figure", "f.figure")
TOTALS: Final = SERIES.replace("b.at, f.figure", "f.figure")

# $1: the resolution. $2: the figure. $3: the buckets. $4: the number of subjects, the largest first. Only their
# histograms are read.
GROUPS: Final = _composed("""
with largest as materialized (
    select r.subject, r.part, sum(r.count) as total
    from unnest($3::timestamptz[]) as b (at) cross join lateral (
        select subject, part, count from rollups
        where resolution = $1 and figure = $2 and at = b.at and subject <> '*' offset 0) r
    group by r.subject, r.part order by 3 desc, 1, 2 limit $4
)
select l.subject, l.part, r.outcome, {sums}
from largest l cross join unnest($3::timestamptz[]) as b (at) cross join lateral (
    select * from rollups
    where resolution = $1 and figure = $2 and at = b.at and subject = l.subject and part = l.part offset 0) r
group by l.subject, l.part, l.total, r.outcome
order by l.total desc, l.subject, l.part""")

# $5: the subject.
GROUPS_OF_SUBJECT: Final = GROUPS.replace("subject <> '*'", "subject = $5")

BUILT_UNTIL: Final = """
select min(next_at) from rollup_progress where pass = 'fresh' and source = any ($1::text[])"""


@dataclass(frozen=True, slots=True)
class Span:
    """From the start of a bucket to the end of a bucket, at least one."""

    step: Resolution
    since: datetime
    until: datetime

    def before(self) -> Span:
        """The span of the same length before this one."""
        return replace(self, since=self.since - (self.until - self.since), until=self.since)

    def buckets(self) -> list[datetime]:
        """The starts of its buckets."""
        width = WIDTHS[self.step]
        return [self.since + number * width for number in range((self.until - self.since) // width)]


@dataclass(slots=True)
class _Sum:
    """Rows of rollups, added up."""

    outcomes: dict[str, int] = field(default_factory=dict)
    count: int = 0
    sum_ms: float = 0.0
    histogram: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, row: asyncpg.Record) -> None:
        self.count += row["count"]
        self.sum_ms += row["sum_ms"]
        if row["outcome"]:
            self.outcomes[row["outcome"]] = self.outcomes.get(row["outcome"], 0) + row["count"]
        for bucket, column in enumerate(COLUMNS):
            self.histogram[bucket] += row[column] or 0

    def totals(self) -> Totals:
        measured = sum(self.histogram)
        times = Times(
            measured=measured,
            mean_ms=_rounded(self.sum_ms / measured if measured else None),
            p50_ms=_rounded(percentile(self.histogram, 0.5)),
            p95_ms=_rounded(percentile(self.histogram, 0.95)),
            p99_ms=_rounded(percentile(self.histogram, 0.99)),
        )
        return Totals(count=self.count, outcomes=dict(sorted(self.outcomes.items())), times=times)


class AnalyticsRepository:
    """The table `rollups`, for readers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def overview(self, span: Span) -> Overview:
        """The sums of the figures that have one, compared with the span before. Raises StoreUnavailable."""
        figures = sorted({figure for source in SOURCES for figure, _ in source.figures} - WITHOUT_SUM)
        rows = await self._totals(span, figures, ALL, None)
        earlier = await self._totals(span.before(), figures, ALL, None)
        return Overview(
            step=span.step,
            since=span.since,
            until=span.until,
            built_until=await self._built_until(figures),
            figures={
                figure: Comparison(
                    total=_total(row for row in rows if row["figure"] == figure),
                    previous=_total(row for row in earlier if row["figure"] == figure),
                )
                for figure in figures
            },
        )

    async def series(self, figure: Figure, span: Span, *, subject: str | None, part: str | None) -> Series:
        """A figure over time, of one subject and part or of all. Raises StoreUnavailable."""
        if subject is None and figure not in WITHOUT_SUM:
            subject = ALL
        rows = await self._series(span, [figure], subject, part)
        earlier = await self._totals(span.before(), [figure], subject, part)
        found = {at: _Sum() for at in span.buckets()}
        for row in rows:
            found[row["at"]].add(row)
        return Series(
            figure=figure,
            step=span.step,
            since=span.since,
            until=span.until,
            built_until=await self._built_until([figure]),
            total=_total(rows),
            previous=_total(earlier),
            points=[_point(at, one.totals()) for at, one in found.items()],
        )

    async def groups(self, figure: Figure, span: Span, *, subject: str | None, limit: int) -> Groups:
        """A figure by subject and part, the largest first. Raises StoreUnavailable."""
        arguments: list[object] = [span.step, figure, span.buckets(), limit + 1]
        if subject is None:
            rows = await self._database.fetch(GROUPS, *arguments)
        else:
            rows = await self._database.fetch(GROUPS_OF_SUBJECT, *arguments, subject)
        found: dict[tuple[str, str], _Sum] = {}
        for row in rows:
            found.setdefault((row["subject"], row["part"]), _Sum()).add(row)
        groups = [_group(subject, part, one.totals()) for (subject, part), one in found.items()]
        return Groups(
            figure=figure,
            step=span.step,
            since=span.since,
            until=span.until,
            built_until=await self._built_until([figure]),
            groups=groups[:limit],
            more=len(groups) > limit,
        )

    async def _series(
        self, span: Span, figures: Sequence[str], subject: str | None, part: str | None
    ) -> list[asyncpg.Record]:
        arguments: list[object] = [span.step, list(figures), span.buckets(), part]
        if subject is None:
            return await self._database.fetch(SERIES, *arguments)
        return await self._database.fetch(SERIES_OF_SUBJECT, *arguments, subject)

    async def _totals(
        self, span: Span, figures: Sequence[str], subject: str | None, part: str | None
    ) -> list[asyncpg.Record]:
        arguments: list[object] = [span.step, list(figures), span.buckets(), part]
        if subject is None:
            return await self._database.fetch(TOTALS, *arguments)
        return await self._database.fetch(TOTALS_OF_SUBJECT, *arguments, subject)

    async def _built_until(self, figures: Iterable[str]) -> datetime | None:
        wanted = set(figures)
        sources = [source.name for source in SOURCES if wanted & {figure for figure, _ in source.figures}]
        built: datetime | None = await self._database.fetchval(BUILT_UNTIL, sources)
        return built


def _total(rows: Iterable[asyncpg.Record]) -> Totals:
    total = _Sum()
    for row in rows:
        total.add(row)
    return total.totals()


def _point(at: datetime, totals: Totals) -> Point:
    return Point(at=at, count=totals.count, outcomes=totals.outcomes, times=totals.times)


def _group(subject: str, part: str, totals: Totals) -> Group:
    return Group(
        subject=subject, node_id=part or None, count=totals.count, outcomes=totals.outcomes, times=totals.times
    )


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)
