"""Dead letters: jobs that can't succeed, kept whole, their rows marked as failed in the same transaction."""

from __future__ import annotations

import base64
import builtins
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from filas.contract.identity import new_id
from filas.contract.jobs import CANCEL_NOTIFICATION, UPDATE_DELIVERY_STATUS
from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS
from filas.contract.storable_text import to_storable
from filas.models.dead_letters import DeadLetter, NewDeadLetter
from filas.models.record import ErrorDetail, Page
from filas.repository.postgres import paging
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import from_json, to_json

# $1-$11: the letters; $12-$14: the row that each is about, with the turn of an execution. Only what is stored
# now fails its row: a letter that comes a second time may find its row reopened for a replay.
INSERT_MANY: Final = """
with letter as (
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::json[],
        $8::integer[], $9::json[], $10::timestamptz[], $11::timestamptz[], $12::text[], $13::uuid[], $14::integer[])
        as l (id, queue, job_id, function, payload, group_key, error, attempts, history, enqueued_at, failed_at,
            kind, subject_id, turn)
), stored as (
    insert into dead_letters (id, queue, job_id, function, payload, group_key, error, attempts, history,
        enqueued_at, failed_at)
    select id, queue, job_id, function, payload, group_key, error, attempts, history, enqueued_at, failed_at
    from letter
    on conflict (queue, job_id, failed_at) do nothing
    returning id
), failing as (
    select l.kind, l.subject_id, l.turn, l.error, l.job_id from letter l join stored s on s.id = l.id
), event as (
    update events e set status = 'failed', error = f.error, processed_at = now()
    from failing f where f.kind = 'event' and e.id = f.subject_id and e.status = 'received'
), execution as (
    update executions e set status = 'failed', error = f.error, fence = e.fence + 1, lease_owner = null,
        lease_until = null, ready_at = null, wake_at = null, ended_at = now()
    from failing f
    where f.kind = 'execution' and e.id = f.subject_id and e.turn = f.turn and e.ended_at is null
), notification as (
    update notifications n set status = 'failed', error = f.error, updated_at = now(), ended_at = now()
    from failing f where f.kind = 'notification' and n.id = f.subject_id and n.ended_at is null
), delivery_status as (
    delete from delivery_statuses d using failing f where f.kind = 'delivery-status' and d.job_id = f.job_id
)
select id from stored"""

GET: Final = "select * from dead_letters where id = $1"

MARK_REPLAYED: Final = """
update dead_letters d set replayed_at = now(), replayed_job_id = r.job_id
from unnest($1::uuid[], $2::text[]) as r (id, job_id) where d.id = r.id"""

COUNT_OPEN: Final = "select count(*) from dead_letters where replayed_at is null and failed_at >= $1"

DELETE: Final = "delete from dead_letters where id = $1 returning id"


class _Subject(msgspec.Struct, rename="camel"):
    """What a job's message says of the row that it is about."""

    event_id: UUID | None = None
    execution_id: UUID | None = None
    turn: int | None = None
    notification_id: UUID | None = None


