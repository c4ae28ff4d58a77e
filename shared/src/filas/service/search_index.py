"""Builds the index of the words in events, beside the other work of a process."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from filas.contract.identity import new_id
from filas.observability import metrics
from filas.periodic import periodic
from filas.repository.postgres.database import Database
from filas.repository.search.index_builder import EVERY_S, IndexBuilder
from filas.repository.search.index_state import read_search_state
from filas.repository.search.index_store import IndexStore
from filas.settings.process_settings import ProcessSettings

LONGEST_RETRY_S: Final = 30.0


async def build_search_index(settings: ProcessSettings, name: str) -> None:
    """Builds the index until cancelled, if no other process does. `name` is that of its connection.

    It has a connection of its own: a chunk takes longer than the statements of the API may take.
    """
    database = Database(
        settings.postgres.database_url.reveal(), application_name=f"{name}-index {version('filas')}", max_size=1
    )
    database.start()
    builder = IndexBuilder(IndexStore(database, str(new_id())))

    async def build() -> float:
        pause_s = await builder.run()
        metrics.SEARCH_INDEX_BEHIND.set((await read_search_state(database)).behind_s)
        return pause_s

    try:
        await periodic("search-index", build, EVERY_S, retry_s=(1.0, LONGEST_RETRY_S), on_error="log")
    finally:
        await database.close()
