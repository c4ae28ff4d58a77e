"""Counts failed executions and dead letters by their cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from filas.models.failure_groups import TREND_PARTS, FailureGroup
from filas.models.record import ErrorDetail
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import error_detail

MAX_FAILURES: Final = 100_000
"""How many failures are counted, the newest first."""

MAX_GROUPS: Final = 100

# $1, $2: the searched time. $3: the flow or the queue, or null. $4: the largest number of failures.
_GROUPS: Final = """
select place, fingerprint, part, count(*) as count, min(failed_at) as first, max(failed_at) as last,
    (array_agg(id order by failed_at desc, id))[1] as example, (array_agg(id order by failed_at, id))[1] as oldest,
    min(version) as version
from (
    select {place} as place, fingerprint, id, {time} as failed_at, {version} as version,
        least(floor(extract(epoch from {time} - $1::timestamptz) * {parts}
            / extract(epoch from $2::timestamptz - $1::timestamptz)), {parts} - 1)::integer as part
    from {table}
    where {condition} and {time} >= $1 and {time} < $2 and ($3::text is null or {place} = $3)
    order by {time} desc limit $4
) failures
group by place, fingerprint, part"""

FAILED_EXECUTIONS: Final = _GROUPS.format(
    place="flow_id",
    time="ended_at",
    table="executions",
    condition="error is not null and status in ('failed', 'timed-out')",
    version="version",
    parts=TREND_PARTS,
)
OPEN_DEAD_LETTERS: Final = _GROUPS.format(
    place="queue",
    time="failed_at",
    table="dead_letters",
    condition="replayed_at is null",
    version="null::integer",
    parts=TREND_PARTS,
)

# The job of a flow names its execution: `{flow-processing}:EXECUTION:TURN`.
LETTER_VERSIONS: Final = r"""
select d.id, e.version from dead_letters d
    cross join lateral (select substring(d.job_id from '^\{flow-processing\}:([0-9a-f-]{36}):') as execution_id) j
    join executions e on e.id = j.execution_id::uuid
where d.id = any($1::uuid[]) and d.queue = 'flow-processing'"""

EXECUTION_ERRORS: Final = "select id, error from executions where id = any($1::uuid[])"
DEAD_LETTER_ERRORS: Final = "select id, error from dead_letters where id = any($1::uuid[])"

COUNT_FAILED: Final = """
select count(*) filter (where status = 'failed') as failed, count(*) filter (where status = 'timed-out') as timed_out
from (
    select status from executions
    where error is not null and status in ('failed', 'timed-out') and ended_at >= now() - make_interval(secs => $1)
    limit $2
) failures"""


@dataclass(slots=True)
class _Group:
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None
    example: UUID | None = None
    oldest: UUID | None = None
    version: int | None = None
    trend: list[int] = field(default_factory=lambda: [0] * TREND_PARTS)

    def add(self, row: asyncpg.Record) -> None:
        """Adds one part of the searched time."""
        self.count += row["count"]
        self.trend[row["part"]] += row["count"]
        if self.first is None or row["first"] < self.first:
            self.first, self.oldest = row["first"], row["oldest"]
        if self.last is None or row["last"] > self.last:
            self.last, self.example = row["last"], row["example"]
        if row["version"] is not None and (self.version is None or row["version"] < self.version):
            self.version = row["version"]


class FailureGroupRepository:
    """The failures in `executions` and `dead_letters`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def executions(self, since: datetime, until: datetime, flow_id: str | None = None) -> list[FailureGroup]:
        """The executions that failed or timed out in [`since`, `until`), by flow and fingerprint, the largest groups
        first. At most MAX_GROUPS groups of the newest MAX_FAILURES failures. Raises StoreUnavailable."""
        return await self._groups(FAILED_EXECUTIONS, EXECUTION_ERRORS, since, until, flow_id)

    async def dead_letters(self, since: datetime, until: datetime, queue: str | None = None) -> list[FailureGroup]:
        """The dead letters of [`since`, `until`) that were not replayed, by queue and fingerprint, with the same
        limits."""
        return await self._groups(OPEN_DEAD_LETTERS, DEAD_LETTER_ERRORS, since, until, queue)

    async def count_failed(self, seconds: float) -> tuple[int, int]:
        """How many executions failed, and how many timed out, in the last `seconds`; at most MAX_FAILURES together."""
        row = await self._database.fetchrow(COUNT_FAILED, seconds, MAX_FAILURES)
        return (0, 0) if row is None else (row["failed"], row["timed_out"])

    async def _groups(
        self, statement: str, errors: str, since: datetime, until: datetime, where: str | None
    ) -> list[FailureGroup]:
        groups: dict[tuple[str, str | None], _Group] = {}
        for row in await self._database.fetch(statement, since, until, where, MAX_FAILURES):
            groups.setdefault((row["place"], row["fingerprint"]), _Group()).add(row)
        largest = sorted(groups.items(), key=lambda one: (-one[1].count, one[0][0], one[0][1] or ""))[:MAX_GROUPS]
        found = await self._errors(errors, [group.example for _, group in largest if group.example is not None])
        versions = await self._letter_versions([one.oldest for _, one in largest if one.version is None])
        return [
            FailureGroup(
                where=where,
                fingerprint=fingerprint,
                count=group.count,
                first=group.first,
                last=group.last,
                trend=group.trend,
                example=group.example,
                error=found.get(group.example),
                since_version=versions.get(group.oldest) if group.version is None else group.version,
            )
            for (where, fingerprint), group in largest
            if group.first is not None and group.last is not None and group.example is not None
        ]

    async def _letter_versions(self, ids: Sequence[UUID | None]) -> dict[UUID | None, int]:
        """The versions of the flows of those dead letters that are jobs of executions."""
        rows = await self._database.fetch(LETTER_VERSIONS, [one for one in ids if one is not None]) if ids else []
        return {row["id"]: row["version"] for row in rows}

    async def _errors(self, statement: str, ids: Sequence[UUID]) -> dict[UUID, ErrorDetail | None]:
        rows = await self._database.fetch(statement, ids) if ids else []
        return {row["id"]: error_detail(row["error"]) for row in rows}
