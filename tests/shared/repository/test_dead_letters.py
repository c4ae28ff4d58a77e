"""Dead letters are stored with their whole content, and their rows are failed in the same transaction."""

import base64
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filas.contract.identity import new_id
from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS
from filas.models.dead_letters import DeadLetter
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.events import EventRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.postgres.database import Database
from tests.long_form import examples
from tests.shared.repository.builders import (
    BROKEN,
    NOON,
    checkpoint,
    claimed,
    dead_letter,
    end_events,
    event,
    notification,
)

QUICK = settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def rows(database: Database) -> DeadLetterRepository:
    """Returns the repository under test."""
    return DeadLetterRepository(database)


async def status_of(database: Database, table: str, row_id: UUID) -> str:
    status: str = await database.fetchval(f"select status from {table} where id = $1", row_id)
    return status


def message(**fields: Any) -> bytes:
    return msgspec.json.encode(fields)


async def test_a_dead_letter_is_stored_whole(rows: DeadLetterRepository) -> None:
    """Payload, error, history, times, and the job of its replay."""
    payload = {"schemaVersion": 1, "eventId": str(new_id())}
    new = dead_letter(WEBHOOKS.name, msgspec.json.encode(payload), group_key="c:1")
    await rows.insert_many([new])
    [letter] = (await rows.list()).items
    assert isinstance(letter, DeadLetter)
    assert await rows.get(letter.id) == letter
    assert (letter.payload, letter.raw) == (payload, None)
    for field in (
        "queue",
        "job_id",
        "function",
        "group_key",
        "error",
        "attempts",
        "history",
        "enqueued_at",
        "failed_at",
    ):
        assert getattr(letter, field) == getattr(new, field)
    assert letter.id in [one.id for one in await rows.replayable(limit=50)]
    await rows.mark_replayed([(letter.id, "job:replay-1")])
    assert letter.id not in [one.id for one in await rows.replayable(limit=50)]
    marked = await rows.get(letter.id)
    assert marked is not None
    assert marked.replayed_job_id == "job:replay-1"
    assert marked.replayed_at is not None
    assert await rows.delete(letter.id)
    assert not await rows.delete(letter.id)
    await rows.mark_replayed([(letter.id, "x")])
    assert await rows.get(letter.id) is None


async def test_the_row_of_each_queue_is_failed_with_it(
    database: Database, published: str, rows: DeadLetterRepository
) -> None:
    """An event, an execution with its fence, and a notification, in the same transaction."""
    row, held = event(), await claimed(database)
    await EventRepository(database).insert_many([row])
    note = notification(held.id)
    executions = ExecutionRepository(database)
    await executions.checkpoint_many([checkpoint(held, notifications=[note])])
    await rows.insert_many(
        [
            dead_letter(WEBHOOKS.name, message(eventId=row.id)),
            dead_letter(FLOWS.name, message(executionId=held.id, turn=1)),
            dead_letter(NOTIFICATIONS.name, message(notificationId=note.id)),
        ]
    )
    failed = await EventRepository(database).get(row.id)
    assert failed is not None
    assert (failed.status, failed.error) == ("failed", BROKEN)
    run = await executions.get(held.id)
    assert run is not None
    assert (run.status, run.error) == ("failed", BROKEN)
    assert run.ended_at is not None
    sent = await NotificationRepository(database).get(note.id)
    assert sent is not None
    assert (sent.status, sent.error) == ("failed", BROKEN)
    assert await executions.checkpoint_many([checkpoint(held, "succeeded")]) == [None], "its fence is gone"


async def test_rows_that_have_ended_or_are_in_a_later_turn_are_not_changed(
    database: Database, published: str, rows: DeadLetterRepository
) -> None:
    """The dead letter may come late."""
    row, moved, done = event(), await claimed(database), await claimed(database)
    await EventRepository(database).insert_many([row])
    await end_events(database, row.id)
    executions = ExecutionRepository(database)
    await executions.checkpoint_many([checkpoint(moved, "waiting-timer"), checkpoint(done, "succeeded")])
    await rows.insert_many(
        [
            dead_letter(WEBHOOKS.name, message(eventId=row.id)),
            dead_letter(FLOWS.name, message(executionId=moved.id, turn=1)),
            dead_letter(FLOWS.name, message(executionId=done.id, turn=1)),
        ]
    )
    assert await status_of(database, "events", row.id) == "ignored"
    assert await status_of(database, "executions", moved.id) == "waiting-timer"
    assert await status_of(database, "executions", done.id) == "succeeded"
    assert len((await rows.list()).items) == 3


async def test_a_dead_letter_that_comes_twice_is_stored_once(database: Database, rows: DeadLetterRepository) -> None:
    """The second one does not fail a row that was reopened. A later failure of the job is another dead letter."""
    row = event()
    events = EventRepository(database)
    await events.insert_many([row])
    letter = dead_letter(WEBHOOKS.name, message(eventId=row.id))
    await rows.insert_many([letter, letter])
    await events.reopen(row)
    await rows.insert_many([letter])
    assert len((await rows.list()).items) == 1
    assert await status_of(database, "events", row.id) == "received"
    await rows.insert_many([msgspec.structs.replace(letter, failed_at=NOON + timedelta(seconds=1))])
    assert len((await rows.list()).items) == 2
    assert await status_of(database, "events", row.id) == "failed"


@QUICK
@given(
    st.lists(
        st.tuples(
            st.sampled_from([WEBHOOKS.name, FLOWS.name, NOTIFICATIONS.name, "foreign"]),
            st.binary(max_size=30)
            | st.sampled_from([b'{"eventId":7}', b"[]", b"null", b'{"turn":"x"}', b'{"eventId":"\\ud800"}', b"\xff"]),
            st.text(st.characters(), max_size=10),
        ),
        min_size=1,
        max_size=4,
    )
)
async def test_every_dead_letter_can_be_stored(
    database: Database, rows: DeadLetterRepository, bodies: list[tuple[str, bytes, str]]
) -> None:
    """Broken and foreign jobs, and texts with NUL. One that cannot be stored would block the others."""
    letters = [
        dead_letter(
            queue,
            body,
            job_id=f"{new_id()}{text}",
            group_key=text,
            error=BROKEN,
            history=[{"error": text}],
            function=text,
        )
        for queue, body, text in bodies
    ]
    await rows.insert_many(letters)
    kept = {letter.job_id[:36]: letter for letter in (await rows.list(limit=500)).items}
    for new in letters:
        letter = kept[new.job_id[:36]]
        assert letter.history == new.history
        assert letter.payload is not None or base64.b64decode(letter.raw or "") == new.payload


async def test_the_list_has_pages_and_a_filter_by_queue(rows: DeadLetterRepository) -> None:
    """The newest first. Dead letters of the same moment are not lost between two pages."""
    letters = [dead_letter(FLOWS.name, b"{}") for _ in range(5)]
    await rows.insert_many([*letters, dead_letter(NOTIFICATIONS.name, b"{}", failed_at=NOON + timedelta(days=1))])
    assert (await rows.list(limit=1)).items[0].queue == NOTIFICATIONS.name
    seen = []
    cursor = None
    while True:
        page = await rows.list(FLOWS.name, cursor=cursor, limit=2)
        seen += [letter.job_id for letter in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(letter.job_id for letter in letters)
