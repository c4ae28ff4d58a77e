"""Reads the traffic of one flow from rollups, and where its executions wait now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from filas.models.analytics import FAILED_OUTCOMES, Times
from filas.repository.analytics.rollup_queries import BUILT_UNTIL, SUMS, RollupSum, Span
from filas.repository.postgres.database import Database

MAX_WAITING: Final = 1000
"""How many executions that have not ended are examined."""

MAX_TIMED: Final = 100
"""How many nodes have percentiles: those with the most visits."""

FIGURES: Final = ("nodes", "outputs", "endings")

# $1: the resolution. $2: the figures. $3: the buckets. $4: the flow. Each bucket is looked up.
COUNTS: Final = """
select f.figure, r.part, r.outcome, sum(r.count)::bigint as count
from unnest($3::timestamptz[]) as b (at) cross join unnest($2::text[]) as f (figure)
    cross join lateral (
        select part, outcome, count from rollups
        where resolution = $1 and figure = f.figure and at = b.at and subject = $4 offset 0) r
group by f.figure, r.part, r.outcome"""

# $2: the nodes. The histograms of other nodes are not read.
TIMES: Final = f"""
select n.part, '' as outcome, {SUMS}
from unnest($3::timestamptz[]) as b (at) cross join unnest($2::text[]) as n (part)
    cross join lateral (
        select * from rollups
        where resolution = $1 and figure = 'nodes' and at = b.at and subject = $4 and part = n.part offset 0) r
group by n.part"""  # noqa: S608 -- only the names of columns

# The day since which endings are counted, and the first day of all. While the history is being built, endings are
# complete from its end only.
COUNTED_SINCE: Final = """
select coalesce(
        (select until_at from rollup_progress where source = 'steps' and pass = 'history' and next_at < until_at),
        (select min(at) from rollups where resolution = 'day' and figure = 'endings')) as endings,
    (select min(at) from rollups where resolution = 'day' and figure = 'executions') as first"""

# $1: the flow. $2: how many executions are examined. The step that waits is the last one.
WAITING: Final = """
with unfinished as materialized (
    select id, status from executions where flow_id = $1 and ended_at is null limit $2
)
select s.node_id, count(*) as waiting, (select count(*) from unfinished) as examined
from unfinished u left join lateral (
    select node_id from steps where execution_id = u.id and status in ('waiting', 'retrying')
    order by seq desc limit 1) s on true
group by s.node_id"""


# $1: the hours. $2: the flows. $3: the outcomes of failures.
ACTIVITY: Final = """
select s.subject, b.at, sum(r.count)::bigint as count,
    coalesce(sum(r.count) filter (where r.outcome = any ($3::text[])), 0)::bigint as failed
from unnest($1::timestamptz[]) as b (at) cross join unnest($2::text[]) as s (subject)
    cross join lateral (
        select outcome, count from rollups
        where resolution = 'hour' and figure = 'executions' and at = b.at and subject = s.subject offset 0) r
group by s.subject, b.at"""


class HourOfFlow(NamedTuple):
    """How many executions of a flow ended in an hour, and how many of them failed or timed out."""

    at: datetime
    executions: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficFigures:
    """The traffic of a flow by the names of nodes in traces. `visits` and `endings` are by status, `outputs` by handle.
    `times` are of the MAX_TIMED nodes with the most visits."""

    built_until: datetime | None
    edges_since: datetime | None
    visits: Mapping[str, Mapping[str, int]]
    times: Mapping[str, Times]
    outputs: Mapping[str, Mapping[str, int]]
    endings: Mapping[str, Mapping[str, int]]
    waiting: Mapping[str, int]
    waiting_complete: bool


class TrafficRepository:
    """The tables `rollups` and `executions`, for the traffic of a flow."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def figures(self, flow_id: str, span: Span) -> TrafficFigures:
        """The figures of a flow in `span`. Raises StoreUnavailable."""
        arguments = span.buckets(), flow_id
        counts: dict[str, dict[str, dict[str, int]]] = {figure: {} for figure in FIGURES}
        for row in await self._database.fetch(COUNTS, span.step, list(FIGURES), *arguments):
            counts[row["figure"]].setdefault(row["part"], {})[row["outcome"]] = row["count"]
        visits = counts["nodes"]
        busiest = sorted(visits, key=lambda name: (-sum(visits[name].values()), name))[:MAX_TIMED]
        times: dict[str, RollupSum] = {}
        for row in await self._database.fetch(TIMES, span.step, busiest, *arguments):
            times.setdefault(row["part"], RollupSum()).add(row)
        waiting = await self._database.fetch(WAITING, flow_id, MAX_WAITING)
        return TrafficFigures(
            built_until=await self._database.fetchval(BUILT_UNTIL, ["steps"]),
            edges_since=await self._edges_since(span),
            visits=visits,
            times={name: one.totals().times for name, one in times.items()},
            outputs=counts["outputs"],
            endings=counts["endings"],
            waiting={row["node_id"]: row["waiting"] for row in waiting if row["node_id"] is not None},
            waiting_complete=all(row["examined"] < MAX_WAITING for row in waiting),
        )

    async def activity(self, flow_ids: Sequence[str], hours: Sequence[datetime]) -> dict[str, list[HourOfFlow]]:
        """The hours in which executions of each flow ended. Raises StoreUnavailable."""
        found: dict[str, list[HourOfFlow]] = {flow_id: [] for flow_id in flow_ids}
        for row in await self._database.fetch(ACTIVITY, list(hours), list(flow_ids), list(FAILED_OUTCOMES)):
            found[row["subject"]].append(HourOfFlow(row["at"], row["count"], row["failed"]))
        return found

    async def _edges_since(self, span: Span) -> datetime | None:
        row = await self._database.fetchrow(COUNTED_SINCE)
        if row is None or row["first"] is None or row["endings"] is None or row["first"] >= row["endings"]:
            return None
        since: datetime = row["endings"]
        return since if span.since < since else None
