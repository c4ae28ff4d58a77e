"""One row that another session locks delays only its own item, in every batched write."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from filas.contract.policies import FLOWS
from filas.errors import StoreBusy
from filas.models.notifications import DeliveryReceipt, NotificationOutcome
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.definitions.flows import FlowRepository
from filas.repository.events import EventRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.postgres.batch_bisection import KNOWN_S, LockedItems, write_bisected
from filas.repository.postgres.database import Database
from tests.shared.repository.builders import (
    NOON,
    checkpoint,
    claimed,
    dead_letter,
    event,
    execution,
    notification,
    started,
)
from tests.waiting import PATIENCE_S

MANY = 16
LOCKED = 5
"""The index of the item whose row is locked."""


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    """Waits for a lock for less time than in production."""
    database = Database(postgres_dsn, application_name="test", max_size=4, lock_wait_s=0.2)
    database.start()
    await database.wait_ready(PATIENCE_S)
    yield database
    await database.close()


@asynccontextmanager
async def row_lock(dsn: str, sql: str, *arguments: object) -> AsyncIterator[None]:
    """Another session holds the locks of `sql` while the block runs."""
    session = await asyncpg.connect(dsn)
    transaction = session.transaction()
    await transaction.start()
    try:
        assert await session.fetch(sql, *arguments)
        yield
    finally:
        await transaction.rollback()
        await session.close()


async def assert_one_is_busy(database: Database, write: Callable[[], Awaitable[Sequence[object]]]) -> None:
    """The locked item is busy and the others are written, in the first batch and in the next one."""
    for _ in range(2):
        async with asyncio.timeout(PATIENCE_S):
            answers = await write()
        busy = [index for index, answer in enumerate(answers) if isinstance(answer, StoreBusy)]
        assert busy == [LOCKED]
        assert not [one for index, one in enumerate(answers) if index != LOCKED and isinstance(one, BaseException)]
    assert database.problem is None, "a lock is no outage"


LOCK_EXECUTION = "select id from executions where id = $1 for update"


async def test_a_locked_execution_delays_no_other_claim(database: Database, postgres_dsn: str, published: str) -> None:
    """The locked one is claimed when its lock is released."""
    rows = ExecutionRepository(database)
    ids = [(await started(database, channel=None, contact=None)).id for _ in range(MANY)]
    async with row_lock(postgres_dsn, LOCK_EXECUTION, ids[LOCKED]):
        async with asyncio.timeout(PATIENCE_S):
            answers = await rows.claim_many([(one, 1) for one in ids], "worker-1", 8.0)
        assert [index for index, answer in enumerate(answers) if isinstance(answer, StoreBusy)] == [LOCKED]
        assert len([one for one in answers if one is not None and not isinstance(one, BaseException)]) == MANY - 1
    claim = await rows.claim(ids[LOCKED], 1, "worker-1", 8.0)
    assert claim is not None
    assert claim.fence == 1


async def test_a_locked_message_delays_no_other_one(database: Database, postgres_dsn: str, published: str) -> None:
    """A message whose conversation's waiting execution is locked is busy. The other conversations continue."""
    rows = ExecutionRepository(database)
    waiting, messages = [], []
    for number in range(4):
        talk: dict[str, Any] = {"channel": "whatsapp", "contact": f"+55119999{number}"}
        held = await claimed(database, **talk)
        await rows.checkpoint_many(
            [checkpoint(held, "waiting-input", awaits_reply=True, wake_at=NOON + timedelta(days=3650))]
        )
        waiting.append(held.id)
        messages.append((await started(database, **talk)).id)
    async with row_lock(postgres_dsn, LOCK_EXECUTION, waiting[2]):
        async with asyncio.timeout(PATIENCE_S):
            answers = await rows.claim_many([(one, 1) for one in messages], "worker-1", 8.0)
    assert isinstance(answers[2], StoreBusy)
    others = [answers[index] for index in (0, 1, 3)]
    assert [getattr(one, "id", None) for one in others] == [waiting[0], waiting[1], waiting[3]]


