"""Delivery statuses on their way: written with their event's end, gone when they are told or let go."""

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


def word(provider_id: str = "wamid.1") -> DeliveryReceiptJob:
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
    """An event that nobody has processed."""
    new = event()
    await EventRepository(database).insert_many([new])
    return new.id


async def said(database: Database, *jobs: DeliveryReceiptJob) -> None:
    """An event has brought these, and is done."""
    event_id = await received(database)
    answers: list[Any] = await ExecutionRepository(database).start_many(
        [(event_id, [])], {event_id: [row(job) for job in jobs]}
    )
    assert answers == [[]]


async def unrecorded(database: Database) -> list[str]:
    """The provider's ids of what is not told."""
    return sorted(job.provider_id for job in await DeliveryReceiptRepository(database).unrecorded(-1, 500))


async def test_a_status_is_written_once_with_the_end_of_its_event(database: Database) -> None:
    """An event that is looked at again brings nothing anew, nor does another one with the same word."""
    rows, event_id = ExecutionRepository(database), await received(database)
    statuses = {event_id: [row(word()), row(word("wamid.2")), row(word())]}
    await rows.start_many([(event_id, []), (await received(database), [])], statuses)
    assert await unrecorded(database) == ["wamid.1", "wamid.2"]
    await said(database, word())
    assert await unrecorded(database) == ["wamid.1", "wamid.2"]
    await NotificationRepository(database).record_receipts([update(word(), last=True)])
    await rows.start_many([(event_id, [])], statuses)
    assert await unrecorded(database) == ["wamid.2"]


async def test_an_event_that_can_not_start_brings_no_status_yet(database: Database) -> None:
    """Its flow has no published version: it stays as it is, and its neighbour's are written."""
    waiting, fine = await received(database), await received(database)
    await ExecutionRepository(database).start_many(
        [(waiting, [execution(waiting)]), (fine, [])], {waiting: [row(word())], fine: [row(word("wamid.2"))]}
    )
    assert await unrecorded(database) == ["wamid.2"]


async def test_a_status_goes_when_it_is_told_or_let_go(database: Database) -> None:
    """Many in one statement; that of a message which isn't known yet stays until its last try."""
    notification_id = await add_notification(database, "wa")
    await database.fetch(
        "update notifications set status = 'sent', provider_id = 'wamid.1', ended_at = now() where id = $1",
        notification_id,
    )
    known, unknown, let_go, other = (word(f"wamid.{number}") for number in range(1, 5))
    await said(database, known, unknown, let_go, other)
    rows = NotificationRepository(database)
    answers = await rows.record_receipts([update(known), update(unknown), update(let_go, last=True)])
    assert answers == ["recorded", "unknown", "unknown"]
    assert await unrecorded(database) == ["wamid.2", "wamid.4"]
    # The same word by another event: told already, and so done.
    await said(database, known)
    assert await rows.record_receipts([update(known)]) == ["stale"]
    assert await unrecorded(database) == ["wamid.2", "wamid.4"]


async def test_a_status_that_became_a_dead_letter_is_not_relayed(database: Database) -> None:
    """The letter has it from then on; a letter of another function takes no row along."""
    await said(database, word(), word("wamid.2"))
    letters = DeadLetterRepository(database)
    payload = msgspec.json.encode(word())
    await letters.insert_many(
        [
            dead_letter(NOTIFICATIONS.name, payload, job_id=job_id(word()), function=UPDATE_DELIVERY_STATUS),
            dead_letter(NOTIFICATIONS.name, b"{}", job_id=job_id(word("wamid.2"))),
        ]
    )
    assert await unrecorded(database) == ["wamid.2"]


async def test_what_is_not_told_is_read_page_by_page_though_rows_go_meanwhile(database: Database) -> None:
    """And only what is old enough for the relay."""
    jobs = [word(f"wamid.{number}") for number in range(7)]
    await said(database, *jobs)
    rows = DeliveryReceiptRepository(database)
    assert await rows.unrecorded(5, 10) == []
    await database.fetch("update delivery_statuses set created_at = now() - interval '1 minute'")
    first = await rows.unrecorded(5, 3)
    await NotificationRepository(database).record_receipts([update(job, last=True) for job in first])
    rest = await rows.unrecorded(5, 10, job_id(first[-1]))
    assert sorted(map(job_id, [*first, *rest])) == sorted(map(job_id, jobs))
    assert len(rest) == 4


async def test_what_nobody_tells_goes_with_age(database: Database) -> None:
    """As notifications do; in chunks."""
    now = datetime.now(UTC)
    await said(database, *(word(f"wamid.{number}") for number in range(7)))
    await database.fetch("update delivery_statuses set created_at = $1", now - timedelta(days=31))
    await said(database, word("fresh"))
    assert (await Retention(database, chunk_rows=2).purge(now, Ages(notifications_days=32)))["delivery_statuses"] == 0
    assert (await Retention(database, chunk_rows=2).purge(now, Ages()))["delivery_statuses"] == 7
    assert await unrecorded(database) == ["fresh"]


async def test_a_row_that_another_version_has_written_holds_back_no_other(database: Database) -> None:
    """It stays for the version that can read it; pages of one go past it."""
    event_id = await received(database)
    newer = PendingReceipt(job_id=job_id(word("a")), message='{"v": 99, "unheardOf": true}')
    await ExecutionRepository(database).start_many([(event_id, [])], {event_id: [newer]})
    words = [word(f"wamid.{number}") for number in range(5)]
    await said(database, *words)
    statuses = DeliveryReceiptRepository(database)
    found: list[str] = []
    while page := await statuses.unrecorded(-1, 1, found[-1] if found else None):
        found += map(job_id, page)
    assert found == sorted(map(job_id, words))
