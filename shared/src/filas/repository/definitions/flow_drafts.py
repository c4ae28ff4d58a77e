"""The drafts of flows: what an editor keeps before it is published."""

from __future__ import annotations

from typing import Any, Final

import asyncpg

from filas.models.configuration import FlowDraft
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import from_json, to_json

GET: Final = "select * from flow_drafts where flow_id = $1"

# The clock makes a revision larger than that of any draft which was deleted before, so that no editor overwrites a
# draft that it has never read.
SAVE: Final = """
insert into flow_drafts as d (flow_id, definition, revision, base_version, saved_by)
select $1, $2::json, (extract(epoch from clock_timestamp()) * 1000)::bigint, $3, $4
where $5::bigint = 0 or exists (select from flow_drafts where flow_id = $1)
on conflict (flow_id) do update set
    definition = excluded.definition, revision = greatest(d.revision + 1, excluded.revision),
    base_version = excluded.base_version, saved_by = excluded.saved_by, saved_at = now()
where d.revision = $5
returning *"""

DELETE: Final = "delete from flow_drafts where flow_id = $1 and revision = coalesce($2, revision) returning flow_id"


class FlowDraftRepository:
    """The table `flow_drafts`. Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, flow_id: str) -> FlowDraft | None:
        """The draft of the flow, or None."""
        row = await self._database.fetchrow(GET, flow_id)
        return _draft(row) if row else None

    async def save(
        self, flow_id: str, definition: dict[str, Any], *, revision: int, base_version: int, saved_by: str
    ) -> FlowDraft | None:
        """Replaces the draft that has this revision (0: there is no draft), and returns the new one. None if the stored
        draft has another revision, or was deleted."""
        arguments = (flow_id, to_json(definition), base_version, saved_by, revision)
        row = await self._database.fetchrow(SAVE, *arguments)
        return _draft(row) if row else None

    async def delete(self, flow_id: str, revision: int | None = None) -> bool:
        """Deletes the draft, if it has this revision (None: any). False if there is none."""
        return await self._database.fetchrow(DELETE, flow_id, revision) is not None


def _draft(row: asyncpg.Record) -> FlowDraft:
    return FlowDraft(
        flow_id=row["flow_id"],
        definition=from_json(row["definition"]),
        revision=row["revision"],
        base_version=row["base_version"],
        saved_by=row["saved_by"],
        saved_at=row["saved_at"],
    )
