"""Reads rollups: a figure over time or by subject, with percentiles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import asyncpg

from filas.models.analytics import (
    ALL,
    FAILED_OUTCOMES,
    ONLY_COUNTED,
    WIDTHS,
    Comparison,
    Figure,
    Group,
    GroupOrder,
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

SUMS: Final = "sum(count)::bigint as count, sum(sum_ms) as sum_ms, " + ", ".join(
    f"sum({column})::bigint as {column}" for column in COLUMNS
)
"""The columns of RollupSum.add, added up."""

_MEASURED: Final = " + ".join(f"coalesce({column}, 0)" for column in COLUMNS)


def _composed(statement: str) -> str:
    return statement.replace("{sums}", SUMS)


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

# $1: the resolution. $2: the figure. $3: the buckets. $4: the number of subjects. Only their histograms are read.
# $5: the buckets of the period before, of which only the counts are read.
_GROUPS: Final = _composed("""
with chosen as materialized (
    select r.subject, r.part, {rank} as rank
    from unnest($3::timestamptz[]) as b (at) cross join lateral (
        select {ranked} from rollups
        where resolution = $1 and figure = $2 and at = b.at and subject <> '*' offset 0) r
    group by r.subject, r.part having {rank} > 0 order by 3 desc, 1, 2 limit $4
)
select c.rank, c.subject, c.part, r.outcome, true as present, {sums}
from chosen c cross join unnest($3::timestamptz[]) as b (at) cross join lateral (
    select * from rollups
    where resolution = $1 and figure = $2 and at = b.at and subject = c.subject and part = c.part offset 0) r
group by c.subject, c.part, c.rank, r.outcome
union all
select c.rank, c.subject, c.part, r.outcome, false, sum(count)::bigint, 0, {nothing}
from chosen c cross join unnest($5::timestamptz[]) as b (at) cross join lateral (
    select outcome, count from rollups
    where resolution = $1 and figure = $2 and at = b.at and subject = c.subject and part = c.part offset 0) r