async def test_a_locked_execution_delays_no_other_checkpoint(
    database: Database, postgres_dsn: str, published: str
) -> None:
    """The same for the leases: that of the locked execution counts as held, because no other worker can claim it."""
    rows = ExecutionRepository(database)
    held = [await claimed(database, channel=None, contact=None) for _ in range(MANY)]
    async with row_lock(postgres_dsn, LOCK_EXECUTION, held[LOCKED].id):
        await assert_one_is_busy(database, lambda: rows.checkpoint_many([checkpoint(one) for one in held]))
        async with asyncio.timeout(PATIENCE_S):
            kept = await rows.renew([(one.id, one.fence) for one in held], 8.0)
        assert kept == {one.id for one in held}
    assert await rows.checkpoint_many([checkpoint(held[LOCKED], "succeeded")]) == ["succeeded"]


async def test_a_locked_conversation_delays_no_other_checkpoint(
    database: Database, postgres_dsn: str, published: str
) -> None:
    """A checkpoint that writes the conversation's variables waits for the row of its conversation."""
    rows = ExecutionRepository(database)
    held = [await claimed(database, contact=f"+55119999{number}") for number in range(MANY)]
    async with row_lock(
        postgres_dsn, "select id from conversations where id = $1 for update", held[LOCKED].conversation_id
    ):
        await assert_one_is_busy(
            database, lambda: rows.checkpoint_many([checkpoint(one, conversation_vars='{"a":1}') for one in held])
        )


async def test_a_locked_event_or_flow_delays_no_other_start(
    database: Database, postgres_dsn: str, published: str
) -> None:
    """An event is locked by the session that ends it, and a flow by the session that deletes it."""
    await FlowRepository(database).store("other", {"nodes": [], "settings": {"timeoutMs": 60_000}}, "Other", True)
    events, rows = [event() for _ in range(MANY)], ExecutionRepository(database)
    await EventRepository(database).insert_many(events)

    def starts(flow_id: str) -> list[tuple[UUID, list[Any]]]:
        return [
            (one.id, [execution(one.id, flow_id=flow_id if index == LOCKED else published, channel=None, contact=None)])
            for index, one in enumerate(events)
        ]

    async with row_lock(postgres_dsn, "select id from events where id = $1 for update", events[LOCKED].id):
        await assert_one_is_busy(database, lambda: rows.start_many(starts(published)))
    fresh = ExecutionRepository(database)
    async with row_lock(postgres_dsn, "select id from flows where id = $1 for update", "other"):
        await assert_one_is_busy(database, lambda: fresh.start_many(starts("other")))


async def test_an_event_that_another_session_is_inserting_delays_no_other(
    database: Database, postgres_dsn: str
) -> None:
    """The two have the same duplicate key. The first is not committed."""
    events = [event() for _ in range(MANY)]
    insert = """insert into events (id, webhook_id, flow_id, node_id, method, headers, query_params, body, content_type,
        remote_address, config, received_at) values ($1, 'w', 'f', 'n', 'POST', '{}', '{}', '', '', '', '{}', now())
        returning id"""
    async with row_lock(postgres_dsn, insert, events[LOCKED].id):
        await assert_one_is_busy(database, lambda: EventRepository(database).insert_many(events))


async def test_a_locked_notification_delays_no_other(database: Database, postgres_dsn: str, published: str) -> None:
    """Neither the beginning of an attempt, nor its outcome, nor a delivery receipt."""
    rows, ids = NotificationRepository(database), []
    for _ in range(MANY):
        held = await claimed(database, channel=None, contact=None)
        one = notification(held.id)
        ids.append(one.id)
        await ExecutionRepository(database).checkpoint_many([checkpoint(held, notifications=[one])])
    lock = "select id from notifications where id = $1 for update"
    async with row_lock(postgres_dsn, lock, ids[LOCKED]):
        await assert_one_is_busy(database, lambda: rows.begin_attempts([(one, False) for one in ids]))
    await rows.begin_attempts([(ids[LOCKED], False)])
    outcomes = [
        NotificationOutcome(id=one, attempt=1, outcome="sent", status="sent", provider_id=f"id-{number}")
        for number, one in enumerate(ids)
    ]
    async with row_lock(postgres_dsn, lock, ids[LOCKED]):
        await assert_one_is_busy(database, lambda: rows.record_many(outcomes))
    await rows.record_many(outcomes)
    receipts = [
        DeliveryReceipt(channel_id="whatsapp", provider_id=f"id-{number}", status="read") for number in range(MANY)
    ]
    async with row_lock(postgres_dsn, lock, ids[LOCKED]):
        await assert_one_is_busy(database, lambda: rows.record_receipts(receipts))


async def test_a_locked_execution_delays_no_dead_letter_of_another(
    database: Database, postgres_dsn: str, published: str
) -> None:
    """A dead letter fails the row of its job, in the same transaction."""
    held = [await claimed(database, channel=None, contact=None) for _ in range(MANY)]
    letters = [
        dead_letter(FLOWS.name, f'{{"executionId":"{one.id}","turn":1}}'.encode(), job_id=f"job-{one.id}")
        for one in held
    ]
    async with row_lock(postgres_dsn, LOCK_EXECUTION, held[LOCKED].id):
        await assert_one_is_busy(database, lambda: DeadLetterRepository(database).insert_many(letters))
    page = await DeadLetterRepository(database).list(limit=100)
    assert len(page.items) == MANY - 1


async def test_a_locked_table_makes_every_item_busy_within_bounds(database: Database, postgres_dsn: str) -> None:
    """A migration, for example. The batch is not bisected to its end, and the store counts as available."""
    async with asyncio.timeout(PATIENCE_S):
        session = await asyncpg.connect(postgres_dsn)
        try:
            async with session.transaction():
                await session.execute("lock table events in access exclusive mode")
                answers = await EventRepository(database).insert_many([event() for _ in range(500)])
        finally:
            await session.close()
    assert {type(answer) for answer in answers} == {StoreBusy}
    assert database.problem is None


@pytest.mark.parametrize("error", ["40P01", "40001"])
async def test_a_deadlock_is_no_outage_and_no_failure(database: Database, error: str) -> None:
    """It is repeated at once, a few times. After that the caller tries again later."""
    raising = f"do $$ begin raise sqlstate '{error}'; end $$"
    with pytest.raises(StoreBusy) as caught:
        await database.fetch(raising)
    assert caught.value.kind == "deadlock"
    assert database.problem is None


async def test_items_that_were_locked_are_written_apart_for_a_while() -> None:
    """They share no batch with other items, so that they delay none of them again."""
    now, batches = 0.0, []
    locked = LockedItems[int]("events", "test", lambda item: item, clock=lambda: now)
    held = {3}

    async def write(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        if held.intersection(items):
            raise StoreBusy("locked", "held")
        return [item * 10 for item in items]

    answers = await write_bisected(list(range(8)), write, locked)
    assert [index for index, answer in enumerate(answers) if isinstance(answer, StoreBusy)] == [3]
    batches.clear()
    await write_bisected(list(range(8)), write, locked)
    assert batches == [[0, 1, 2, 4, 5, 6, 7], [3]]
    held.clear()
    batches.clear()
    assert await write_bisected(list(range(8)), write, locked) == [item * 10 for item in range(8)]
    await write_bisected(list(range(8)), write, locked)
    assert batches[-1] == list(range(8)), "it was written, so it is no longer apart"
    locked.record([5], StoreBusy("locked", "held"))
    now += KNOWN_S
    await write_bisected(list(range(8)), write, locked)
    assert batches[-1] == list(range(8)), "it is forgotten after a while"
