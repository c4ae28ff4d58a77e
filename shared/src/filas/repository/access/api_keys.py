"""The keys of the API (table `api_keys`). A revoked key stays as a row until retention deletes it."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from filas.errors import Conflict
from filas.models.access import ActiveKey, ApiKey, NewApiKey
from filas.models.record import Page
from filas.repository.postgres import paging
from filas.repository.postgres.database import Database

MAX_ACTIVE: Final = 1000
"""The largest number of valid keys: every process of the API holds all of them in memory."""

COUNT_ACTIVE: Final = """
select count(*) from api_keys where revoked_at is null and (expires_at is null or expires_at > now())"""

CREATE: Final = """
insert into api_keys (id, name, role, prefix, hash, created_by, expires_at) values ($1, $2, $3, $4, $5, $6, $7)
returning *"""

REVOKE: Final = """
update api_keys set revoked_at = now(), revoked_by = $2 where id = $1 and revoked_at is null returning *"""

GET: Final = "select * from api_keys where id = $1"

ACTIVE: Final = """
select id, name, role, hash, extract(epoch from expires_at - now())::float8 as expires_in_s from api_keys
where revoked_at is null and (expires_at is null or expires_at > now())"""

# Every process reports the keys that it has seen. The first report of a minute is written.
USED: Final = """
update api_keys set last_used_at = now()
where id = any ($1::uuid[]) and (last_used_at is null or last_used_at <= now() - interval '1 minute')"""


class ApiKeyRepository:
    """The table `api_keys`. Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, key: NewApiKey) -> ApiKey:
        """Stores a new key. Raises Conflict if there are MAX_ACTIVE valid keys."""
        if await self._database.fetchval(COUNT_ACTIVE) >= MAX_ACTIVE:
            raise Conflict(f"there are {MAX_ACTIVE} valid keys: revoke one that is not used")
        columns = (key.id, key.name, key.role, key.prefix, key.hash, key.created_by, key.expires_at)
        [row] = await self._database.fetch(CREATE, *columns)
        return _key(row)

    async def get(self, key_id: UUID) -> ApiKey | None:
        """The key with this id, or None."""
        row = await self._database.fetchrow(GET, key_id)
        return _key(row) if row else None

    async def revoke(self, key_id: UUID, revoked_by: str) -> ApiKey | None:
        """Revokes the key. None if there is no such key, or if it is revoked already."""
        row = await self._database.fetchrow(REVOKE, key_id, revoked_by)
        return _key(row) if row else None

    async def active(self) -> builtins.list[ActiveKey]:
        """Every valid key."""
        return [ActiveKey(**row) for row in await self._database.fetch(ACTIVE)]

    async def mark_used(self, key_ids: Sequence[UUID]) -> None:
        """Records that the keys were used now. Writes at most once a minute for each key."""
        await self._database.fetch(USED, list(key_ids))

    async def list(self, cursor: str | None = None, limit: int = paging.DEFAULT_LIMIT) -> Page:
        """One page of all keys, the newest first. Raises InvalidCursor."""
        limit = paging.bounded(limit)
        search = paging.Filter()
        search.before(cursor, "created_at")
        order = ("order by created_at desc, id desc limit", search.place(limit + 1))
        statement = " ".join(("select * from api_keys", search.where(), *order))
        rows = await self._database.fetch(statement, *search.arguments)
        return paging.page_by_time(rows, limit, "created_at", _key)


def _key(row: asyncpg.Record) -> ApiKey:
    return ApiKey(**{name: row[name] for name in ApiKey.__struct_fields__})
