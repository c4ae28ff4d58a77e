"""Replay runs: their definitions and progress. One process works on a run at a time, under a lease."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from filas.models.record import Page
from filas.models.replay_runs import (
    ClaimedReplayRun,
    RefusedRow,
    ReplayDefinition,
    ReplayProgress,
    ReplayRun,
    ReplayRunStatus,
)
from filas.repository.postgres import paging
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import from_json, to_json

MAX_REFUSED: Final = 100
"""How many refused rows of a run are stored."""

START: Final = """
insert into replay_runs (id, definition, status, rate, expected, started_by)
values ($1, $2::json, 'running', $3, $4, $5)
on conflict (id) do nothing"""

GET: Final = "select * from replay_runs where id = $1"

CLAIM: Final = """
with free as (
    select id from replay_runs
    where status = 'running' and (owner = $1 or lease_until is null or lease_until < now())
    order by started_at limit $3 for update skip locked
)
update replay_runs r set owner = $1, lease_until = now() + make_interval(secs => $2)
from free where r.id = free.id
returning r.*"""

# Only the owner saves. The status may have become `stopped` meanwhile; what was done is counted nevertheless.
SAVE: Final = """
update replay_runs set handled = handled + $3, replayed = replayed + $4, refusals = refusals + $5, refused = $6::json,
    position_at = coalesce($7, position_at), position_id = coalesce($8, position_id),
    lease_until = now() + make_interval(secs => $9), updated_at = now()
where id = $1 and owner = $2
returning *"""

END: Final = """
update replay_runs set status = $2, error = $3, ended_at = now(), updated_at = now()
where id = $1 and status = 'running'
returning *"""

RATE: Final = """
update replay_runs set rate = $2, updated_at = now() where id = $1 and status = 'running' returning *"""

# Of a dead letter: whether the job of its replay is a dead letter too.
FAILED_AGAIN: Final = {
    "dead-letters": """
select count(*) from dead_letters d
where d.replay_run = $1 and exists (
    select from dead_letters again where again.queue = d.queue and again.job_id = d.replayed_job_id offset 0)""",
    "executions": """
select count(*) from executions where replay_run = $1 and coalesce(status, '') in ('failed', 'timed-out')""",
    "events": "select count(*) from events where replay_run = $1 and coalesce(status, '') = 'failed'",
}


class ReplayRunRepository:
    """The table `replay_runs`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(
        self, run_id: UUID, definition: ReplayDefinition, *, rate: float | None, expected: int | None, started_by: str
    ) -> ReplayRun | None:
        """Stores a run, which a process then claims. A second call with the same id changes nothing."""
        await self._database.fetch(START, run_id, to_json(definition), rate, expected, started_by)
        return await self.get(run_id)

    async def get(self, run_id: UUID) -> ReplayRun | None:
        """The run, or None."""
        row = await self._database.fetchrow(GET, run_id)
        return None if row is None else _run(row)

    async def failed_again(self, run: ReplayRun) -> int:
        """How many of the rows that the run has replayed have failed again."""
        count: int = await self._database.fetchval(FAILED_AGAIN[run.definition.kind], run.id)
        return count

    async def list(self, cursor: str | None = None, limit: int = paging.DEFAULT_LIMIT) -> Page:
        """One page of the runs, the newest first. Raises InvalidCursor."""
        limit = paging.bounded(limit)
        search = paging.Filter()
        search.before(cursor, "started_at")
        order = ("order by started_at desc, id desc limit", search.place(limit + 1))
        statement = " ".join(("select * from replay_runs", search.where(), *order))
        rows = await self._database.fetch(statement, *search.arguments)
        return paging.page_by_time(rows, limit, "started_at", _run)

    async def claim(self, owner: str, lease_s: float, limit: int) -> Sequence[ClaimedReplayRun]:
        """The running runs of this owner, and those that no process works on, the oldest first. Each is the owner's for
        `lease_s` seconds."""
        rows = await self._database.fetch(CLAIM, owner, lease_s, limit)
        return [
            ClaimedReplayRun(run=_run(row), position_at=row["position_at"], position_id=row["position_id"])
            for row in sorted(rows, key=lambda row: (row["started_at"], row["id"]))
        ]

    async def save(
        self, claimed: ClaimedReplayRun, progress: ReplayProgress, owner: str, lease_s: float
    ) -> ReplayRun | None:
        """Adds the progress to the run. Returns the run as it is then; None if another process works on it."""
        refused = [*claimed.run.refused, *progress.refused][:MAX_REFUSED]
        row = await self._database.fetchrow(
            SAVE,
            claimed.run.id,
            owner,
            progress.handled,
            progress.replayed,
            len(progress.refused),
            to_json(refused),
            progress.position_at,
            progress.position_id,
            lease_s,
        )
        return None if row is None else _run(row)

    async def end(self, run_id: UUID, status: ReplayRunStatus, error: str | None = None) -> ReplayRun | None:
        """Ends a running run. None if it does not run."""
        row = await self._database.fetchrow(END, run_id, status, error)
        return None if row is None else _run(row)

    async def set_rate(self, run_id: UUID, rate: float | None) -> ReplayRun | None:
        """Changes the rate of a running run. None if it does not run."""
        row = await self._database.fetchrow(RATE, run_id, rate)
        return None if row is None else _run(row)


def _run(row: asyncpg.Record) -> ReplayRun:
    return ReplayRun(
        id=row["id"],
        definition=msgspec.convert(from_json(row["definition"]), ReplayDefinition),
        status=row["status"],
        rate=row["rate"],
        expected=row["expected"],
        handled=row["handled"],
        replayed=row["replayed"],
        refused_count=row["refusals"],
        refused=msgspec.convert(from_json(row["refused"]), list[RefusedRow]),
        error=row["error"],
        started_by=row["started_by"],
        started_at=row["started_at"],
        updated_at=row["updated_at"],
        ended_at=row["ended_at"],
    )
