"""Flows and their versions. A stored version never changes."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import asyncpg

from filas.contract.comparable_text import comparable
from filas.contract.storable_text import is_storable
from filas.errors import Conflict
from filas.models.configuration import FlowSummary, FlowVersion
from filas.models.record import Page
from filas.repository.postgres import paging
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import from_json, to_json

# This also locks the flow while the number of its next version is determined.
UPSERT_FLOW: Final = """
insert into flows (id, name) values ($1, $2)
on conflict (id) do update set name = excluded.name, updated_at = now()
returning published_version"""

NEWEST_VERSION: Final = """
select version, name, definition, digest, created_at, created_by from flow_versions
where flow_id = $1 order by version desc limit 1"""

INSERT_VERSION: Final = """
insert into flow_versions (flow_id, version, name, definition, digest, timeout_ms, on_new_start, restart_on, created_by)
values ($1, $2, $3, $4::json, $5, $6, $7, $8, $9) returning version, name, definition, created_at, created_by"""

PUBLISH: Final = "update flows set published_version = $2 where id = $1"

GET: Final = """
select v.*, v.version is not distinct from f.published_version as published
from flows f join flow_versions v on v.flow_id = f.id
where f.id = $1 and v.version = coalesce($2, f.published_version,
    (select max(version) from flow_versions where flow_id = $1))"""

VERSIONS: Final = paging.within_bytes(
    """
select v.*, v.version is not distinct from f.published_version as published
from flows f join flow_versions v on v.flow_id = f.id
where f.id = $1 and ($2::integer is null or v.version < $2) order by v.version desc limit $3""",
    "octet_length(definition::text)",
    "version desc",
)

# $2: how many rows. $3: what the id or the name contains, or null.
LIST: Final = """
select f.id, f.name, f.published_version, f.created_at, f.updated_at, v.version as latest_version,
    v.created_by as changed_by
from flows f cross join lateral (
    select version, created_by from flow_versions where flow_id = f.id order by version desc limit 1) v
where f.id > $1 and ($3::text is null or position(lower($3) in lower(f.id || ' ' || f.name)) > 0)
order by f.id limit $2"""

PUBLISHED_VERSION: Final = "select published_version from flows where id = $1"

# The lock prevents executions from starting between the check and the deletion (a start locks the key of the row).
LOCK_FLOW: Final = "select id from flows where id = $1 for update"
UNFINISHED: Final = "select exists (select from executions where flow_id = $1 and ended_at is null)"
DELETE: Final = """
with deleted_drafts as (delete from flow_drafts where flow_id = $1),
    deleted_tests as (delete from flow_tests where flow_id = $1)
delete from flows where id = $1"""


class FlowRepository:
    """The tables `flows` and `flow_versions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(
        self, flow_id: str, definition: dict[str, Any], name: str, publish: bool, created_by: str | None = None
    ) -> FlowVersion:
        """Stores a new version of the flow, and creates the flow if it is new. `publish` publishes the version.

        If name and definition equal those of the newest version, no version is created: that one is returned, and
        published if `publish` is set. Two calls at the same time store two versions, one after the other.
        """
        text = to_json(definition)
        digest = _digest(name, definition)
        async with self._database.transaction() as connection:
            published = await connection.fetchval(UPSERT_FLOW, flow_id, name)
            newest = await connection.fetchrow(NEWEST_VERSION, flow_id)
            if newest is None or newest["digest"] != digest:
                number = newest["version"] + 1 if newest else 1
                columns = (_timeout_ms(definition), _on_new_start(definition), _restart_on(definition))
                [newest] = await connection.fetch(
                    INSERT_VERSION, flow_id, number, name, text, digest, *columns, created_by
                )
            if publish and published != newest["version"]:
                await connection.execute(PUBLISH, flow_id, newest["version"])
                published = newest["version"]
        return FlowVersion(
            flow_id=flow_id,
            version=newest["version"],
            name=newest["name"],
            definition=from_json(newest["definition"]),
            published=published == newest["version"],
            created_at=newest["created_at"],
            created_by=newest["created_by"],
        )

    async def get(self, flow_id: str, version: int | None = None) -> FlowVersion | None:
        """This version of the flow. Without a number: the published version, otherwise the newest. None if absent."""
        row = await self._database.fetchrow(GET, flow_id, version)
        return _version(row) if row else None

    async def versions(self, flow_id: str, cursor: str | None = None, limit: int = paging.DEFAULT_LIMIT) -> Page:
        """One page of the flow's versions, the newest first. Empty if there is no such flow. Raises InvalidCursor."""
        limit = paging.bounded(limit)
        before = paging.after_number(cursor)
        rows = await self._database.fetch(VERSIONS, flow_id, before, limit + 1)
        return paging.page_by_name(rows, limit, "version", _version)

    async def list(self, cursor: str | None = None, limit: int = paging.DEFAULT_LIMIT, text: str | None = None) -> Page:
        """One page of FlowSummary in the order of the flows' ids. `text` is in the id or the name, in any case. Raises
        InvalidCursor."""
        limit = paging.bounded(limit)
        rows = await self._database.fetch(LIST, paging.after_name(cursor), limit + 1, text)
        return paging.page_by_name(rows, limit, "id", lambda row: FlowSummary(**row))

    async def published_version(self, flow_id: str) -> int | None:
        """The number of the published version. None if no version is published, or if there is no such flow."""
        version: int | None = await self._database.fetchval(PUBLISHED_VERSION, flow_id)
        return version

    async def delete(self, flow_id: str) -> bool:
        """Deletes the flow with all versions, its draft and its saved tests. False if there was none.

        Raises Conflict while an execution of the flow has no final status. Executions that have ended are kept.
        """
        async with self._database.transaction() as connection:
            if await connection.fetchrow(LOCK_FLOW, flow_id) is None:
                return False
            if await connection.fetchval(UNFINISHED, flow_id):
                raise Conflict(f"executions of flow {flow_id!r} have not ended: wait for them, or cancel them")
            await connection.execute(DELETE, flow_id)
        return True


def _digest(name: str, definition: dict[str, Any]) -> bytes:
    """A hash of name and definition. The order of an object's keys does not change it."""
    return hashlib.sha256(json.dumps([name, definition], sort_keys=True).encode()).digest()


def _settings(definition: dict[str, Any]) -> dict[str, Any]:
    settings = definition.get("settings")
    return settings if isinstance(settings, dict) else {}


def _conversation_settings(definition: dict[str, Any]) -> dict[str, Any]:
    settings = _settings(definition).get("conversation")
    return settings if isinstance(settings, dict) else {}


def _on_new_start(definition: dict[str, Any]) -> str | None:
    value = _conversation_settings(definition).get("onNewStart")
    return value if isinstance(value, str) and is_storable(value) else None


def _restart_on(definition: dict[str, Any]) -> list[str] | None:
    """The texts of `restartOn` in the form in which they are compared with messages."""
    texts = _conversation_settings(definition).get("restartOn")
    forms = [comparable(text) for text in texts if isinstance(text, str)] if isinstance(texts, list) else []
    return [form for form in forms if form is not None] or None


def _timeout_ms(definition: dict[str, Any]) -> int | None:
    timeout_ms = _settings(definition).get("timeoutMs")
    return timeout_ms if type(timeout_ms) is int and 0 < timeout_ms < 2**53 else None


def _version(row: asyncpg.Record) -> FlowVersion:
    return FlowVersion(
        flow_id=row["flow_id"],
        version=row["version"],
        name=row["name"],
        definition=from_json(row["definition"]),
        published=row["published"],
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
