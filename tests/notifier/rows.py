"""Rows as flow-runner and ingest leave them for the notifier, and a database to keep them in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec

from filas.contract import identity
from filas.contract.identity import new_id
from filas.contract.jobs import DeliveryReceiptJob
from filas.contract.policies import NOTIFICATIONS
from filas.repository.postgres.database import Database
from tests.waiting import PATIENCE_S

ADD = """
insert into notifications (id, execution_id, seq, channel_id, recipient, payload, idempotency_key, due_at,
    created_at, updated_at)
values ($1, $2, 5, $3, $4, $5::json, $6, now() - make_interval(secs => $7), now(), now())"""


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Database]:
    """The database at `dsn`, ready."""
    database = Database(dsn, application_name="filas-tests")
    database.start()
    try:
        await database.wait_ready(PATIENCE_S)
        yield database
    finally:
        await database.close()


async def add_notification(
    database: Database,
    channel_id: str,
    *,
    recipient: str = "5511999990000",
    due_s_ago: float = 0.0,
    text: str = "Olá!",
) -> UUID:
    """A queued notification; gives its id. Its key is `<execution>:5`."""
    execution_id = new_id()
    notification_id = identity.notification_id(execution_id, 5)
    payload = msgspec.json.encode({"type": "text", "text": text}).decode()
    await database.fetch(
        ADD, notification_id, execution_id, channel_id, recipient, payload, f"{execution_id}:5", due_s_ago
    )
    return notification_id


async def add_delivery_status(database: Database, job: DeliveryReceiptJob) -> None:
    """A delivery receipt that `job` records."""
    job_id = NOTIFICATIONS.job_id(job.key)
    message = msgspec.json.encode(job).decode()
    await database.fetch("insert into delivery_statuses (job_id, message) values ($1, $2::json)", job_id, message)
