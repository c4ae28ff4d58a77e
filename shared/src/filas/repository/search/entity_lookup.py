"""Finds everything that has an id."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from filas.models.search import Entity
from filas.repository.postgres.database import Database

ROWS_WITH_ID: Final = """
select 'event' as kind, id from events where id = $1
union all select 'execution', id from executions where id = $1
union all select 'notification', id from notifications where id = $1
union all select 'conversation', id from conversations where id = $1
union all select 'contact', id from contacts where id = $1
union all select 'dead-letter', id from dead_letters where id = $1"""

DEFINITIONS_WITH_ID: Final = """
select 'flow' as kind, id from flows where id = $1
union all select 'webhook', id from webhooks where id = $1 and not deleted
union all select 'channel', id from channels where id = $1 and not deleted
union all select 'schedule', id from schedules where id = $1"""


class EntityLookup:
    """The rows and the definitions, by their ids."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self, row_id: UUID) -> list[Entity]:
        """The rows with this id. Raises StoreUnavailable."""
        return [Entity(kind=row["kind"], id=str(row["id"])) for row in await self._database.fetch(ROWS_WITH_ID, row_id)]

    async def definitions(self, name: str) -> list[Entity]:
        """The flow, webhook, channel and schedule with this id. Raises StoreUnavailable."""
        return [Entity(**row) for row in await self._database.fetch(DEFINITIONS_WITH_ID, name)]
