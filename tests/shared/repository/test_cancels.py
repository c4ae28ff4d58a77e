"""A stored cancel holds from the moment it is stored, and is deleted when it has had its effect."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from filas.contract.policies import FLOWS, NOTIFICATIONS
from filas.models.executions import ExecutionCancel
from filas.repository.cancels import CancelRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.postgres.database import Database
from filas.repository.retention import Ages, Retention
from tests.shared.repository.builders import checkpoint, claimed, notification, started

LEASE_S = 8.0


@pytest.fixture
def cancels(database: Database) -> CancelRepository:
    """Returns the repository under test."""
    return CancelRepository(database)


async def stored(cancels: CancelRepository) -> list[UUID]:
    """The executions and notifications with a stored cancel."""
    executions = await cancels.unapplied_executions(0.0, 10)
    return [*(one.execution_id for one in executions), *await cancels.unapplied_notifications(0.0, 10)]


async def test_the_cancels_of_jobs_are_read_in_pages_and_deleted(cancels: CancelRepository) -> None:
    """By queue. Ids may contain any bytes. A repeated request changes nothing."""
    ids = [b"\x00\xff", b"a", b"b"]
    for job_id in (*ids, *ids):
        await cancels.request_job(FLOWS.name, job_id)
    await cancels.request_job(NOTIFICATIONS.name, b"c")
    assert await cancels.jobs(FLOWS.name, 2) == ids[:2]
    assert await cancels.jobs(FLOWS.name, 2, ids[1]) == ids[2:]
    await cancels.delete_jobs(FLOWS.name, ids[:2])
    assert (await cancels.jobs(FLOWS.name, 9), await cancels.jobs(NOTIFICATIONS.name, 9)) == ([b"b"], [b"c"])


async def test_an_execution_is_claimed_as_cancelled_although_no_command_has_arrived(
    cancels: CancelRepository, database: Database, published: str
) -> None:
    rows = ExecutionRepository(database)
    due = await started(database)
    await cancels.request_execution(due.id)
    await cancels.request_execution(due.id)
    assert await cancels.unapplied_executions(0.0, 10) == [
        ExecutionCancel(execution_id=due.id, flow_id=due.flow_id, event_id=due.event_id)
    ]
    assert await cancels.unapplied_executions(60.0, 10) == []
    assert await cancels.unapplied_executions(0.0, 10, due.id) == []
    claim = await rows.claim(due.id, 1, "worker-1", LEASE_S)
    assert claim is not None
    assert claim.cancel_requested
    assert await rows.request_cancel(due.id) is not None
    assert await stored(cancels) == []


async def test_a_running_execution_notices_a_stored_cancel(
    cancels: CancelRepository, database: Database, published: str
) -> None:
    """At the next renewal of its lease."""
    rows, held = ExecutionRepository(database), await claimed(database)
    assert await rows.cancel_requested([held.id]) == set()
    await cancels.request_execution(held.id)
    assert await rows.cancel_requested([held.id]) == {held.id}
    await rows.checkpoint_many([checkpoint(held, "cancelled")])
    assert await rows.cancel_requested([held.id]) == set()
    assert await rows.request_cancel(held.id) is None
    assert await stored(cancels) == []


async def test_a_notification_with_a_stored_cancel_is_not_sent(
    cancels: CancelRepository, database: Database, published: str
) -> None:
    """Its job may run before the command, and even a whole day later. A replay sends it again."""
    rows, held = NotificationRepository(database), await claimed(database)
    new = notification(held.id, 1)
    await ExecutionRepository(database).checkpoint_many([checkpoint(held, notifications=[new])])
    await cancels.request_notification(new.id)
    assert await cancels.unapplied_notifications(0.0, 10) == [new.id]
    assert await rows.begin_attempt(new.id) is None
    found = await rows.get(new.id)
    assert found is not None
    assert (found.status, found.attempts, found.uncertain) == ("cancelled", 0, False)
    assert await stored(cancels) == []
    assert await rows.begin_attempt(new.id, replay=True) is not None


async def test_a_notification_that_is_being_sent_keeps_its_stored_cancel(
    cancels: CancelRepository, database: Database, published: str
) -> None:
    """If its worker dies, the outcome is uncertain, and it is not sent again."""
    rows, held = NotificationRepository(database), await claimed(database)
    new = notification(held.id, 1)
    await ExecutionRepository(database).checkpoint_many([checkpoint(held, notifications=[new])])
    assert await rows.begin_attempt(new.id) is not None
    await cancels.request_notification(new.id)
    assert await rows.cancel(new.id) == "sending"
    assert await stored(cancels) == [new.id]
    assert await rows.begin_attempt(new.id) is None
    found = await rows.get(new.id)
    assert found is not None
    assert (found.status, found.uncertain, [one.outcome for one in found.history]) == ("cancelled", True, ["uncertain"])


async def test_old_cancels_are_purged(cancels: CancelRepository, database: Database, published: str) -> None:
    """What they concern no longer exists."""
    due = await started(database)
    await cancels.request_job(FLOWS.name, b"a")
    await cancels.request_execution(due.id)
    retention, ages = Retention(database), Ages(executions_days=900, events_days=900)
    later = datetime.now(UTC) + timedelta(days=91)
    assert (await retention.purge(later - timedelta(days=2), ages))["cancels"] == 0
    assert (await retention.purge(later, ages))["cancels"] == 2
    assert await stored(cancels) == []
