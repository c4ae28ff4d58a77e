"""Dead letters: jobs that cannot succeed, with their whole content. Storing one fails the row of its job."""

from __future__ import annotations

import base64
import builtins
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from filas.contract import fingerprints
from filas.contract.identity import new_id
from filas.contract.jobs import CANCEL_NOTIFICATION, LEARN_OUTCOME, UPDATE_DELIVERY_STATUS
from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS
from filas.contract.storable_text import to_storable
from filas.models.dead_letters import DeadLetter, NewDeadLetter
from filas.models.record import ErrorDetail, Page
from filas.repository.postgres import paging
from filas.repository.postgres.batch_bisection import LockedItems, write_bisected
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import from_json, to_json

# $1-$11 and $15: the dead letters. $12-$14: the row that each job is about, with the turn of an execution. Only a dead
# letter that is new fails its row: when a dead letter is stored a second time, its row may be reopened for a replay.
INSERT_MANY: Final = """
with letter as (
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::json[],
        $8::integer[], $9::json[], $10::timestamptz[], $11::timestamptz[], $12::text[], $13::uuid[], $14::integer[],
        $15::text[])
        as l (id, queue, job_id, function, payload, group_key, error, attempts, history, enqueued_at, failed_at,
            kind, subject_id, turn, fingerprint)
), stored as (
    insert into dead_letters (id, queue, job_id, function, payload, group_key, error, attempts, history,
        enqueued_at, failed_at, fingerprint)
    select id, queue, job_id, function, payload, group_key, error, attempts, history, enqueued_at, failed_at,
        fingerprint
    from letter
    on conflict (queue, job_id, failed_at) do nothing
    returning id
), failing as (
    select l.kind, l.subject_id, l.turn, l.error, l.fingerprint, l.job_id from letter l join stored s on s.id = l.id
), event as (
    update events e set status = 'failed', error = f.error, processed_at = now()
    from failing f where f.kind = 'event' and e.id = f.subject_id and e.processed_at is null
), execution as (
    update executions e set status = 'failed', error = f.error, fingerprint = f.fingerprint, fence = e.fence + 1,
        lease_owner = null,
        lease_until = null, ready_at = null, wake_at = null, awaits_reply_since = null, ended_at = now()
    from failing f
    where f.kind = 'execution' and e.id = f.subject_id and e.turn = f.turn
        and e.status not in ('succeeded', 'failed', 'cancelled', 'timed-out')
), notification as (
    update notifications n set status = 'failed', error = f.error, updated_at = now(), ended_at = now()
    from failing f where f.kind = 'notification' and n.id = f.subject_id
        and n.status in ('queued', 'sending', 'retrying')
    returning n.id, n.execution_id, n.status, n.error
), reported as (
    insert into message_outcomes (notification_id, execution_id, status, error)
    select id, execution_id, status, error from notification where execution_id is not null
    order by id
    on conflict (notification_id) do update
        set status = excluded.status, error = excluded.error, created_at = now()
), message_outcome as (
    delete from message_outcomes o using failing f where f.kind = 'message-outcome' and o.notification_id = f.subject_id
), delivery_status as (
    delete from delivery_statuses d using failing f where f.kind = 'delivery-status' and d.job_id = f.job_id
)
select id from stored"""

SIZE: Final = "octet_length(payload) + octet_length(history::text) + octet_length(error::text)"

GET: Final = "select * from dead_letters where id = $1"

MARK_REPLAYED: Final = """
update dead_letters d set replayed_at = now(), replayed_job_id = r.job_id, replay_run = $3
from unnest($1::uuid[], $2::text[]) as r (id, job_id) where d.id = r.id"""

COUNT_OPEN: Final = "select count(*) from dead_letters where replayed_at is null and failed_at >= $1"

_COLUMNS: Final = (
    "id, queue, job_id, function, payload, group_key, error, attempts, history, enqueued_at, failed_at, replayed_at,"
    " replayed_job_id, fingerprint, replay_run"
)

# Moves rows to the table of deleted dead letters. $1: the id of what is deleted together.
_DELETE: Final = """
with moved as (
    delete from dead_letters where id in ({chosen}) returning {columns}
)
insert into deleted_dead_letters ({columns}, deletion) select {columns}, $1 from moved
on conflict (id) do update set deletion = excluded.deletion, deleted_at = now()
returning id"""

