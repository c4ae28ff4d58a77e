"""The requests that were refused (table `refusals`)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import asyncpg

from filas.models.record import Page
from filas.models.refusals import NewRefusal, Refusal, RefusalGroup
from filas.repository.postgres import paging
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import from_json

MAX_ROWS: Final = 10_000
CHUNK_ROWS: Final = 2_000

INSERT_MANY: Final = """
insert into refusals (id, received_at, webhook_id, path, method, address, status, reason, detail, size, headers,
    query_params, body)
select * from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[],
    $8::text[], $9::text[], $10::bigint[], $11::json[], $12::json[], $13::bytea[])
on conflict (id) do nothing"""

# Several processes may do this at the same time.
DELETE_BEYOND: Final = """
delete from refusals where id in (
    select id from refusals order by received_at desc, id desc offset $1 limit $2 for update skip locked)"""

SIZE: Final = "octet_length(body) + octet_length(headers::text) + octet_length(query_params::text)"


# At most MAX_ROWS rows, without their bodies.
GROUPS: Final = """
select webhook_id, reason, status, count(*) as count, count(distinct address) as addresses,
    min(received_at) as first_at, max(received_at) as last_at,
    (array_agg(path order by received_at desc, id desc))[1] as last_path,
    (array_agg(detail order by received_at desc, id desc))[1] as last_detail
from refusals {where}
group by webhook_id, reason, status order by count(*) desc, max(received_at) desc, reason limit {limit}"""

GET: Final = "select * from refusals where id = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalFilter:
    """The filters of a search; a refusal matches all that are given. It was received at `since` or later and before
    `until`."""

    webhook_id: str | None = None
    path: str | None = None
    reason: str | None = None
    status: int | None = None
    address: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class RefusalRepository:
    """The table `refusals`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert_many(self, refusals: Sequence[NewRefusal]) -> None:
        """Stores the refusals. A repeated call stores nothing twice. Raises StoreUnavailable."""
        rows = [
            (
                one.id,
                one.received_at,
                one.webhook_id,
                one.path,
                one.method,
                one.address,
                one.status,
                one.reason,
                one.detail,
                one.size,
                one.headers,
                one.query_params,
                one.body,
            )
            for one in refusals
        ]
        await self._database.fetch(INSERT_MANY, *(list(column) for column in zip(*rows, strict=True)))

    async def delete_oldest(self, keep: int = MAX_ROWS) -> None:
        """Deletes the oldest refusals beyond the newest `keep`; of many, only some. Raises StoreUnavailable."""
        await self._database.fetch(DELETE_BEYOND, keep, CHUNK_ROWS)

    async def search(self, wanted: RefusalFilter, *, cursor: str | None, limit: int) -> Page:
        """Refusals, the newest first. Raises InvalidCursor and StoreUnavailable."""
        limit = paging.bounded(limit)
        search = _conditions(wanted)
        search.before(cursor, "received_at")
        order = ("order by received_at desc, id desc limit", search.place(limit + 1))
        select = " ".join(("select * from refusals", search.where(), *order))
        statement = paging.within_bytes(select, SIZE, "received_at desc, id desc")
        rows = await self._database.fetch(statement, *search.arguments)
        return paging.page_by_time(rows, limit, "received_at", _refusal)

    async def groups(self, wanted: RefusalFilter, limit: int) -> list[RefusalGroup]:
        """The refusals by webhook and reason, the largest groups first. Raises StoreUnavailable."""
        search = _conditions(wanted)
        statement = GROUPS.format(where=search.where(), limit=search.place(paging.bounded(limit)))
        return [RefusalGroup(**row) for row in await self._database.fetch(statement, *search.arguments)]

    async def get(self, refusal_id: UUID) -> Refusal | None:
        """The refusal with this id, or None. Raises StoreUnavailable."""
        row = await self._database.fetchrow(GET, refusal_id)
        return None if row is None else _refusal(row)


def _conditions(wanted: RefusalFilter) -> paging.Filter:
    search = paging.Filter()
    search.add("webhook_id = {}", wanted.webhook_id)
    search.add("path = {}", wanted.path)
    search.add("reason = {}", wanted.reason)
    search.add("status = {}", wanted.status)
    search.add("address = {}", wanted.address)
    search.add("received_at >= {}", wanted.since)
    search.add("received_at < {}", wanted.until)
    return search


def _refusal(row: asyncpg.Record) -> Refusal:
    body: bytes = row["body"]
    encoding: Literal["utf-8", "base64"] = "utf-8"
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(body).decode(), "base64"
    return Refusal(
        id=row["id"],
        received_at=row["received_at"],
        webhook_id=row["webhook_id"],
        path=row["path"],
        method=row["method"],
        address=row["address"],
        status=row["status"],
        reason=row["reason"],
        detail=row["detail"],
        size=row["size"],
        headers=from_json(row["headers"]),
        query_params=from_json(row["query_params"]),
        body=text,
        body_encoding=encoding,
    )
