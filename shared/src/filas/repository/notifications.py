"""Notifications. Each attempt to deliver one is recorded before it begins and after it ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
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
from filas.repository import notification_sql as sql
from filas.repository.executions.execution_messages import attempt as attempt_of
from filas.repository.postgres import paging
from filas.repository.postgres.batch_bisection import LockedItems, write_bisected
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import error_detail, from_json, to_json_or_null

Answer = TypeVar("Answer")

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
        rows = await self._database.fetch(sql.BEGIN_ATTEMPTS, ids, replays, SMALL_BYTES)
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
        payload = await self._database.fetchval(sql.PAYLOAD, notification.id)
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
            sql.RECORD_MANY,
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
            sql.RECORD_RECEIPTS,
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
        row = await self._database.fetchrow(sql.CANCEL, notification_id)
        return row["status"] if row else None

    async def unfinished(self, older_than_s: float, limit: int, after: UUID | None = None) -> list[DueNotification]:
        """Notifications without a final status that were due at least `older_than_s` seconds ago, the oldest first.

        `after` is the last id of the page before.
        """
        return [_due(row) for row in await self._database.fetch(sql.UNFINISHED, older_than_s, limit, after)]

    async def get(self, notification_id: UUID) -> NotificationWithAttempts | None:
        """The notification with every attempt in order, or None."""
        row = await self._database.fetchrow(sql.GET, notification_id)
        if row is None:
            return None
        attempts = await self._database.fetch(sql.ATTEMPTS, notification_id)
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
        if status in sql.CONDITIONS:
            search.require(sql.CONDITIONS[status])
        search.add("created_at >= {}", since)
        search.add("created_at < {}", until)
        search.before(cursor, "created_at")
        order = ("order by created_at desc, id desc limit", search.place(limit + 1))
        select = " ".join(("select * from notifications", search.where(), *order))
        statement = paging.within_bytes(select, sql.SIZE, "created_at desc, id desc")
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