# Moves rows back. A dead letter that exists again stays as it is.
_RESTORE: Final = """
with moved as (
    delete from deleted_dead_letters where {condition} returning {columns}
), restored as (
    insert into dead_letters ({columns}) select {columns} from moved on conflict do nothing
)
select id from moved"""

DELETE: Final = _DELETE.format(chosen="$2", columns=_COLUMNS)
RESTORE: Final = _RESTORE.format(condition="id = $1", columns=_COLUMNS)
RESTORE_DELETION: Final = _RESTORE.format(condition="deletion = $1", columns=_COLUMNS)


class _Subject(msgspec.Struct, rename="camel"):
    """The fields of a job's message that identify the row that the job is about."""

    event_id: UUID | None = None
    execution_id: UUID | None = None
    turn: int | None = None
    notification_id: UUID | None = None


class DeadLetterRepository:
    """The table `dead_letters`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._locked_letters = LockedItems[NewDeadLetter]("dead_letters", "insert", lambda letter: letter.job_id)

    async def insert_many(self, letters: Sequence[NewDeadLetter]) -> builtins.list[Exception | None]:
        """Stores the dead letters. In the same transaction, it fails their events, executions and notifications that
        have not ended, and removes the rows of their delivery receipts. A dead letter that is stored already (same
        queue, job and time) changes nothing.

        Every dead letter can be stored: U+FFFD replaces what a text column cannot hold (the payload is stored as it
        is), and a dead letter that identifies no row is stored too. Returns one result for each: None, or a StoreBusy
        if another session locks the row of its job. That dead letter is not stored.
        """
        return [*await write_bisected(letters, self._insert, self._locked_letters)]

    async def _insert(self, letters: Sequence[NewDeadLetter]) -> builtins.list[None]:
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
            [fingerprints.fingerprint(letter.error) for letter in letters],
        )
        return [None] * len(letters)

    async def list(
        self,
        queue: str | None = None,
        fingerprint: str | None = None,
        *,
        cursor: str | None = None,
        limit: int = paging.DEFAULT_LIMIT,
    ) -> Page:
        """One page of the dead letters, the newest first. `queue`: a queue's full name. `fingerprint`: that of the
        error. Raises InvalidCursor."""
        limit = paging.bounded(limit)
        search = paging.Filter()
        search.add("queue = {}", queue)
        search.add("fingerprint = {}", fingerprint)
        search.before(cursor, "failed_at")
        order = ("order by failed_at desc, id desc limit", search.place(limit + 1))
        select = " ".join(("select * from dead_letters", search.where(), *order))
        statement = paging.within_bytes(select, SIZE, "failed_at desc, id desc")
        rows = await self._database.fetch(statement, *search.arguments)
        return paging.page_by_time(rows, limit, "failed_at", _letter)

    async def get(self, letter_id: UUID) -> DeadLetter | None:
        """The dead letter with this id, or None."""
        row = await self._database.fetchrow(GET, letter_id)
        return _letter(row) if row else None

    async def replayable(
        self,
        *,
        queue: str | None = None,
        function: str | None = None,
        fingerprint: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: DeadLetter | None = None,
        position: tuple[datetime, UUID] | None = None,
        limit: int,
    ) -> builtins.list[DeadLetter]:
        """Dead letters that were not replayed, the oldest first, starting after `after`, or after `position` (failed
        at, id). A page of large ones has fewer than `limit`; only an empty page is the end. The filters: a queue (by
        its full name), a function, a fingerprint, failed at `since` or later and before `until`."""
        search = _open(queue, fingerprint, since, until)
        search.add("function = {}", function)
        if after is not None:
            position = after.failed_at, after.id
        if position is not None:
            search.add("(failed_at, id) > ({}, {})", *position)
        order = ("order by failed_at, id limit", search.place(limit))
        select = " ".join(("select * from dead_letters", search.where(), *order))
        rows = await self._database.fetch(paging.within_bytes(select, SIZE, "failed_at, id"), *search.arguments)
        return [_letter(row) for row in rows]

    async def count_open(self, since: datetime) -> int:
        """The number of dead letters since `since` that were not replayed."""
        count: int = await self._database.fetchval(COUNT_OPEN, since)
        return count

    async def count_replayable(
        self,
        *,
        queue: str | None = None,
        fingerprint: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int,
    ) -> int:
        """How many dead letters `replayable` would return in all its pages, up to `limit`."""
        search = _open(queue, fingerprint, since, until)
        select = " ".join(("select from dead_letters", search.where(), "limit", search.place(limit)))
        count: int = await self._database.fetchval(f"select count(*) from ({select}) found", *search.arguments)  # noqa: S608 - only placeholders
        return count

    async def mark_replayed(self, replayed: Sequence[tuple[UUID, str]], run: UUID | None = None) -> None:
        """Records that the jobs of these dead letters (by id) were enqueued again, under which job id, and in which
        replay run."""
        ids = [letter_id for letter_id, _ in replayed]
        await self._database.fetch(MARK_REPLAYED, ids, [job_id for _, job_id in replayed], run)

    async def delete(self, letter_id: UUID, deletion: UUID | None = None) -> bool:
        """Deletes the dead letter; it can be restored until retention removes it. False if there was none."""
        return await self._database.fetchrow(DELETE, deletion or new_id(), letter_id) is not None

    async def delete_many(
        self,
        deletion: UUID,
        *,
        queue: str | None = None,
        fingerprint: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int,
    ) -> int:
        """Deletes up to `limit` dead letters that match and were not replayed, the oldest first, as one deletion.
        Returns their number."""
        search = paging.Filter()
        search.place(deletion)
        _add_filters(search, queue, fingerprint, since, until)
        order = ("order by failed_at, id limit", search.place(limit))
        chosen = " ".join(("select id from dead_letters", search.where(), *order))
        statement = _DELETE.format(chosen=chosen, columns=_COLUMNS)
        return len(await self._database.fetch(statement, *search.arguments))

    async def restore(self, letter_id: UUID) -> bool:
        """Restores a deleted dead letter. False if there is none, because it was never deleted or retention has removed
        it."""
        return await self._database.fetchrow(RESTORE, letter_id) is not None

    async def restore_deletion(self, deletion: UUID) -> int:
        """Restores what was deleted together. Returns the number of dead letters."""
        return len(await self._database.fetch(RESTORE_DELETION, deletion))


def _open(queue: str | None, fingerprint: str | None, since: datetime | None, until: datetime | None) -> paging.Filter:
    search = paging.Filter()
    _add_filters(search, queue, fingerprint, since, until)
    return search


def _add_filters(
    search: paging.Filter,
    queue: str | None,
    fingerprint: str | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    search.require("replayed_at is null")
    search.add("queue = {}", queue)
    search.add("fingerprint = {}", fingerprint)
    search.add("failed_at >= {}", since)
    search.add("failed_at < {}", until)


def _subject(letter: NewDeadLetter) -> tuple[str | None, UUID | None, int | None]:
    """The kind and the id of the row that the job is about, and the turn of an execution.

    The dead letter of a cancellation fails no row, because the notification is still to be delivered. The row of a
    delivery receipt has the job's id. The row of a message's outcome is removed.
    """
    if letter.function == CANCEL_NOTIFICATION:
        return None, None, None
    if letter.queue == NOTIFICATIONS.name and letter.function == UPDATE_DELIVERY_STATUS:
        return "delivery-status", None, None
    learns_outcome = letter.queue == FLOWS.name and letter.function == LEARN_OUTCOME
    try:
        named = msgspec.json.decode(letter.payload, type=_Subject)
    except msgspec.MsgspecError:
        return None, None, None
    subjects: dict[str, tuple[str, UUID | None]] = {
        WEBHOOKS.name: ("event", named.event_id),
        FLOWS.name: ("execution", named.execution_id),
        NOTIFICATIONS.name: ("notification", named.notification_id),
    }
    kind, subject_id = subjects.get(letter.queue, (None, None))
    if learns_outcome:
        return "message-outcome", named.notification_id, None
    return kind, subject_id, named.turn if kind == "execution" else None


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
        fingerprint=row["fingerprint"],
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
