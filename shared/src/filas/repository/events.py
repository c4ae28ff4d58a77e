"""The events. Accepting them is the most frequent write: one statement and one round trip for each micro-batch."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec

from filas.models.events import Event, EventReceipt, NewEvent
from filas.models.record import Page
from filas.repository.event_filter import EventFilter, conditions_of
from filas.repository.postgres import paging
from filas.repository.postgres.batch_bisection import LockedItems, write_bisected
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import error_detail, from_json
from filas.repository.search.event_search import SEARCH_S, EventSearch

# Returns the ids that are new, or null if all are new. That is nearly always so, and then no ids have to be compared.
# Of two rows with the same id or the same content key in one batch, the first is inserted. A row whose content key
# belongs to another event is not inserted. All batches write their content keys in one order, so that two of them do
# not wait for each other. `received_at` is by the clock of the process that received the event. If it is in the future,
# that clock is wrong, and the relay would find the event too late: it becomes the time of Postgres, and the events keep
# their order by a microsecond each.
INSERT_MANY: Final = """
with new_keys as (
insert into event_keys (id, event_id)
select id, event_id from unnest($15::uuid[], $1::uuid[]) with ordinality as new (id, event_id, place)
where id is not null order by id, place
on conflict (id) do nothing
returning event_id),
inserted as (
insert into events (id, webhook_id, flow_id, node_id, method, headers, query_params, body, content_type,
    remote_address, duplicate_key, group_key, config, received_at, content_digest)
select id, webhook_id, flow_id, node_id, method, headers, query_params, body, content_type,
    remote_address, duplicate_key, group_key, config,
    case when received_at > now() + interval '1 minute' then now() + place * interval '1 microsecond'
        else received_at end,
    content_digest
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::json[], $7::json[], $8::bytea[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::json[], $14::timestamptz[], $15::uuid[], $16::bytea[])
    with ordinality
    as new (id, webhook_id, flow_id, node_id, method, headers, query_params, body, content_type,
        remote_address, duplicate_key, group_key, config, received_at, content_key, content_digest, place)
where content_key is null or id in (select event_id from new_keys)
on conflict (id) do nothing
returning id)
select case when count(*) < cardinality($1::uuid[]) then coalesce(array_agg(id), '{}') end from inserted"""

# For duplicates: the event with the same id, else the one with the same content key.
FIRST_OF_MANY: Final = """
select coalesce(same.id, (select k.event_id from event_keys k where k.id = duplicate.content_key)) as id,
    same.id is not null and same.content_digest <> duplicate.content_digest as conflict,
    same.status = 'received' and same.replay = 0 as unfinished
from unnest($1::uuid[], $2::uuid[], $3::bytea[]) with ordinality
    as duplicate (id, content_key, content_digest, place)
left join events same on same.id = duplicate.id
order by place"""

GET: Final = "select * from events where id = $1"

SIZE: Final = "octet_length(body) + octet_length(headers::text) + octet_length(query_params::text)"

# The events with the ids $1, in their order.
NAMED: Final = paging.within_bytes(
    """
select e.*, a.place from unnest($1::uuid[]) with ordinality as a (id, place)
    cross join lateral (select * from events where id = a.id offset 0) e
order by a.place""",
    SIZE,
    "place",
)

MAX_UNFINISHED_BYTES: Final = 4 * 2**20

UNFINISHED: Final = paging.within_bytes(
    """
select * from events
where status = 'received' and received_at <= now() - make_interval(secs => $1)
    and ($3::uuid is null
        or (received_at, id) > ((select received_at from events where id = $3), $3))
order by received_at, id limit $2""",
    SIZE,
    "received_at, id",
    MAX_UNFINISHED_BYTES,
)

# An event that was processed has executions. Its replay is another run, which starts new ones. An event that is not
# processed keeps its run, so that two replays at the same time start one set of executions.
# A replay run replays an event once, also if its progress was not saved or two processes work on it.
REOPEN: Final = """
update events set replay = replay + 1, run = run + (status = 'processed')::integer, status = 'received', reason = null,
    error = null, processed_at = null,
    flow_id = $2, node_id = $3, group_key = $4, config = $5::json, replay_run = $6
where id = $1 and ($6::uuid is null or replay_run is distinct from $6)
returning replay, run"""

# An event that repeats the request of another one, with an edited body. A second call with the same id changes nothing.
INSERT_EDITED: Final = """
insert into events (id, webhook_id, flow_id, node_id, method, headers, query_params, body, content_type,
    remote_address, group_key, config, received_at, replay_of)
select $2, webhook_id, $3, $4, method, $5::json, query_params, $6, content_type, remote_address, $7, $8::json, now(),
    id
from events where id = $1
on conflict (id) do nothing
returning received_at"""

REOPEN_MANY: Final = """
update events e set status = 'received', reason = null, error = null, processed_at = null,
    replay = greatest(e.replay, r.replay)
