"""The messages of one execution, with their delivery state and their attempts."""

from __future__ import annotations

from collections import defaultdict
from typing import Final
from uuid import UUID

import asyncpg

from filas.models.executions import ExecutionMessage
from filas.models.notifications import NotificationAttempt
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import error_detail

MAX_MESSAGES: Final = 500
MAX_ATTEMPTS: Final = 20
"""How many messages of an execution are shown, and how many attempts of each: those that were sent last."""

MESSAGES: Final = """
select * from (
    select n.id, n.seq, s.node_id, n.channel_id, n.recipient, n.status, n.attempts, n.uncertain, n.error, n.provider_id,
        n.created_at, n.updated_at
    from notifications n left join steps s on s.execution_id = n.execution_id and s.seq = n.seq
    where n.execution_id = $1
    order by n.created_at desc, n.seq desc, n.id desc limit $2
) last
order by created_at, seq, id"""

ATTEMPTS: Final = """
select a.notification_id, a.attempt, a.outcome, a.status_code, a.error, a.started_at, a.ended_at
from notifications n join notification_attempts a on a.notification_id = n.id and a.attempt > n.attempts - $2
where n.id = any ($1::uuid[])
order by a.notification_id, a.attempt"""


async def messages_of(database: Database, execution_id: UUID) -> list[ExecutionMessage]:
    """The last MAX_MESSAGES messages in the order in which they were recorded, each with its last MAX_ATTEMPTS
    attempts."""
    rows = await database.fetch(MESSAGES, execution_id, MAX_MESSAGES)
    attempts: defaultdict[UUID, list[NotificationAttempt]] = defaultdict(list)
    if any(row["attempts"] for row in rows):
        for row in await database.fetch(ATTEMPTS, [row["id"] for row in rows], MAX_ATTEMPTS):
            attempts[row["notification_id"]].append(attempt(row))
    return [
        ExecutionMessage(**{**row, "error": error_detail(row["error"])}, history=attempts[row["id"]]) for row in rows
    ]


def attempt(row: asyncpg.Record) -> NotificationAttempt:
    """The record of one attempt to deliver a notification."""
    return NotificationAttempt(
        attempt=row["attempt"],
        outcome=row["outcome"],
        status_code=row["status_code"],
        error=error_detail(row["error"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )
