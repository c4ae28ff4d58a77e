"""Retention deletes old rows that have ended, in chunks, and no other rows."""

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from filas.contract.identity import content_key, conversation_id, new_id
from filas.contract.policies import FLOWS
from filas.models.refusals import NewRefusal
from filas.repository import retention as retention_module
from filas.repository import retention_sql
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.events import EventRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.postgres.database import Database
from filas.repository.refusals import RefusalFilter, RefusalRepository
from filas.repository.retention import KEPT_TABLES, Ages, Retention
from tests.shared.repository.builders import checkpoint, claimed, dead_letter, end_events, event, notification, step

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=31)
LONGER_AGO = NOW - timedelta(days=91)


async def count(database: Database, table: str) -> int:
    number: int = await database.fetchval(f"select count(*) from {table}")
    return number


async def test_old_events_are_deleted_if_their_job_is_done(database: Database) -> None:
    """More rows than one chunk. Events that are not processed are kept, at any position."""
    rows = EventRepository(database)
    old = [event(received_at=LONG_AGO - timedelta(seconds=number)) for number in range(25)]
    fresh = [event(received_at=NOW) for _ in range(3)]
    await rows.insert_many([*old, *fresh])
    open_ids = {old[0].id, old[12].id, old[24].id}
    await end_events(database, *(one.id for one in [*old, *fresh] if one.id not in open_ids))
    counts = await Retention(database, chunk_rows=4).purge(NOW, Ages())
    assert {table: count for table, count in counts.items() if count} == {"events": 22}
    left = {row["id"] for row in await database.fetch("select id from events")}
    assert left == open_ids | {one.id for one in fresh}


async def test_content_keys_are_deleted_with_their_events(database: Database) -> None:
    """A signed body is accepted again after its event was deleted, and not before."""
    rows = EventRepository(database)
    old = event(received_at=LONG_AGO, content_key=content_key("orders", "old"))
    fresh = event(received_at=NOW, content_key=content_key("orders", "fresh"))
    await rows.insert_many([old, fresh])
    await end_events(database, old.id, fresh.id)
    await Retention(database).purge(NOW, Ages())
    assert [row["event_id"] for row in await database.fetch("select event_id from event_keys")] == [fresh.id]


async def test_old_executions_are_deleted_with_their_steps(database: Database, published: str) -> None:
    """Not one that has waited for more than a month, and not one that ended just now."""
    executions = ExecutionRepository(database)
    old, waiting, late = [await claimed(database) for _ in range(3)]
    await executions.checkpoint_many(
        [
            checkpoint(old, "succeeded", steps=[step(1), step(2)]),
            checkpoint(waiting, "waiting-timer", steps=[step(1)]),
            checkpoint(late, "failed", steps=[step(1)]),
        ]
    )
    await database.fetch("update executions set queued_at = $1", LONG_AGO)
    await database.fetch("update executions set ended_at = $1 where id = $2", LONG_AGO, old.id)
    assert (await Retention(database).purge(NOW, Ages()))["executions"] == 1
    assert await executions.get(old.id) is None
    assert await count(database, "executions") == 2
    assert await count(database, "steps") == 2


async def test_old_notifications_are_deleted_with_their_attempts(database: Database, published: str) -> None:
    """Unless they have no final status."""
    held = await claimed(database)
    new = [notification(held.id, seq) for seq in (1, 2)]
    await ExecutionRepository(database).checkpoint_many([checkpoint(held, notifications=new)])
    rows = NotificationRepository(database)
    await rows.begin_attempts([(one.id, False) for one in new])
    for one in new:
        await database.fetch(
            "insert into message_outcomes (notification_id, execution_id, status) values ($1, $2, 'failed')",
            one.id,
            held.id,
        )
    await database.fetch("update notifications set created_at = $1", LONG_AGO)
    await database.fetch("update notifications set status = 'sent', ended_at = $1 where id = $2", LONG_AGO, new[0].id)
    assert (await Retention(database).purge(NOW, Ages()))["notifications"] == 1
    assert await rows.get(new[0].id) is None
    assert await count(database, "notification_attempts") == 1
    assert await count(database, "message_outcomes") == 1


async def test_dead_letters_are_kept_longer(database: Database) -> None:
    """90 days by default. The ages are settings."""
    rows = DeadLetterRepository(database)
    await rows.insert_many([dead_letter(FLOWS.name, b"{}", failed_at=at) for at in (NOW, LONG_AGO, LONGER_AGO)])
    assert (await Retention(database).purge(NOW, Ages()))["dead_letters"] == 1
    assert (await Retention(database).purge(NOW, Ages(dead_letters_days=1)))["dead_letters"] == 1


ROLLUP = """
insert into rollups (resolution, figure, at, subject, part, outcome, count, sum_ms)
select $1, 'received', $2, 'shop-' || n, '', '', 1, 0 from generate_series(1, 5) n"""