from unnest($1::uuid[], $2::integer[]) as r (id, replay)
where e.id = r.id"""

LAST_RECEIVED: Final = """
select w.id, newest.received_at
from unnest($1::text[]) as w (id)
cross join lateral (
    select received_at from events where webhook_id = w.id order by received_at desc, id desc limit 1) as newest"""


class EventRepository:
    """The table `events`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_words = EventSearch(database)
        self._locked_inserts = LockedItems[NewEvent]("events", "insert", lambda event: event.id)

    async def wait_ready(self, timeout_s: float) -> None:
        """Waits until Postgres is available. Raises StoreUnavailable after `timeout_s` seconds."""
        await self._database.wait_ready(timeout_s)

    async def insert_many(self, events: Sequence[NewEvent]) -> list[EventReceipt | Exception]:
        """Stores the events. Returns for each, in order, whether it is new or a duplicate.

        Of several events with the same id or content key in one call, the first is new and the others are duplicates.
        For an event that Postgres rejects, the result is an Unstorable; if another session holds a lock, it is a
        StoreBusy. The other events are stored. A repeated call stores nothing twice. Only a batch with duplicates takes
        a second statement, which finds the first events.
        """
        return [*await write_bisected(events, self._insert, self._locked_inserts)]

    async def _insert(self, events: Sequence[NewEvent]) -> list[EventReceipt]:
        columns = zip(
            *(
                (
                    event.id,
                    event.webhook_id,
                    event.flow_id,
                    event.node_id,
                    event.method,
                    event.headers,
                    event.query_params,
                    event.body,
                    event.content_type,
                    event.remote_address,
                    event.duplicate_key,
                    event.group_key,
                    event.config,
                    event.received_at,
                    event.content_key,
                    event.content_digest,
                )
                for event in events
            ),
            strict=True,
        )
        inserted = await self._database.fetchval(INSERT_MANY, *map(list, columns))
        if inserted is None:
            return [EventReceipt(id=event.id, duplicate=False) for event in events]
        new = set(inserted)
        receipts: list[EventReceipt | None] = []
        for event in events:
            receipts.append(EventReceipt(id=event.id, duplicate=False) if event.id in new else None)
            new.discard(event.id)
        firsts = iter(await self._firsts([event for event, new in zip(events, receipts, strict=True) if new is None]))
        return [receipt or next(firsts) for receipt in receipts]

    async def _firsts(self, duplicates: Sequence[NewEvent]) -> list[EventReceipt]:
        """Returns the receipt of each duplicate, with the id of the first event."""
        columns = zip(*((event.id, event.content_key, event.content_digest) for event in duplicates), strict=True)
        rows = await self._database.fetch(FIRST_OF_MANY, *map(list, columns))
        # Without a row, the first event has been deleted since.
        return [
            EventReceipt(
                id=row["id"] or event.id,
                duplicate=True,
                conflict=bool(row["conflict"]),
                unfinished=bool(row["unfinished"]),
            )
            for event, row in zip(duplicates, rows, strict=True)
        ]

    async def get(self, event_id: UUID) -> Event | None:
        """The event with this id, or None."""
        row = await self._database.fetchrow(GET, event_id)
        return _event(row) if row else None

    async def last_received(self, webhook_ids: Sequence[str]) -> dict[str, datetime]:
        """When each webhook received its newest event. One without events is missing."""
        rows = await self._database.fetch(LAST_RECEIVED, list(webhook_ids))
        return {row["id"]: row["received_at"] for row in rows}

    async def get_accepted(self, event_id: UUID) -> NewEvent | None:
        """The event with this id as it was accepted, or None."""
        row = await self._database.fetchrow(GET, event_id)
        return _new_event(row) if row else None

    async def search(
        self, wanted: EventFilter, *, cursor: str | None = None, limit: int = paging.DEFAULT_LIMIT
    ) -> Page:
        """One page of the events that match `wanted`, the newest first. Raises InvalidCursor.

        With words or a contact, a page may have fewer events than `limit`, or none, although more follow: a search ends
        after `event_search.SEARCH_S` seconds.
        """
        limit = paging.bounded(limit)
        if wanted.needs_words:
            return await self._search_words(wanted, cursor, limit)
        search = conditions_of(wanted)
        search.before(cursor, "received_at")
        order = ("order by received_at desc, id desc limit", search.place(limit + 1))
        select = " ".join(("select * from events", search.where(), *order))
        statement = paging.within_bytes(select, SIZE, "received_at desc, id desc")
        rows = await self._database.fetch(statement, *search.arguments)
        return paging.page_by_time(rows, limit, "received_at", _event)

    async def _search_words(self, wanted: EventFilter, cursor: str | None, limit: int) -> Page:
        after = None if cursor is None else paging.position_of(cursor)
        found = await self._by_words.find(wanted, after, limit + 1, budget_s=SEARCH_S)
        events = found.events[:limit]
        reached = events[-1] if len(found.events) > limit else found.reached
        rows = await self._database.fetch(NAMED, [event_id for _, event_id in events])
        if rows and rows[0]["found"] > len(rows):
            reached = rows[-1]["received_at"], rows[-1]["id"]
        cursor = None if reached is None else paging.cursor_at(*reached)
        return Page(items=[_event(row) for row in rows], next_cursor=cursor)

    async def replayable(
        self,
        wanted: EventFilter,
        after: NewEvent | None,
        limit: int,
        *,
        position: tuple[datetime, UUID] | None = None,
    ) -> list[NewEvent]:
        """Up to `limit` events that match `wanted`, the oldest first, from the one after `after`, or after `position`
        (received at, id). The page ends at MAX_UNFINISHED_BYTES; an empty one is the end."""
        if after is not None:
            position = after.received_at, after.id
        if wanted.needs_words:
            found = await self._by_words.find(wanted, position, limit, oldest_first=True)
            return [_new_event(row) for row in await self._database.fetch(NAMED, [one for _, one in found.events])]
        search = conditions_of(wanted)
        if position is not None:
            search.add("(received_at, id) > ({}, {})", *position)
        select = " ".join(
            ("select * from events", search.where(), "order by received_at, id limit", search.place(limit))
        )
        statement = paging.within_bytes(select, SIZE, "received_at, id", MAX_UNFINISHED_BYTES)
        return [_new_event(row) for row in await self._database.fetch(statement, *search.arguments)]

    async def count_replayable(self, wanted: EventFilter, limit: int) -> int:
        """How many events `replayable` would return in all its pages, up to `limit`. Raises StoreBusy if that takes too
        long."""
        if wanted.needs_words:
            return await self._by_words.count(wanted, limit)
        search = conditions_of(wanted)
        select = " ".join(("select from events", search.where(), "limit", search.place(limit)))
        count: int = await self._database.fetchval(f"select count(*) from ({select}) found", *search.arguments)  # noqa: S608 - only placeholders
        return count

    async def unfinished(self, older_than_s: float, limit: int, after: UUID | None = None) -> list[NewEvent]:
        """Events with the status `received` that were received at least `older_than_s` seconds ago, the oldest first.

        `after` is the last id of the page before. The page ends at MAX_UNFINISHED_BYTES; an empty one is the end.
        """
        return [_new_event(row) for row in await self._database.fetch(UNFINISHED, older_than_s, limit, after)]

    async def reopen(self, event: NewEvent, run: UUID | None = None) -> NewEvent | None:
        """Makes the event `received` again, for a replay with this flow, node, group and config. Returns it with the
        number of the replay, and that of its run, which is a new one if the event was processed. None if there is no
        such event, or the replay run `run` has replayed it already."""
        arguments = event.id, event.flow_id, event.node_id, event.group_key, event.config, run
        row = await self._database.fetchrow(REOPEN, *arguments)
        return None if row is None else msgspec.structs.replace(event, replay=row["replay"], run=row["run"])

    async def insert_edited(self, edited: NewEvent, replay_of: UUID) -> bool:
        """Stores an event that repeats the request of `replay_of` with the headers, body, flow, node, group and config
        of `edited`, received now. False if the event `edited.id` exists already, or `replay_of` does not."""
        arguments = (edited.flow_id, edited.node_id, edited.headers, edited.body, edited.group_key, edited.config)
        return await self._database.fetchrow(INSERT_EDITED, replay_of, edited.id, *arguments) is not None

    async def reopen_many(self, replays: Sequence[tuple[UUID, int]]) -> None:
        """Makes these events `received` again, each for the replay with this number."""
        await self._database.fetch(REOPEN_MANY, [one for one, _ in replays], [number for _, number in replays])