group by c.subject, c.part, c.rank, r.outcome
order by 1 desc, 2, 3""").replace("{nothing}", ", ".join(["null"] * BUCKETS))

_FAILED: Final = ", ".join(f"'{outcome}'" for outcome in FAILED_OUTCOMES)
_RANKS: Final[dict[GroupOrder, tuple[str, str]]] = {
    "count": ("sum(r.count)", "subject, part, count"),
    "failures": (f"coalesce(sum(r.count) filter (where r.outcome in ({_FAILED})), 0)", "subject, part, outcome, count"),
    "slowest": (
        "coalesce(sum(r.sum_ms) / nullif(sum(r.measured), 0), 0)",
        f"subject, part, sum_ms, {_MEASURED} as measured",
    ),
}
"""By what the subjects are ordered, and the columns that it needs."""


def _groups_by(order: GroupOrder) -> str:
    rank, ranked = _RANKS[order]
    return _GROUPS.replace("{rank}", rank).replace("{ranked}", ranked)


def _of_subject(statement: str) -> str:
    return statement.replace("subject <> '*'", "subject = $6")


GROUPS_BY_COUNT: Final = _groups_by("count")
GROUPS_BY_FAILURES: Final = _groups_by("failures")
GROUPS_BY_TIME: Final = _groups_by("slowest")
NODES_BY_COUNT: Final = _of_subject(GROUPS_BY_COUNT)
NODES_BY_FAILURES: Final = _of_subject(GROUPS_BY_FAILURES)
NODES_BY_TIME: Final = _of_subject(GROUPS_BY_TIME)
"""The groups of one subject, $6: the nodes of a flow."""

# Of a figure without outcomes and times, `chosen` has everything.
COUNTS: Final = re.sub(
    r"\)\nselect c\.rank.*",
    """), earlier as materialized (
    select r.subject, r.part, sum(r.count)::bigint as total
    from unnest($5::timestamptz[]) as b (at) cross join lateral (
        select subject, part, count from rollups
        where resolution = $1 and figure = $2 and at = b.at and subject <> '*' offset 0) r
    group by r.subject, r.part
)
select rank, subject, part, '' as outcome, true as present, rank::bigint as count, 0 as sum_ms from chosen
union all
select c.rank, subject, part, '', false, e.total, 0 from chosen c join earlier e using (subject, part)
order by 1 desc, 2, 3""",
    GROUPS_BY_COUNT,
    flags=re.DOTALL,
)
COUNTS_OF_SUBJECT: Final = _of_subject(COUNTS)

_ORDERED: Final[dict[GroupOrder, tuple[str, str]]] = {
    "count": (GROUPS_BY_COUNT, NODES_BY_COUNT),
    "failures": (GROUPS_BY_FAILURES, NODES_BY_FAILURES),
    "slowest": (GROUPS_BY_TIME, NODES_BY_TIME),
}
"""Each order with its statements for all subjects and for one."""

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
class RollupSum:
    """Rows of rollups, added up."""

    outcomes: dict[str, int] = field(default_factory=dict)
    count: int = 0
    sum_ms: float = 0.0
    histogram: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, row: asyncpg.Record) -> None:
        """Adds a row of a statement with SUMS and `outcome`."""
        self.count += row["count"]
        self.sum_ms += row["sum_ms"]
        if row["outcome"]:
            self.outcomes[row["outcome"]] = self.outcomes.get(row["outcome"], 0) + row["count"]
        for bucket, column in enumerate(COLUMNS if COLUMNS[0] in row else ()):
            self.histogram[bucket] += row[column] or 0

    def totals(self) -> Totals:
        """The sum as an answer shows it."""
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

    async def series(
        self, figure: Figure, span: Span, *, subject: str | None, part: str | None, with_previous: bool = False
    ) -> Series:
        """A figure over time, of one subject and part or of all. `with_previous`: also the points of the span before.
        Raises StoreUnavailable."""
        if subject is None and figure not in WITHOUT_SUM:
            subject = ALL
        rows = await self._series(span, [figure], subject, part)
        read_before = self._series if with_previous else self._totals
        earlier = await read_before(span.before(), [figure], subject, part)
        return Series(
            figure=figure,
            step=span.step,
            since=span.since,
            until=span.until,
            built_until=await self._built_until([figure]),
            total=_total(rows),
            previous=_total(earlier),
            points=_points(span, rows),
            previous_points=_points(span.before(), earlier) if with_previous else None,
        )

    async def groups(
        self, figure: Figure, span: Span, *, subject: str | None, limit: int, order: GroupOrder = "count"
    ) -> Groups:
        """A figure by subject and part, ordered. Raises StoreUnavailable."""
        arguments: list[object] = [span.step, figure, span.buckets(), limit + 1, span.before().buckets()]
        of_all, of_one = _ORDERED[order]
        if figure in ONLY_COUNTED and order == "count":
            of_all, of_one = COUNTS, COUNTS_OF_SUBJECT
        if subject is None:
            rows = await self._database.fetch(of_all, *arguments)
        else:
            rows = await self._database.fetch(of_one, *arguments, subject)
        found: dict[tuple[str, str], tuple[RollupSum, RollupSum]] = {}
        for row in rows:
            present, previous = found.setdefault((row["subject"], row["part"]), (RollupSum(), RollupSum()))
            (present if row["present"] else previous).add(row)
        groups = [
            _group(subject, part, present.totals(), previous) for (subject, part), (present, previous) in found.items()
        ]
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
    total = RollupSum()
    for row in rows:
        total.add(row)
    return total.totals()


def _points(span: Span, rows: Iterable[asyncpg.Record]) -> list[Point]:
    found = {at: RollupSum() for at in span.buckets()}
    for row in rows:
        found[row["at"]].add(row)
    return [_point(at, one.totals()) for at, one in found.items()]


def _point(at: datetime, totals: Totals) -> Point:
    return Point(at=at, count=totals.count, outcomes=totals.outcomes, times=totals.times)


def _group(subject: str, part: str, totals: Totals, previous: RollupSum) -> Group:
    return Group(
        subject=subject,
        node_id=part or None,
        count=totals.count,
        outcomes=totals.outcomes,
        times=totals.times,
        previous_count=previous.count,
        previous_outcomes=dict(sorted(previous.outcomes.items())),
    )


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)
