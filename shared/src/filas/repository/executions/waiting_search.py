"""Lists the executions that wait, in the order in which their waits end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from filas.models.record import Page
from filas.models.waiting import WaitingExecution, WaitsFor
from filas.repository.executions.execution_search import OF_CONTACT, contact_arguments
from filas.repository.postgres import paging
from filas.repository.postgres.database import Database

# Every wait has an end. The step is looked up for the rows of the page only.
WAITING: Final = """
select w.id, w.wake_at, w.status, w.is_for_message, w.flow_id, w.version, w.event_id, w.conversation_id, w.channel,
    w.contact, s.node_id, s.type as node_type, s.started_at as since
from (
    select id, wake_at, status, status = 'waiting-callback' and awaits_message is not null as is_for_message, flow_id,
        version, event_id, conversation_id, channel, contact
    from executions {where} order by wake_at, id limit {limit}
) w
    left join lateral (
        select node_id, type, started_at from steps
        where execution_id = w.id and status = 'waiting' order by seq desc limit 1) s on true
order by w.wake_at, w.id"""

_CONDITIONS: Final[dict[WaitsFor, str]] = {
    "reply": "status = 'waiting-input'",
    "time": "status = 'waiting-timer'",
    "call": "status = 'waiting-callback' and awaits_message is null",
    "message": "status = 'waiting-callback' and awaits_message is not null",
}
_BY_STATUS: Final[dict[str, WaitsFor]] = {"waiting-input": "reply", "waiting-callback": "call"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingFilter:
    """The filters of the list; an execution matches all that are given. Its wait ends before `until`. `contact` is an
    address, however it is typed."""

    waits_for: WaitsFor | None = None
    flow_id: str | None = None
    channel: str | None = None
    contact: str | None = None
    until: datetime | None = None


class WaitingSearch:
    """Reads the table `executions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(self, wanted: WaitingFilter, cursor: str | None = None, limit: int = paging.DEFAULT_LIMIT) -> Page:
        """One page of the executions that wait; the wait that ends first comes first. Raises InvalidCursor."""
        limit = paging.bounded(limit)
        search = paging.Filter()
        search.require("wake_at is not null and status in ('waiting-timer', 'waiting-input', 'waiting-callback')")
        if wanted.waits_for is not None:
            search.require(_CONDITIONS[wanted.waits_for])
        search.add("flow_id = {}", wanted.flow_id)
        search.add("channel = {}", wanted.channel)
        if wanted.contact is not None:
            search.add(OF_CONTACT, *contact_arguments(wanted.contact))
        search.add("wake_at < {}", wanted.until)
        if cursor is not None:
            search.add("(wake_at, id) > ({}, {})", *paging.position_of(cursor))
        statement = WAITING.format(where=search.where(), limit=search.place(limit + 1))
        rows = await self._database.fetch(statement, *search.arguments)
        return paging.page_by_time(rows, limit, "wake_at", _waiting)


def _waiting(row: asyncpg.Record) -> WaitingExecution:
    return WaitingExecution(
        id=row["id"],
        waits_for="message" if row["is_for_message"] else _BY_STATUS.get(row["status"], "time"),
        due=row["wake_at"],
        since=row["since"],
        flow_id=row["flow_id"],
        version=row["version"],
        node_id=row["node_id"],
        node_type=row["node_type"],
        event_id=row["event_id"],
        conversation_id=row["conversation_id"],
        channel=row["channel"],
        contact=row["contact"],
    )
