"""Searches executions: for a list, and for a replay of many."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from filas.contacts.typed_contact import last_digits, possible_aliases
from filas.models.executions import (
    FAILED_EXECUTION_STATUSES,
    WAITING_EXECUTION_STATUSES,
    Execution,
    ExecutionStatus,
    StepStatus,
)
from filas.models.record import Page
from filas.repository.executions import execution_rows
from filas.repository.executions.execution_view_sql import SEARCH
from filas.repository.postgres import paging
from filas.repository.postgres.database import Database

SIZE: Final = "coalesce(octet_length(output::text), 0) + coalesce(octet_length(error::text), 0)"

# Each begins literally as the condition of its indexes, which name no column that a claim changes (`status`).
HAS_FAILED: Final = "error is not null and status in ('failed', 'timed-out')"
IS_WAITING: Final = "wake_at is not null and left(status, 4) in ('wait', 'retr')"

# A status that few executions have.
RARE_STATUSES: Final[tuple[tuple[frozenset[str], str], ...]] = (
    (frozenset(FAILED_EXECUTION_STATUSES), HAS_FAILED),
    (frozenset(WAITING_EXECUTION_STATUSES), IS_WAITING),
    (frozenset({"cancelled"}), "cancel_requested and status = 'cancelled'"),
    (frozenset({"queued", "running"}), "ready_at is not null"),
)

# An execution that a message resumed is found by the event of the message too. The execution that carried the message
# ran nothing and is not listed.
OF_EVENT: Final = "id in (select coalesce(resumed_id, id) from executions where event_id = {})"

# `offset 0` keeps a subquery apart, so that it runs once for each row through an index. A number that is typed without
# its country code has at most 500 contacts.
_CONVERSATIONS: Final = """
    select c.id from (
        select contact_id from contact_aliases where alias = any({}::text[])
        union
        select a.contact_id from unnest({}::text[]) as r (ending) cross join lateral (
            select contact_id from contact_aliases
            where reverse(alias) ~>=~ r.ending and reverse(alias) ~<~ (r.ending || chr(1114111)) limit 500) a
    ) f cross join lateral (select id from conversations where contact_id = f.contact_id offset 0) c"""

OF_CONTACT: Final = "conversation_id = any(array(" + _CONVERSATIONS + "))"

# The newest executions of each conversation of a contact. The planner would otherwise read all executions in the order
# of their time, because it takes a contact to have many.
NEWEST_OF_CONTACT: Final = """
where id = any(array(
    select newest.id from ({conversations}) as conversation cross join lateral (
        select id from executions {where} and conversation_id = conversation.id
        order by queued_at desc, id desc limit {limit}) newest))"""


MAX_EXAMINED: Final = 1000
"""How many executions one page examines for a step: steps are found by their execution only, so that a step is written
to no index more."""

# The newest executions that match otherwise, those of them that have the step, and the last one that was examined.
EXAMINED: Final = """
with examined as materialized (
    select id, queued_at from executions {where} order by queued_at desc, id desc limit {most}
), matching as (
    select e.id from examined e where exists (select from steps s where s.execution_id = e.id{step} offset 0)
    order by e.queued_at desc, e.id desc limit {limit}
)
select array(select id from matching) as found, (select count(*) from examined) as examined, l.queued_at, l.id
from (select queued_at, id from examined order by queued_at, id limit 1) l"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFilter:
    """A step of the execution: its node, by the name in the trace, its status, and the handle by which it left."""

    node_id: str
    status: StepStatus | None = None
    handle: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFilter:
    """The filters of a search; an execution matches all that are given.

    Without `statuses`: all. `error` is a kind or a fingerprint. `contact` is an address, however it is typed.
    `replay_of`: it replays this execution. The execution was queued at `since` or later and before `until`. `step`: it
    has such a step; a page then examines MAX_EXAMINED executions at most, and a replay of many ignores it.
    """

    flow_id: str | None = None
    statuses: Collection[ExecutionStatus] = ()
    error: str | None = None
    event_id: UUID | None = None
    conversation_id: UUID | None = None
    contact: str | None = None
    replay_of: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    step: StepFilter | None = None


EVERYTHING: Final = ExecutionFilter()


