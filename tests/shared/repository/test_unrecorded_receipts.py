"""Delivery receipts are stored when their event ends, and deleted when they are recorded or given up."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from filas.contract.jobs import UPDATE_DELIVERY_STATUS, DeliveryReceiptJob
from filas.contract.policies import NOTIFICATIONS
from filas.models.notifications import DeliveryReceipt, PendingReceipt
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.delivery_receipts import DeliveryReceiptRepository
from filas.repository.events import EventRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.postgres.database import Database
from filas.repository.retention import Ages, Retention
from tests.notifier.rows import add_notification
from tests.shared.repository.builders import dead_letter, event, execution
from tests.shared.repository.test_delivery_receipts import outcomes_of


def receipt_job(provider_id: str = "wamid.1") -> DeliveryReceiptJob:
    return DeliveryReceiptJob(channel_id="wa", provider_id=provider_id, status="delivered", timestamp=1)


def job_id(job: DeliveryReceiptJob) -> str:
    return NOTIFICATIONS.job_id(job.key)


def row(job: DeliveryReceiptJob) -> PendingReceipt:
    return PendingReceipt(job_id=job_id(job), message=msgspec.json.encode(job).decode())


def update(job: DeliveryReceiptJob, *, last: bool = False) -> DeliveryReceipt:
    return DeliveryReceipt(
        channel_id=job.channel_id, provider_id=job.provider_id, status=job.status, job_id=job_id(job), last=last
    )


async def received(database: Database) -> UUID:
    """Stores an event that is not processed."""
    new = event()
    await EventRepository(database).insert_many([new])
    return new.id


async def processed_with(database: Database, *jobs: DeliveryReceiptJob) -> None:
    """Processes an event with these receipts."""
    event_id = await received(database)
    answers: list[Any] = await ExecutionRepository(database).start_many(
        [(event_id, [])], {event_id: [row(job) for job in jobs]}
    )
    assert answers == [[]]


async def unrecorded(database: Database) -> list[str]:
    """Returns the provider's ids of the receipts that are not recorded."""
    return sorted(job.provider_id for job in await DeliveryReceiptRepository(database).unrecorded(-1, 500))


async def test_a_receipt_is_stored_once_when_its_event_ends(database: Database) -> None:
    """Processing the event again stores nothing, and neither does another event with the same receipt."""
    rows, event_id = ExecutionRepository(database), await received(database)
    statuses = {event_id: [row(receipt_job()), row(receipt_job("wamid.2")), row(receipt_job())]}
    await rows.start_many([(event_id, []), (await received(database), [])], statuses)
    assert await unrecorded(database) == ["wamid.1", "wamid.2"]
    await processed_with(database, receipt_job())
    assert await unrecorded(database) == ["wamid.1", "wamid.2"]
    await NotificationRepository(database).record_receipts([update(receipt_job(), last=True)])
    await rows.start_many([(event_id, [])], statuses)
    assert await unrecorded(database) == ["wamid.2"]


async def test_an_event_that_cannot_start_stores_no_receipt(database: Database) -> None:
    """Its flow has no published version. The receipts of the other events are stored."""
    waiting, fine = await received(database), await received(database)
    await ExecutionRepository(database).start_many(
        [(waiting, [execution(waiting)]), (fine, [])],
        {waiting: [row(receipt_job())], fine: [row(receipt_job("wamid.2"))]},
    )
    assert await unrecorded(database) == ["wamid.2"]


async def test_a_receipt_is_deleted_when_it_is_recorded_or_given_up(database: Database) -> None:
    """Many in one statement. A receipt of an unknown message stays until its last attempt."""
    notification_id = await add_notification(database, "wa")
    await database.fetch(
        "update notifications set status = 'sent', provider_id = 'wamid.1', ended_at = now() where id = $1",
        notification_id,
    )
    known, unknown, let_go, other = (receipt_job(f"wamid.{number}") for number in range(1, 5))
    await processed_with(database, known, unknown, let_go, other)
    rows = NotificationRepository(database)
    answers = await outcomes_of(rows, [update(known), update(unknown), update(let_go, last=True)])
    assert answers == ["recorded", "unknown", "unknown"]
    assert await unrecorded(database) == ["wamid.2", "wamid.4"]
    # The same receipt in another event is recorded already.
    await processed_with(database, known)
    assert await outcomes_of(rows, [update(known)]) == ["stale"]
    assert await unrecorded(database) == ["wamid.2", "wamid.4"]


async def test_a_receipt_that_became_a_dead_letter_is_not_relayed(database: Database) -> None:
    """The dead letter has it. A dead letter of another function deletes no receipt."""
    await processed_with(database, receipt_job(), receipt_job("wamid.2"))
    letters = DeadLetterRepository(database)
    payload = msgspec.json.encode(receipt_job())
    await letters.insert_many(
        [
            dead_letter(NOTIFICATIONS.name, payload, job_id=job_id(receipt_job()), function=UPDATE_DELIVERY_STATUS),
            dead_letter(NOTIFICATIONS.name, b"{}", job_id=job_id(receipt_job("wamid.2"))),
        ]
    )
    assert await unrecorded(database) == ["wamid.2"]


async def test_unrecorded_receipts_are_read_in_pages_while_rows_are_deleted(database: Database) -> None:
    """Only those that are old enough for the relay."""
    jobs = [receipt_job(f"wamid.{number}") for number in range(7)]
    await processed_with(database, *jobs)
    rows = DeliveryReceiptRepository(database)
    assert await rows.unrecorded(5, 10) == []
    await database.fetch("update delivery_statuses set created_at = now() - interval '1 minute'")
    first = await rows.unrecorded(5, 3)
    await NotificationRepository(database).record_receipts([update(job, last=True) for job in first])
    rest = await rows.unrecorded(5, 10, job_id(first[-1]))
    assert sorted(map(job_id, [*first, *rest])) == sorted(map(job_id, jobs))
    assert len(rest) == 4


async def test_receipts_that_are_never_recorded_are_deleted_by_age(database: Database) -> None:
    """As notifications are, in chunks."""
    now = datetime.now(UTC)
    await processed_with(database, *(receipt_job(f"wamid.{number}") for number in range(7)))
    await database.fetch("update delivery_statuses set created_at = $1", now - timedelta(days=31))
    await processed_with(database, receipt_job("fresh"))
    assert (await Retention(database, chunk_rows=2).purge(now, Ages(notifications_days=32)))["delivery_statuses"] == 0
    assert (await Retention(database, chunk_rows=2).purge(now, Ages()))["delivery_statuses"] == 7
    assert await unrecorded(database) == ["fresh"]


async def test_a_row_of_another_version_is_skipped(database: Database) -> None:
    """It stays for the version that can read it."""
    event_id = await received(database)
    newer = PendingReceipt(job_id=job_id(receipt_job("a")), message='{"v": 99, "unheardOf": true}')
    await ExecutionRepository(database).start_many([(event_id, [])], {event_id: [newer]})
    words = [receipt_job(f"wamid.{number}") for number in range(5)]
    await processed_with(database, *words)
    statuses = DeliveryReceiptRepository(database)
    found: list[str] = []
    while page := await statuses.unrecorded(-1, 1, found[-1] if found else None):
        found += map(job_id, page)
    assert found == sorted(map(job_id, words))
