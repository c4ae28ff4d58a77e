"""Notifications. Each attempt to deliver one is recorded before it begins and after it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from filas.contract.storable_text import to_storable
from filas.errors import StoreBusy, Unstorable
from filas.memory_budget import SMALL_BYTES
from filas.models.notifications import (
    BegunNotification,
    DeliveryReceipt,
    DueNotification,
    Notification,
    NotificationOutcome,
    NotificationStatus,
    NotificationWithAttempts,
    ReceiptOutcome,
    RecordedReceipt,
)
from filas.models.record import Page
from filas.repository.executions.execution_messages import attempt as attempt_of
from filas.repository.postgres import paging
from filas.repository.postgres.batch_bisection import LockedItems, write_bisected
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import error_detail, from_json, to_json_or_null

Answer = TypeVar("Answer")

# A notification that is `sending` already has an attempt whose outcome is unknown. One whose cancel is stored gets no
# further attempt.
BEGIN_ATTEMPTS: Final = """
with found as (
    select n.id, n.status, n.attempts, n.status in ('queued', 'retrying', 'sending')
        and exists (select from notification_cancels c where c.notification_id = n.id offset 0) as cancels
    from notifications n
        join unnest($1::uuid[], $2::boolean[]) as a (id, replay) on a.id = n.id
    where n.status in ('queued', 'retrying', 'sending') or (a.replay and n.status in ('failed', 'cancelled'))
    order by n.id for update of n
), unknown as (
    update notification_attempts a set outcome = 'uncertain', ended_at = now()
    from found f
    where f.status = 'sending' and a.notification_id = f.id and a.attempt = f.attempts and a.outcome = 'sending'
), begun as (
    update notifications n set status = 'sending', attempts = n.attempts + 1,
        uncertain = n.uncertain or f.status = 'sending', error = null, ended_at = null,
        updated_at = now()
    from found f where n.id = f.id and not f.cancels
    returning n.*, f.status = 'sending' as interrupted
), cancelled as (
    update notifications n set status = 'cancelled', uncertain = n.uncertain or f.status = 'sending',
        updated_at = now(), ended_at = now()
    from found f where n.id = f.id and f.cancels
    returning n.id, n.execution_id
), reported as (
    insert into message_outcomes (notification_id, execution_id, status)
    select id, execution_id, 'cancelled' from cancelled where execution_id is not null
    order by id
    on conflict (notification_id) do update set status = excluded.status, error = null, created_at = now()
), applied as (
    delete from notification_cancels c using cancelled d where c.notification_id = d.id
), opened as (
    insert into notification_attempts (notification_id, attempt, outcome, started_at)
    select id, attempts, 'sending', now() from begun
)
select b.id, b.execution_id, b.conversation_id, b.seq, b.channel_id, b.recipient, b.idempotency_key, b.status,
    b.attempts, b.uncertain, b.provider_id, b.error, b.created_at, b.updated_at, b.interrupted, b.awaits,
    case when b.attempts > 1 then (
        select extract(epoch from now() - a.started_at)::float8 from notification_attempts a
        where a.notification_id = b.id and a.attempt = 1) end as tried_s,
    s.bytes as payload_bytes, case when s.bytes <= $3 then b.payload else '{}' end as payload
from begun b cross join lateral (select octet_length(b.payload::text) as bytes) s"""

PAYLOAD: Final = "select payload from notifications where id = $1"

# The attempt is recorded in any case; the notification only if no later attempt has begun. `reported`: the status for
# which the execution waits, or a later one.
RECORD_MANY: Final = """
with ended as (
    select * from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::integer[], $6::json[], $7::text[],
        $8::float8[])
        as o (id, attempt, outcome, status, status_code, error, provider_id, due_in_s)
), ended_attempt as (
    update notification_attempts a set outcome = e.outcome, status_code = e.status_code, error = e.error,
        ended_at = now()
    from ended e
    where a.notification_id = e.id and a.attempt = e.attempt and a.outcome in ('sending', 'uncertain')
), latest as (
    select n.id from notifications n join ended e on e.id = n.id and e.attempt = n.attempts
    where n.status = 'sending'
    order by n.id for update of n
), recorded as (
    update notifications n set status = e.status, error = e.error,
        provider_id = coalesce(e.provider_id, n.provider_id),
        uncertain = n.uncertain or e.outcome = 'uncertain',
        due_at = coalesce(now() + make_interval(secs => e.due_in_s), n.due_at),
        updated_at = now(), ended_at = case when e.status in ('queued', 'sending', 'retrying') then null else now() end
    from ended e join latest on latest.id = e.id
    where n.id = e.id
    returning n.id, n.execution_id, n.status, n.awaits
), reported as (
    insert into message_outcomes (notification_id, execution_id, status)
    select id, execution_id, status from recorded
    where execution_id is not null and (status = awaits or (status = 'delivered' and awaits is not null))
    order by id
    on conflict (notification_id) do update set status = excluded.status, error = null, created_at = now()
)
select id from recorded"""

UNFINISHED: Final = """
select n.id, n.channel_id, n.conversation_id, n.recipient,
    coalesce((select e.event_id from executions e where e.id = n.execution_id), n.execution_id) as origin_id
from notifications n
where n.ended_at is null and n.due_at <= now() - make_interval(secs => $1)
    and ($3::uuid is null or (n.due_at, n.id) > ((select due_at from notifications where id = $3), $3))
order by n.due_at, n.id limit $2"""

# Of several receipts for one message, the furthest status counts; `failed` does not undo `delivered`. A notification
# whose send got no answer has no provider's id and is found by its key (`by_key`): a receipt proves that the send was
# successful, so there are no more attempts, and `failed` is undone. The row of a receipt is deleted when its
# notification was found, or after the last attempt.
RECORD_RECEIPTS: Final = """
with receipt as (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::json[], $5::uuid[], $6::text[], $7::boolean[])
        as r (channel_id, provider_id, status, error, notification_id, job_id, last)
), furthest as (
    select distinct on (channel_id, provider_id) channel_id, provider_id, status, error, notification_id
    from receipt
    order by channel_id, provider_id, array_position(array['read', 'delivered', 'failed', 'sent'], status)
), matched as (
    select n.id, f.*, false as by_key
    from furthest f cross join lateral (
        select id from notifications where channel_id = f.channel_id and provider_id = f.provider_id offset 0) n
    union all
    select distinct on (n.id) n.id, f.*, true
    from furthest f join notifications n on n.id = f.notification_id and n.channel_id = f.channel_id
    where n.provider_id is null and n.status in ('sending', 'retrying', 'failed') and f.status <> 'failed'
), found as (
    select n.id, n.status as before, m.channel_id, m.provider_id, m.status, m.error, m.by_key
    from matched m join notifications n on n.id = m.id
    order by n.id for update of n
), moved as (
    update notifications n set status = f.status, provider_id = f.provider_id, updated_at = now(),
        error = case when f.by_key then null else coalesce(f.error, n.error) end,
        delivered_at = case when f.status = 'delivered' then now() else n.delivered_at end,
        read_at = case when f.status = 'read' then now() else n.read_at end,
        ended_at = coalesce(n.ended_at, now())
    from found f
    where n.id = f.id and case
        when f.by_key then n.provider_id is null and f.before in ('sending', 'retrying', 'failed')
        when f.before = 'sent' then f.status <> 'sent'
        when f.before = 'delivered' then f.status = 'read'
        else false end
    returning n.id, n.execution_id, n.status, n.awaits, n.error
), reported as (
    insert into message_outcomes (notification_id, execution_id, status, error)
    select id, execution_id, status, case when status = 'failed' then error end from moved
    where execution_id is not null
        and (status in ('failed', awaits) or (status in ('delivered', 'read') and awaits is not null))
    order by id
    on conflict (notification_id) do update
        set status = excluded.status, error = excluded.error, created_at = now()
    returning notification_id
), finished as (
    select d.job_id from delivery_statuses d join receipt r on r.job_id = d.job_id
    where r.last or (r.channel_id, r.provider_id) in (select channel_id, provider_id from matched)
    for update of d skip locked
), deleted as (
    delete from delivery_statuses d using finished f where d.job_id = f.job_id
)
select f.channel_id, f.provider_id, f.status, m.id is not null as moved, r.notification_id as reported
from found f left join moved m on m.id = f.id left join reported r on r.notification_id = f.id"""

# The stored cancel has had its effect, unless the notification is being sent.
CANCEL: Final = """
with found as (
    select id, status from notifications where id = $1 for update
), cancelled as (
    update notifications n set status = 'cancelled', updated_at = now(), ended_at = now()
    from found f where n.id = f.id and f.status in ('queued', 'retrying')
    returning n.id, n.execution_id
), reported as (
    insert into message_outcomes (notification_id, execution_id, status)
    select id, execution_id, 'cancelled' from cancelled where execution_id is not null
    on conflict (notification_id) do update set status = excluded.status, error = null, created_at = now()
), applied as (
    delete from notification_cancels
    where notification_id = $1 and not exists (select from found where status = 'sending')
)
select case when c.id is null then f.status else 'cancelled' end as status
from found f left join cancelled c on c.id = f.id"""

# A status that few notifications have is stated literally, as in the condition of its index.
CONDITIONS: Final[Mapping[str | None, str]] = {
    "failed": "status = 'failed'",
    "cancelled": "status = 'cancelled'",
    "queued": "ended_at is null",
    "sending": "ended_at is null",
    "retrying": "ended_at is null",
}

SIZE: Final = "octet_length(payload::text) + coalesce(octet_length(error::text), 0)"

GET: Final = "select * from notifications where id = $1"

ATTEMPTS: Final = "select * from notification_attempts where notification_id = $1 order by attempt"


Refused = StoreBusy | Unstorable
"""The result of an item of a batch that was not written."""


class NotificationRepository:
    """The tables `notifications` and `notification_attempts`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._locked_attempts = LockedItems[tuple[UUID, bool]]("notifications", "begin", lambda one: one[0])
        self._locked_outcomes = LockedItems[NotificationOutcome]("notifications", "record", lambda one: one.id)
        self._locked_receipts = LockedItems[DeliveryReceipt](
            "notifications", "record-receipt", lambda one: (one.channel_id, one.provider_id)
        )

    async def begin_attempt(self, notification_id: UUID, *, replay: bool = False) -> BegunNotification | None:
        """Begins the next attempt; its number is `attempts` of the result. None if there is nothing to send: the
        notification has a final status, does not exist, or is cancelled now because its cancel is stored.

        A `replay` also begins an attempt for a notification that is `failed` or `cancelled`. If the notification was
        `sending`, it is `interrupted` and `uncertain`, and the attempt before becomes `uncertain`.
        """
        [answer] = await self.begin_attempts([(notification_id, replay)])
        return _raised(answer)

    async def begin_attempts(self, tries: Sequence[tuple[UUID, bool]]) -> list[BegunNotification | Refused | None]:
        """`begin_attempt` for each (id, replay), in one transaction. None for an id that was given before. The result
        of a notification that another session locks is a StoreBusy."""
        first: dict[UUID, int] = {}
        for index, (notification_id, _) in enumerate(tries):
            first.setdefault(notification_id, index)
        asked = [tries[index] for index in first.values()]
        answers = await write_bisected(asked, self._begin, self._locked_attempts)
        begun = dict(zip(first, answers, strict=True))
        return [
            begun[notification_id] if first[notification_id] == index else None
            for index, (notification_id, _) in enumerate(tries)
        ]

    async def _begin(self, asked: Sequence[tuple[UUID, bool]]) -> list[BegunNotification | None]:
        ids, replays = [one for one, _ in asked], [replay for _, replay in asked]
        rows = await self._database.fetch(BEGIN_ATTEMPTS, ids, replays, SMALL_BYTES)
        begun = {
            row["id"]: BegunNotification(
                **_fields(row),
                interrupted=row["interrupted"],
                payload_bytes=row["payload_bytes"],
                awaits=row["awaits"],
                tried_s=row["tried_s"] or 0.0,
            )
            for row in rows
        }
        return [begun.get(notification_id) for notification_id, _ in asked]

    async def load_payload(self, notification: BegunNotification) -> BegunNotification:
        """The notification with its payload, which `begin_attempts` leaves out if it is large."""
        payload = await self._database.fetchval(PAYLOAD, notification.id)
        return msgspec.structs.replace(notification, payload=from_json(payload))

    async def record(self, outcome: NotificationOutcome) -> bool:
        """Records the outcome of an attempt. False if a later attempt has begun or the notification has a final status:
        then only the attempt's row is written. A repeated call changes nothing."""
        [kept] = await self.record_many([outcome])
        return _raised(kept)

    async def record_many(self, outcomes: Sequence[NotificationOutcome]) -> list[bool | Refused]:
        """`record` for each outcome, in one transaction; at most one outcome for each attempt. The result of a
        notification that another session locks is a StoreBusy."""
        return await write_bisected(outcomes, self._record, self._locked_outcomes)

    async def _record(self, outcomes: Sequence[NotificationOutcome]) -> list[bool]:
        rows = await self._database.fetch(
            RECORD_MANY,
            [one.id for one in outcomes],
            [one.attempt for one in outcomes],
            [one.outcome for one in outcomes],
            [one.status for one in outcomes],
            [one.status_code for one in outcomes],
            [to_json_or_null(one.error) for one in outcomes],
            # The provider chooses this text. It must not fail the statement.
            [None if one.provider_id is None else to_storable(one.provider_id) for one in outcomes],
            [one.due_in_s for one in outcomes],
        )
        kept = {row["id"] for row in rows}
        return [one.id in kept for one in outcomes]

    async def record_receipts(self, updates: Sequence[DeliveryReceipt]) -> list[RecordedReceipt | Refused]:
        """Records delivery receipts. A status only moves forward: sent, delivered, read; `failed` only replaces `sent`.
        The rows of the receipts that are recorded, or whose last attempt this is, are deleted in the same transaction.

        A notification without a provider's id, because its send has no answer (yet), is found by `notification_id`: it
        gets the provider's id, and is not sent again.

        The result of a receipt whose notification another session locks is a StoreBusy.
        """
        return await write_bisected(updates, self._record_receipts, self._locked_receipts)

    async def _record_receipts(self, updates: Sequence[DeliveryReceipt]) -> list[RecordedReceipt]:
        rows = await self._database.fetch(
            RECORD_RECEIPTS,
            [to_storable(one.channel_id) for one in updates],
            [to_storable(one.provider_id) for one in updates],
            [one.status for one in updates],
            [to_json_or_null(one.error) for one in updates],
            [one.notification_id for one in updates],
            [None if one.job_id is None else to_storable(one.job_id) for one in updates],
            [one.last for one in updates],
        )
        found = {(row["channel_id"], row["provider_id"]): row for row in rows}
        outcomes: list[RecordedReceipt] = []
        for one in updates:
            row = found.get((to_storable(one.channel_id), to_storable(one.provider_id)))
            moved = row is not None and row["moved"] and row["status"] == one.status
            outcome: ReceiptOutcome = "unknown" if row is None else "recorded" if moved else "stale"
            reported = row["reported"] if row is not None and moved else None
            outcomes.append(RecordedReceipt(outcome=outcome, reported=reported))
        return outcomes

    async def cancel(self, notification_id: UUID) -> NotificationStatus | None:
        """Cancels the notification if it is `queued` or `retrying`. Returns its status, None if it is absent."""
        row = await self._database.fetchrow(CANCEL, notification_id)
        return row["status"] if row else None

    async def unfinished(self, older_than_s: float, limit: int, after: UUID | None = None) -> list[DueNotification]:
        """Notifications without a final status that were due at least `older_than_s` seconds ago, the oldest first.

        `after` is the last id of the page before.
        """
        return [_due(row) for row in await self._database.fetch(UNFINISHED, older_than_s, limit, after)]

    async def get(self, notification_id: UUID) -> NotificationWithAttempts | None:
        """The notification with every attempt in order, or None."""
        row = await self._database.fetchrow(GET, notification_id)
        if row is None:
            return None
        attempts = await self._database.fetch(ATTEMPTS, notification_id)
        return NotificationWithAttempts(**_fields(row), history=[attempt_of(attempt) for attempt in attempts])

    async def search(
        self,
        *,
        execution_id: UUID | None = None,
        conversation_id: UUID | None = None,
        channel_id: str | None = None,
        status: NotificationStatus | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        cursor: str | None = None,
        limit: int = paging.DEFAULT_LIMIT,
    ) -> Page:
        """One page of notifications created at `since` or later and before `until`, the newest first.

        Raises InvalidCursor.
        """
        limit = paging.bounded(limit)
        search = paging.Filter()
        search.add("execution_id = {}", execution_id)
        search.add("conversation_id = {}", conversation_id)
        search.add("channel_id = {}", channel_id)
        search.add("status = {}", status)
        if status in CONDITIONS:
            search.require(CONDITIONS[status])
        search.add("created_at >= {}", since)
        search.add("created_at < {}", until)
        search.before(cursor, "created_at")
        order = ("order by created_at desc, id desc limit", search.place(limit + 1))
        select = " ".join(("select * from notifications", search.where(), *order))
        statement = paging.within_bytes(select, SIZE, "created_at desc, id desc")
        rows = await self._database.fetch(statement, *search.arguments)
        return paging.page_by_time(rows, limit, "created_at", lambda row: Notification(**_fields(row)))


def _raised(answer: Answer | Refused) -> Answer:
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _due(row: asyncpg.Record) -> DueNotification:
    return DueNotification(
        id=row["id"],
        channel_id=row["channel_id"],
        conversation_id=row["conversation_id"],
        recipient=row["recipient"],
        origin_id=row["origin_id"],
    )


def _fields(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": row["id"],
        "execution_id": row["execution_id"],
        "conversation_id": row["conversation_id"],
        "seq": row["seq"],
        "channel_id": row["channel_id"],
        "recipient": row["recipient"],
        "payload": from_json(row["payload"]),
        "idempotency_key": row["idempotency_key"],
        "status": row["status"],
        "attempts": row["attempts"],
        "uncertain": row["uncertain"],
        "provider_id": row["provider_id"],
        "error": error_detail(row["error"]),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }
