"""How many duplicates of an event were received, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from filas.models.events import SeenDuplicates
from filas.repository.postgres.database import Database

# Duplicates of one event may come from several processes.
ADD_MANY: Final = """
insert into event_duplicates (event_id, count, conflicts, first_at, last_at)
select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
    as seen (event_id, count, conflicts, first_at, last_at)
order by event_id
on conflict (event_id) do update set count = event_duplicates.count + excluded.count,
    conflicts = event_duplicates.conflicts + excluded.conflicts,
    first_at = least(event_duplicates.first_at, excluded.first_at),
    last_at = greatest(event_duplicates.last_at, excluded.last_at)"""


class EventDuplicateRepository:
    """The table `event_duplicates`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_many(self, seen: Sequence[SeenDuplicates]) -> None:
        """Adds duplicates to those that are stored; each event once. Raises StoreUnavailable."""
        columns = zip(
            *((one.event_id, one.count, one.conflicts, one.first_at, one.last_at) for one in seen), strict=True
        )
        await self._database.fetch(ADD_MANY, *map(list, columns))
