"""The saved tests of flows."""

from __future__ import annotations

from typing import Any, Final

import asyncpg

from filas.models.configuration import FlowTestCase
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import from_json, to_json

LIST: Final = "select * from flow_tests where flow_id = $1 order by name"
GET: Final = "select * from flow_tests where flow_id = $1 and name = $2"

# A flow has at most $6 tests. Two calls at the same time may store one more.
SAVE: Final = """
insert into flow_tests (flow_id, name, request, expect, saved_by)
select $1, $2, $3::json, $4::json, $5
where exists (select from flow_tests where flow_id = $1 and name = $2)
    or (select count(*) from flow_tests where flow_id = $1) < $6
on conflict (flow_id, name) do update set
    request = excluded.request, expect = excluded.expect, saved_by = excluded.saved_by, saved_at = now()
returning *"""

DELETE: Final = "delete from flow_tests where flow_id = $1 and name = $2 returning name"


class FlowTestCaseRepository:
    """The table `flow_tests`. Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, flow_id: str) -> list[FlowTestCase]:
        """The tests of the flow, by name."""
        return [_case(row) for row in await self._database.fetch(LIST, flow_id)]

    async def get(self, flow_id: str, name: str) -> FlowTestCase | None:
        """The test with this name, or None."""
        row = await self._database.fetchrow(GET, flow_id, name)
        return _case(row) if row else None

    async def save(
        self, flow_id: str, name: str, request: dict[str, Any], expect: dict[str, Any], *, saved_by: str, limit: int
    ) -> FlowTestCase | None:
        """Stores a test, or replaces the one with its name. None if the flow has `limit` tests with other names."""
        arguments = (flow_id, name, to_json(request), to_json(expect), saved_by, limit)
        row = await self._database.fetchrow(SAVE, *arguments)
        return _case(row) if row else None

    async def delete(self, flow_id: str, name: str) -> bool:
        """Deletes a test. False if there is none with this name."""
        return await self._database.fetchrow(DELETE, flow_id, name) is not None


def _case(row: asyncpg.Record) -> FlowTestCase:
    return FlowTestCase(
        flow_id=row["flow_id"],
        name=row["name"],
        request=from_json(row["request"]),
        expect=from_json(row["expect"]),
        saved_by=row["saved_by"],
        saved_at=row["saved_at"],
    )
