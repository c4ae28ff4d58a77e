"""Every attempt is recorded, and an unknown outcome is recorded as uncertain."""

import asyncio
from uuid import UUID

import msgspec
import pytest

from filas.contract.identity import effect_key, new_id, notification_id
from filas.contract.policies import NOTIFICATIONS
from filas.models.notifications import BegunNotification, Notification, NotificationOutcome, NotificationWithAttempts
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.postgres.database import Database
from tests.shared.repository.builders import BROKEN, checkpoint, claimed, fail_jobs, notification


@pytest.fixture
def rows(database: Database) -> NotificationRepository:
    """Returns the repository under test."""
    return NotificationRepository(database)


async def queued(database: Database, count: int = 1) -> list[UUID]:
    """Returns notifications that an execution has just stored."""
    held = await claimed(database)
    new = [notification(held.id, seq) for seq in range(1, count + 1)]
    await ExecutionRepository(database).checkpoint_many([checkpoint(held, notifications=new)])
    return [one.id for one in new]


async def begun(rows: NotificationRepository, row_id: UUID) -> Notification:
    """Begins the next attempt and returns its notification."""
    found = await rows.begin_attempt(row_id)
    assert found is not None
    return found


async def shown(rows: NotificationRepository, row_id: UUID) -> NotificationWithAttempts:
    """Returns the notification with its attempts."""
    found = await rows.get(row_id)
    assert found is not None
    return found


def sent(row_id: UUID, attempt: int = 1) -> NotificationOutcome:
    return NotificationOutcome(
        id=row_id, attempt=attempt, outcome="sent", status="sent", status_code=200, provider_id="wamid.\x001"
    )


def retry(row_id: UUID, attempt: int = 1) -> NotificationOutcome:
    return NotificationOutcome(
        id=row_id, attempt=attempt, outcome="retry", status="retrying", status_code=503, error=BROKEN, due_in_s=2.0
    )


async def test_an_attempt_is_recorded_before_and_after(
    database: Database, published: str, rows: NotificationRepository
) -> None:
    """From queued through a retry to sent, each attempt with its times and response."""
    [row_id] = await queued(database)
    first = await begun(rows, row_id)
    assert (first.status, first.attempts, first.uncertain) == ("sending", 1, False)
    assert [one.outcome for one in (await shown(rows, row_id)).history] == ["sending"]
    assert await rows.record(retry(row_id))
    between = await shown(rows, row_id)
    assert (between.status, between.error) == ("retrying", BROKEN)
    assert (await begun(rows, row_id)).attempts == 2
    assert await rows.record(sent(row_id, 2))
    done = await shown(rows, row_id)
    assert (done.status, done.error, done.uncertain, done.provider_id) == ("sent", None, False, "wamid.\ufffd1")
    assert [(one.attempt, one.outcome, one.status_code) for one in done.history] == [
        (1, "retry", 503),
        (2, "sent", 200),
    ]
    assert all(one.ended_at is not None for one in done.history)


async def test_a_notification_with_a_final_status_is_not_sent_again(
    database: Database, published: str, rows: NotificationRepository
) -> None:
    """A late job finds nothing to do. So does the job of a missing row."""
    [row_id] = await queued(database)
    await begun(rows, row_id)
    await rows.record(sent(row_id))
    assert await rows.begin_attempt(row_id) is None
    assert await rows.begin_attempt(row_id, replay=True) is None
    assert await rows.begin_attempt(new_id()) is None
    assert (await shown(rows, row_id)).attempts == 1


async def test_an_attempt_without_a_recorded_end_is_uncertain(
    database: Database, published: str, rows: NotificationRepository
) -> None:
    """The worker died, so the recipient may have the message. The row keeps this fact."""
    [row_id] = await queued(database)
    await begun(rows, row_id)
    second = await begun(rows, row_id)
    assert (second.attempts, second.uncertain) == (2, True)
    assert [one.outcome for one in (await shown(rows, row_id)).history] == ["uncertain", "sending"]
    assert not await rows.record(sent(row_id, 1)), "the later try has the word"
    late = await shown(rows, row_id)
    assert (late.status, [one.outcome for one in late.history]) == ("sending", ["sent", "sending"])
    assert await rows.record(sent(row_id, 2))
    assert (await shown(rows, row_id)).uncertain


async def test_an_outcome_may_be_recorded_twice(
    database: Database, published: str, rows: NotificationRepository
) -> None:
    """The result of the first call may be lost. The second call changes nothing."""
    [row_id] = await queued(database)
    await begun(rows, row_id)
    assert await rows.record(sent(row_id))
    before = await shown(rows, row_id)
    assert not await rows.record(sent(row_id))
    assert await shown(rows, row_id) == before