@pytest.mark.parametrize(
    ("resolution", "age", "kept"),
    [
        pytest.param("minute", timedelta(days=2, hours=1), False, id="an old minute"),
        pytest.param("minute", timedelta(days=1, hours=23), True, id="a minute that is kept"),
        pytest.param("hour", timedelta(days=15), False, id="an old hour"),
        pytest.param("hour", timedelta(days=13, hours=23), True, id="an hour that is kept"),
        pytest.param("day", timedelta(days=732), False, id="an old day"),
        pytest.param("day", timedelta(days=729), True, id="a day that is kept"),
    ],
)
async def test_rollups_are_kept_by_resolution(database: Database, resolution: str, age: timedelta, kept: bool) -> None:
    """More rows than one chunk."""
    await database.fetch(ROLLUP, resolution, NOW - age)
    counts = await Retention(database, chunk_rows=2).purge(NOW, Ages())
    assert counts["rollups"] == (0 if kept else 5)
    assert await count(database, "rollups") == (5 if kept else 0)


async def test_several_purge_at_once_and_a_budget_is_kept(database: Database) -> None:
    """They share the rows. Without time nothing is deleted, and the next call continues."""
    rows = EventRepository(database)
    old = [event(received_at=LONG_AGO) for _ in range(40)]
    await rows.insert_many(old)
    await end_events(database, *(one.id for one in old))
    assert (await Retention(database).purge(NOW, Ages(), budget_s=0))["events"] == 0
    both = await asyncio.gather(*(Retention(database, chunk_rows=3).purge(NOW, Ages()) for _ in range(2)))
    assert sum(counts["events"] for counts in both) == 40
    assert await count(database, "events") == 0


async def _conversation(database: Database, contact: str, updated_at: datetime) -> UUID:
    identity = conversation_id("whatsapp", contact)
    await database.fetch(
        "insert into conversations (id, channel, contact, vars, updated_at) values ($1, 'whatsapp', $2, '{}', $3)",
        identity,
        contact,
        updated_at,
    )
    return identity


async def test_refusals_are_deleted_after_a_week(database: Database) -> None:
    rows = [
        NewRefusal(
            id=new_id(), received_at=NOW - timedelta(days=days), webhook_id=None, path="/webhooks/x", method="POST",
            address="192.0.2.1", status=404, reason="unknown", detail="", size=0, headers="{}", query_params="{}",
            body=b"",
        )
        for days in (1, 6, 8, 9, 10)
    ]  # fmt: skip
    repository = RefusalRepository(database)
    await repository.insert_many(rows)
    await repository.insert_many(rows[:1])  # a repeated call stores nothing twice
    assert (await Retention(database, chunk_rows=2).purge(NOW, Ages()))["refusals"] == 3
    assert len((await repository.search(RefusalFilter(), cursor=None, limit=9)).items) == 2


async def _contacts(database: Database) -> set[str]:
    """The contacts of the conversations, without that of the executions of these tests."""
    rows = await database.fetch("select contact from conversations where contact not like '+%'")
    return {row["contact"] for row in rows}


async def test_unused_conversations_are_deleted(database: Database, published: str) -> None:
    """A year after the last execution. Not one with an unfinished or a recent execution, or with a recent variable."""
    long_ago = NOW - timedelta(days=400)
    unused = [await _conversation(database, f"unused-{number}", long_ago) for number in range(9)]
    kept = [await _conversation(database, name, long_ago) for name in ("waiting", "recent", "resumed")]
    kept.append(await _conversation(database, "changed", NOW - timedelta(days=300)))
    ended = NOW - timedelta(days=40)
    for conversation, status, queued_at, ended_at in (
        (kept[0], "waiting-input", long_ago, None),
        (kept[1], "succeeded", ended, ended),
        (kept[2], "failed", long_ago, NOW),
        (unused[0], "succeeded", long_ago, long_ago),
    ):
        held = await claimed(database)
        await database.fetch(
            "update executions set conversation_id = $2, status = $3, queued_at = $4, ended_at = $5 where id = $1",
            held.id,
            conversation,
            status,
            queued_at,
            ended_at,
        )
    retention, counts = Retention(database, chunk_rows=3), Counter[str]()
    for _ in range(2):  # the executions that ended more than a month ago are deleted first
        counts.update(await retention.purge(NOW, Ages()))
    assert (counts["executions"], counts["conversations"]) == (2, 9)
    assert await _contacts(database) == {"waiting", "recent", "resumed", "changed"}
    # The time of the execution that was deleted is kept.
    await retention.purge(NOW + timedelta(days=320), Ages())
    assert await _contacts(database) == {"waiting", "recent", "resumed"}
    await retention.purge(NOW + timedelta(days=330), Ages())
    assert await _contacts(database) == {"waiting", "resumed"}


async def test_one_purge_examines_some_conversations_and_the_next_one_continues(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most conversations are kept, so a purge does not examine all of them each time."""
    monkeypatch.setattr(retention_module, "CONVERSATION_CHUNKS", 2)
    for number in range(10):
        await _conversation(database, str(number), NOW - timedelta(days=400))
    retention = Retention(database, chunk_rows=2)
    assert [(await retention.purge(NOW, Ages()))["conversations"] for _ in range(4)] == [4, 4, 2, 0]


async def test_every_table_has_an_age_or_a_reason_to_have_none(database: Database) -> None:
    """A table that grows with use and is not purged slows the load of a day after a year."""
    rows = await database.fetch("select tablename from pg_tables where schemaname = 'public'")
    statements = " ".join(value for value in vars(retention_sql).values() if isinstance(value, str))
    purged = set(re.findall(r"delete from (\w+)", statements))
    assert purged & KEPT_TABLES.keys() == set()
    assert {row["tablename"] for row in rows} - purged - KEPT_TABLES.keys() == set()
