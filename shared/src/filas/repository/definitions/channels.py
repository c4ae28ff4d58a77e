"""Channels: where messages are sent. There are few rows; the notifier caches all of them."""

from __future__ import annotations

import builtins
from typing import Any, Final

import asyncpg
import msgspec

from filas.models.configuration import UNREADABLE, Channel
from filas.models.record import Page
from filas.observability.logs import get_logger
from filas.repository.postgres import paging
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import from_json, to_json

log = get_logger("filas.repository")

# The statement that changes a row takes the next revision. The lock on it keeps revisions in the order of commits.
STORE: Final = """
with next as (update configuration_revision set revision = revision + 1 returning revision)
insert into channels as c (id, type, config, revision) select $1, $2, $3::json, revision from next
on conflict (id) do update set
    type = excluded.type, config = excluded.config, deleted = false, revision = excluded.revision,
    updated_at = now(), created_at = case when c.deleted then now() else c.created_at end
returning c.*"""

GET: Final = "select * from channels where id = $1 and not deleted"

LIST: Final = paging.within_bytes(
    "select * from channels where id > $1 and not deleted order by id limit $2", "octet_length(config::text)", "id"
)

# A deleted channel stays as a row without its secrets, so that the caches see the deletion.
DELETE: Final = """
with next as (update configuration_revision set revision = revision + 1
              where exists (select from channels where id = $1 and not deleted) returning revision)
update channels set deleted = true, config = '{}', revision = next.revision, updated_at = now()
from next where id = $1 and not deleted
returning id"""

CHANGED_SINCE: Final = "select * from channels where revision > $1 order by revision"


class ChannelRepository:
    """The table `channels`. Every change takes the next revision; caches read the rows with newer revisions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, channel: Channel) -> Channel:
        """Creates or replaces the channel with this id. Returns it as stored."""
        [row] = await self._database.fetch(STORE, channel.id, channel.type, to_json(channel.config))
        return _channel(row)

    async def get(self, channel_id: str) -> Channel | None:
        """The channel with this id, or None."""
        row = await self._database.fetchrow(GET, channel_id)
        return _channel(row) if row else None

    async def delete(self, channel_id: str) -> bool:
        """Deletes the channel. False if there was none."""
        return await self._database.fetchrow(DELETE, channel_id) is not None

    async def list(self, cursor: str | None = None, limit: int = paging.DEFAULT_LIMIT) -> Page:
        """One page of the channels in the order of their ids. Raises InvalidCursor."""
        limit = paging.bounded(limit)
        rows = await self._database.fetch(LIST, paging.after_name(cursor), limit + 1)
        return paging.page_by_name(rows, limit, "id", _channel)

    async def changed_since(self, revision: int) -> tuple[builtins.list[Channel], builtins.list[str], int]:
        """The channels stored and the ids deleted after `revision` (0: all), and the new revision."""
        rows = await self._database.fetch(CHANGED_SINCE, revision)
        changed = [_channel(row) for row in rows if not row["deleted"]]
        deleted = [row["id"] for row in rows if row["deleted"]]
        return changed, deleted, rows[-1]["revision"] if rows else revision


def _channel(row: asyncpg.Record) -> Channel:
    """The channel of a row. A row that cannot be decoded affects no other one: it is a channel of the type
    UNREADABLE."""
    channel_type = row["type"]
    try:
        config = msgspec.convert(from_json(row["config"]), dict[str, Any])
    except Exception as error:
        log.error("channel.row_unreadable", channel_id=row["id"], error=f"{type(error).__name__}: {error}")
        channel_type, config = UNREADABLE, {}
    return Channel(
        id=row["id"],
        type=channel_type,
        config=config,
        revision=row["revision"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