async def test_a_batch_is_begun_and_recorded_at_once(
    database: Database, published: str, rows: NotificationRepository
) -> None:
    """In the order of the call. An id that is given twice gets one attempt."""
    ids = await queued(database, 4)
    answers = await rows.begin_attempts([(row_id, False) for row_id in [*ids, ids[0], new_id()]])
    assert [one.id if isinstance(one, BegunNotification) else None for one in answers] == [*ids, None, None]
    assert await rows.record_many([sent(ids[0]), retry(ids[1]), sent(new_id())]) == [True, True, False]
    assert [(await shown(rows, row_id)).status for row_id in ids] == ["sent", "retrying", "sending", "sending"]
    assert await rows.begin_attempts([]) == []
    assert await rows.record_many([]) == []


async def test_two_that_begin_at_once_have_two_numbers(
    database: Database, published: str, rows: NotificationRepository
) -> None:
    """No attempt overwrites the record of another."""
    [row_id] = await queued(database)
    both = await asyncio.gather(rows.begin_attempt(row_id), rows.begin_attempt(row_id))
    assert sorted(one.attempts for one in both if one) == [1, 2]
    assert (await shown(rows, row_id)).uncertain


async def test_the_relay_finds_notifications_without_a_final_status(
    database: Database, published: str, rows: NotificationRepository
) -> None:
    """Queued, due for a retry, or during an attempt, page by page. Not those that are due later."""
    ids = await queued(database, 6)
    for row_id in ids[:3]:
        await begun(rows, row_id)
    await rows.record_many([sent(ids[0]), retry(ids[1])])
    seen = []
    after = None
    while page := await rows.unfinished(0.0, 2, after):
        seen += [due.id for due in page]
        after = page[-1].id
    assert len(seen) == 4
    assert set(seen) == set(ids[2:])
    assert await rows.unfinished(60.0, 10) == []
    [due] = await rows.unfinished(0.0, 1)
    assert (due.channel_id, due.recipient) == ("whatsapp", "+5511999990000")


async def test_pages_of_unfinished_notifications_skip_none(
    database: Database, published: str, rows: NotificationRepository
) -> None:
    """The order is that in which they were stored. A retry moves a notification behind the others."""
    first, second, *rest = await queued(database, 5)
    ids = [*sorted((first, second)), *rest]
    for row_id in ids[:2]:
        await begun(rows, row_id)
    await rows.record_many([msgspec.structs.replace(retry(row_id), due_in_s=-0.001) for row_id in ids[:2]])
    pages = []
    after = None
    while page := await rows.unfinished(0.0, 2, after):
        pages.append([due.id for due in page])
        after = page[-1].id
    assert pages == [ids[2:4], [ids[4], ids[0]], [ids[1]]]


async def test_the_parts_of_a_text_stay_in_order(database: Database, published: str) -> None:
    """They are stored together. The relay and the next worker, which enqueue their jobs again, keep the order."""
    held = await claimed(database)
    parts = [101, 201, 301, 401, 501, 601, 701, 801, 1]
    keys = [effect_key(held.id, 1) + ("" if part == 1 else f":{part}") for part in parts]
    new = [
        notification(held.id, id=notification_id(held.id, 1, part), idempotency_key=key)
        for part, key in zip(parts, keys, strict=True)
    ]
    executions = ExecutionRepository(database)
    await executions.checkpoint_many([checkpoint(held, notifications=new)])
    expected = [one.id for one in new]
    assert [due.id for due in await executions.unfinished_notifications([held.id])] == expected
    assert [due.id for due in await NotificationRepository(database).unfinished(0.0, 20)] == expected
    page = await NotificationRepository(database).search(execution_id=held.id)
    assert [one.id for one in page.items] == expected[::-1]


async def test_a_failed_notification_can_be_sent_again(
    database: Database, published: str, rows: NotificationRepository
) -> None:
    """By a replay. A sent one cannot."""
    failed, other, done = await queued(database, 3)
    await begun(rows, done)
    await rows.record(sent(done))
    await fail_jobs(database, NOTIFICATIONS, *({"notificationId": one} for one in (failed, done)))
    assert (await shown(rows, failed)).error == BROKEN
    assert (await shown(rows, done)).status == "sent"
    assert await rows.begin_attempt(failed) is None
    assert (await begun_again(rows, failed)).error is None
    assert await rows.begin_attempt(done, replay=True) is None
    assert (await shown(rows, other)).status == "queued"


async def test_search_filters_and_pages(database: Database, published: str, rows: NotificationRepository) -> None:
    """A notification matches all filters."""
    ids = await queued(database, 3)
    await queued(database, 2)
    await fail_jobs(database, NOTIFICATIONS, {"notificationId": ids[0]})
    execution_id = (await shown(rows, ids[0])).execution_id
    assert len((await rows.search(execution_id=execution_id)).items) == 3
    assert [one.id for one in (await rows.search(status="failed")).items] == [ids[0]]
    assert (await rows.search(channel_id="none")).items == []
    first = await rows.search(limit=3)
    second = await rows.search(limit=3, cursor=first.next_cursor)
    assert len({one.id for one in [*first.items, *second.items]}) == 5
    assert second.next_cursor is None


async def begun_again(rows: NotificationRepository, row_id: UUID) -> Notification:
    found = await rows.begin_attempt(row_id, replay=True)
    assert found is not None
    return found