class ExecutionSearch:
    """Reads the table `executions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(
        self, wanted: ExecutionFilter = EVERYTHING, cursor: str | None = None, limit: int = paging.DEFAULT_LIMIT
    ) -> Page:
        """One page of executions without their steps, the newest first. Raises InvalidCursor.

        Executions whose message resumed another one are left out. With `event_id`, the resumed execution is found. With
        `step`, a page may be short, or empty, although more follow.
        """
        limit = paging.bounded(limit)
        if wanted.step is not None:
            return await self._with_step(wanted, wanted.step, cursor, limit)
        search = _conditions(replace(wanted, contact=None))
        search.before(cursor, "queued_at")
        where, count = search.where(), search.place(limit + 1)
        if wanted.contact is not None:
            conversations = _CONVERSATIONS.format(*map(search.place, contact_arguments(wanted.contact)))
            where = NEWEST_OF_CONTACT.format(conversations=conversations, where=where, limit=count)
        select = " ".join((SEARCH, where, "order by queued_at desc, id desc limit", count))
        statement = paging.within_bytes(select, SIZE, "queued_at desc, id desc")
        rows = await self._database.fetch(statement, *search.arguments)
        return paging.page_by_time(rows, limit, "queued_at", lambda row: Execution(**execution_rows.fields(row)))

    async def _with_step(self, wanted: ExecutionFilter, step: StepFilter, cursor: str | None, limit: int) -> Page:
        search = _conditions(wanted)
        search.before(cursor, "queued_at")
        where = search.where()
        conditions = [f" and s.node_id = {search.place(step.node_id)}"]
        if step.status is not None:
            conditions.append(f" and s.status = {search.place(step.status)}")
        if step.handle is not None:
            conditions.append(f" and s.handle = {search.place(step.handle)}")
        most, count = search.place(MAX_EXAMINED), search.place(limit + 1)
        statement = EXAMINED.format(where=where, most=most, step="".join(conditions), limit=count)
        last = await self._database.fetchrow(statement, *search.arguments)
        if last is None:
            return Page(items=[])
        order = "order by queued_at desc, id desc"
        select = paging.within_bytes(f"{SEARCH} where id = any($1::uuid[]) {order}", SIZE, "queued_at desc, id desc")
        rows = await self._database.fetch(select, last["found"])
        page = paging.page_by_time(rows, limit, "queued_at", lambda row: Execution(**execution_rows.fields(row)))
        if page.next_cursor is None and last["examined"] == MAX_EXAMINED:
            return Page(items=page.items, next_cursor=paging.cursor_at(last["queued_at"], last["id"]))
        return page

    async def replayable(
        self,
        wanted: ExecutionFilter,
        after: Execution | None = None,
        limit: int = paging.DEFAULT_LIMIT,
        *,
        position: tuple[datetime, UUID] | None = None,
    ) -> list[Execution]:
        """Executions that match and failed or timed out, and that no other execution replays, the oldest first,
        starting after `after`, or after `position` (queued at, id). A page of large ones has fewer than `limit`; only
        an empty page is the end."""
        search = _replayable(wanted)
        if after is not None:
            position = after.queued_at, after.id
        if position is not None:
            search.add("(queued_at, id) > ({}, {})", *position)
        order = ("order by queued_at, id limit", search.place(paging.bounded(limit)))
        select = " ".join((SEARCH, search.where(), *order))
        rows = await self._database.fetch(paging.within_bytes(select, SIZE, "queued_at, id"), *search.arguments)
        return [Execution(**execution_rows.fields(row)) for row in rows]

    async def count_replayable(self, wanted: ExecutionFilter, limit: int) -> int:
        """How many executions `replayable` would return in all its pages, up to `limit`."""
        search = _replayable(wanted)
        select = " ".join(("select from executions", search.where(), "limit", search.place(limit)))
        count: int = await self._database.fetchval(f"select count(*) from ({select}) found", *search.arguments)  # noqa: S608 - only placeholders
        return count


def _replayable(wanted: ExecutionFilter) -> paging.Filter:
    search = _conditions(wanted)
    search.require(HAS_FAILED)
    search.require("not exists (select from executions r where r.replay_of = executions.id)")
    return search


def contact_arguments(contact: str) -> tuple[list[str], list[str]]:
    """The arguments of OF_CONTACT for an address, however it is typed."""
    return list(possible_aliases(contact)), [digits[::-1] for digits in last_digits(contact)]


def _conditions(wanted: ExecutionFilter) -> paging.Filter:
    search = paging.Filter()
    search.require("resumed_id is null")
    if wanted.error is not None:
        search.require(HAS_FAILED)
    for statuses, condition in RARE_STATUSES:
        if wanted.statuses and statuses.issuperset(wanted.statuses):
            search.require(condition)
    search.add("flow_id = {}", wanted.flow_id)
    search.add("status = any({}::text[])", list(wanted.statuses) or None)
    if wanted.error is not None:
        is_fingerprint = ":" in wanted.error
        search.add("fingerprint = {}" if is_fingerprint else "split_part(fingerprint, ':', 1) = {}", wanted.error)
    search.add(OF_EVENT, wanted.event_id)
    search.add("conversation_id = {}", wanted.conversation_id)
    if wanted.contact is not None:
        search.add(OF_CONTACT, *contact_arguments(wanted.contact))
    search.add("replay_of = {}", wanted.replay_of)
    search.add("queued_at >= {}", wanted.since)
    search.add("queued_at < {}", wanted.until)
    return search