class DeadLetterRepository:
    """The table `dead_letters`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert_many(self, letters: Sequence[NewDeadLetter]) -> None:
        """Store the letters and fail their event, execution or notification, unless that has ended, in one
        transaction; a delivery status is kept by its letter alone then. A letter that is there already (by queue,
        job and time) changes nothing.

        There is room for every letter: what a text column can't hold is replaced by U+FFFD in the texts (the
        payload is kept as it is), and a letter that names no row is stored all the same.
        """
        subjects = [_subject(letter) for letter in letters]
        await self._database.fetch(
            INSERT_MANY,
            [new_id() for _ in letters],
            [to_storable(letter.queue) for letter in letters],
            [to_storable(letter.job_id) for letter in letters],
            [to_storable(letter.function) for letter in letters],
            [letter.payload for letter in letters],
            [None if letter.group_key is None else to_storable(letter.group_key) for letter in letters],
            [to_json(letter.error) for letter in letters],
            [letter.attempts for letter in letters],
            [to_json(letter.history) for letter in letters],
            [letter.enqueued_at for letter in letters],
            [letter.failed_at for letter in letters],
            [kind for kind, _, _ in subjects],
            [subject_id for _, subject_id, _ in subjects],
            [turn for _, _, turn in subjects],
        )

    async def list(
        self, queue: str | None = None, cursor: str | None = None, limit: int = paging.DEFAULT_LIMIT
    ) -> Page:
        """One page of the dead letters (of one queue, by its full name), the newest first. Raises InvalidCursor."""
        limit = paging.bounded(limit)
        search = paging.Filter()
        search.add("queue = {}", queue)
        search.before(cursor, "failed_at")
        order = ("order by failed_at desc, id desc limit", search.place(limit + 1))
        rows = await self._database.fetch(
            " ".join(("select * from dead_letters", search.where(), *order)), *search.arguments
        )
        return paging.page_by_time(rows, limit, "failed_at", _letter)

    async def get(self, letter_id: UUID) -> DeadLetter | None:
        """The dead letter of that id, or None."""
        row = await self._database.fetchrow(GET, letter_id)
        return _letter(row) if row else None

    async def replayable(
        self,
        *,
        queue: str | None = None,
        function: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: DeadLetter | None = None,
        limit: int,
    ) -> builtins.list[DeadLetter]:
        """Letters that have not been put back, the oldest first, from the one after `after` on: of one queue (by its
        full name), of one function, failed at `since` or later and before `until`."""
        search = paging.Filter()
        search.demand("replayed_at is null")
        search.add("queue = {}", queue)
        search.add("function = {}", function)
        search.add("failed_at >= {}", since)
        search.add("failed_at < {}", until)
        if after is not None:
            search.add("(failed_at, id) > ({}, {})", after.failed_at, after.id)
        order = ("order by failed_at, id limit", search.place(limit))
        rows = await self._database.fetch(
            " ".join(("select * from dead_letters", search.where(), *order)), *search.arguments
        )
        return [_letter(row) for row in rows]

    async def count_open(self, since: datetime) -> int:
        """How many letters since then have not been put back."""
        count: int = await self._database.fetchval(COUNT_OPEN, since)
        return count

    async def mark_replayed(self, replayed: Sequence[tuple[UUID, str]]) -> None:
        """Record of many letters, by their ids, that their jobs were put back, and as which."""
        ids = [letter_id for letter_id, _ in replayed]
        await self._database.fetch(MARK_REPLAYED, ids, [job_id for _, job_id in replayed])

    async def delete(self, letter_id: UUID) -> bool:
        """Delete the letter; False if there was none."""
        return await self._database.fetchrow(DELETE, letter_id) is not None


def _subject(letter: NewDeadLetter) -> tuple[str | None, UUID | None, int | None]:
    """The kind and the id of the row that the letter's job is about, and the turn of an execution.

    A cancel that could not be carried out fails nothing: what it was to end goes on. The row of a delivery status
    goes by the job's id.
    """
    if letter.function == CANCEL_NOTIFICATION:
        return None, None, None
    if letter.queue == NOTIFICATIONS.name and letter.function == UPDATE_DELIVERY_STATUS:
        return "delivery-status", None, None
    try:
        said = msgspec.json.decode(letter.payload, type=_Subject)
    except msgspec.MsgspecError:
        return None, None, None
    subjects: dict[str, tuple[str, UUID | None]] = {
        WEBHOOKS.name: ("event", said.event_id),
        FLOWS.name: ("execution", said.execution_id),
        NOTIFICATIONS.name: ("notification", said.notification_id),
    }
    kind, subject_id = subjects.get(letter.queue, (None, None))
    return kind, subject_id, said.turn if kind == "execution" else None


def _letter(row: asyncpg.Record) -> DeadLetter:
    payload = _message(row["payload"])
    error = msgspec.convert(from_json(row["error"]), ErrorDetail)
    history: builtins.list[dict[str, Any]] = from_json(row["history"])
    return DeadLetter(
        id=row["id"],
        queue=row["queue"],
        job_id=row["job_id"],
        function=row["function"],
        payload=payload,
        raw=base64.b64encode(row["payload"]).decode() if payload is None else None,
        group_key=row["group_key"],
        error=error,
        attempts=row["attempts"],
        history=history,
        enqueued_at=row["enqueued_at"],
        failed_at=row["failed_at"],
        replayed_at=row["replayed_at"],
        replayed_job_id=row["replayed_job_id"],
    )


def _message(payload: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