def _new_event(row: asyncpg.Record) -> NewEvent:
    return NewEvent(
        id=row["id"],
        webhook_id=row["webhook_id"],
        flow_id=row["flow_id"],
        node_id=row["node_id"],
        method=row["method"],
        headers=row["headers"],
        query_params=row["query_params"],
        body=row["body"],
        content_type=row["content_type"],
        remote_address=row["remote_address"],
        duplicate_key=row["duplicate_key"],
        group_key=row["group_key"],
        config=row["config"],
        received_at=row["received_at"],
        replay=row["replay"],
        run=row["run"],
    )


def _event(row: asyncpg.Record) -> Event:
    body: bytes = row["body"]
    encoding: Literal["utf-8", "base64"] = "utf-8"
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(body).decode(), "base64"
    return Event(
        id=row["id"],
        webhook_id=row["webhook_id"],
        flow_id=row["flow_id"],
        node_id=row["node_id"],
        status=row["status"],
        reason=row["reason"],
        method=row["method"],
        headers=from_json(row["headers"]),
        query_params=from_json(row["query_params"]),
        body=text,
        body_encoding=encoding,
        content_type=row["content_type"],
        remote_address=row["remote_address"],
        duplicate_key=row["duplicate_key"],
        error=error_detail(row["error"]),
        received_at=row["received_at"],
        processed_at=row["processed_at"],
        replay=row["replay"],
        replay_of=row["replay_of"],
    )
