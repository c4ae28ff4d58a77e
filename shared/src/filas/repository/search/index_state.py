"""How far the index of the words in events is behind."""

from __future__ import annotations

from typing import Final

from filas.models.search import SearchState
from filas.repository.postgres.database import Database
from filas.repository.search import search_sql as sql
from filas.repository.search.event_search import OLDEST
from filas.repository.search.index_store import progress_of

MAX_COUNTED: Final = 10_000


async def read_search_state(database: Database) -> SearchState:
    """The state of the index. Raises StoreUnavailable."""
    progress = progress_of(await database.fetchrow(sql.PROGRESS))
    [behind] = await database.fetch(sql.NOT_INDEXED, *(OLDEST if progress is None else progress.next), MAX_COUNTED)
    [size] = await database.fetch(sql.COUNT_SEGMENTS)
    return SearchState(
        built=progress is not None and progress.is_built,
        behind_s=round(max(behind["behind_s"], 0.0), 3),
        behind_events=behind["events"],
        indexed_until=None if progress is None else progress.next[0],
        indexed_from=None if progress is None or progress.history is None else progress.history[0],
        events=size["events"],
        segments=size["segments"],
    )
