"""A checkpoint is written as a whole or not at all, only under its fence, and a repetition changes nothing."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filas.errors import Unstorable
from filas.models.executions import Checkpoint, ClaimedExecution
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.postgres.database import Database
from tests.long_form import examples
from tests.shared.repository.builders import BROKEN, checkpoint, claimed, notification, step

QUICK = settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SOON = timedelta(seconds=30)
STATUSES = ("running", "queued", "waiting-timer", "retrying", "succeeded", "failed", "cancelled", "timed-out")

NUMBERS = "select count(*) from notifications"


async def row_of(database: Database, claim: ClaimedExecution) -> Any:
    return await database.fetchrow("select * from executions where id = $1", claim.id)


async def test_a_checkpoint_is_written_whole(database: Database, published: str) -> None:
    """State, steps, notifications and the conversation's variables are written in one transaction."""
    held = await claimed(database)
    rows = ExecutionRepository(database)
    whole = checkpoint(
        held,
        state='{"at":"c"}',
        steps=[step(1), step(2, error=BROKEN, status="failed", output=None)],
        notifications=[notification(held.id, 2)],
        conversation_vars='{"nome":"Ana"}',
    )
    assert await rows.checkpoint_many([whole]) == ["running"]
    shown = await rows.get(held.id)
    assert shown is not None
    assert shown.status == "running"
    assert shown.steps == whole.steps
    sent = await NotificationRepository(database).get(whole.notifications[0].id)
    assert sent is not None
    assert (sent.status, sent.payload, sent.execution_id) == ("queued", whole.notifications[0].payload, held.id)
    row = await row_of(database, held)
    assert (row["state"], row["turn"], row["lease_owner"]) == ('{"at":"c"}', 1, "worker-1")
    other = await claimed(database)
    assert other.conversation_vars == '{"nome":"Ana"}'


@pytest.mark.parametrize("status", STATUSES)
async def test_each_status_changes_lease_and_turn(database: Database, published: str, status: str) -> None:
    """`running` keeps the lease, `queued` and `retrying` release it in the same turn, a wait starts the next turn."""
    held = await claimed(database)
    rows = ExecutionRepository(database)
    wake_at = datetime.now(UTC) + SOON
    assert await rows.checkpoint_many([checkpoint(held, status, wake_at=wake_at, output={"ok": 1})]) == [status]
    row = await row_of(database, held)
    waits, ends = status in ("waiting-timer", "retrying"), status in STATUSES[4:]
    assert row["status"] == status
    assert row["turn"] == (2 if status == "waiting-timer" else 1)
    assert (row["lease_until"] is not None) == (status == "running")
    assert (row["ready_at"] is not None) == (status in ("running", "queued"))
    assert row["wake_at"] == (wake_at if waits else None)
    assert (row["ended_at"] is not None) == ends


@QUICK
@given(statuses=st.lists(st.sampled_from(STATUSES), min_size=1, max_size=5), repeats=st.integers(1, 2))
async def test_a_repeated_checkpoint_changes_nothing(
    database: Database, published: str, statuses: list[str], repeats: int
) -> None:
    """The result of the first call may be lost. The second call returns the same status."""
    held = [await claimed(database, contact=str(number)) for number in range(len(statuses))]
    batch = [
        checkpoint(
            claim,
            status,
            steps=[step(number) for number in range(1, 3)],
            notifications=[notification(claim.id)],
            wake_at=datetime.now(UTC) + SOON,
        )
        for claim, status in zip(held, statuses, strict=True)
    ]
    rows = ExecutionRepository(database)
    assert await rows.checkpoint_many(batch) == statuses
    before = [dict(await row_of(database, claim)) for claim in held]
    notifications = await database.fetchval(NUMBERS)
    for _ in range(repeats):
        assert await rows.checkpoint_many(batch) == statuses
    assert [dict(await row_of(database, claim)) for claim in held] == before
    assert await database.fetchval(NUMBERS) == notifications


async def test_a_lost_fence_writes_nothing_at_all(database: Database, published: str) -> None:
    """No steps, notifications or variables are written. The other checkpoints of the batch are."""
    lost, kept = await claimed(database), await claimed(database)
    stale = checkpoint(
        lost, steps=[step()], notifications=[notification(lost.id)], conversation_vars='{"x":1}', fence=lost.fence + 1
    )
    rows = ExecutionRepository(database)
    assert await rows.checkpoint_many([stale, checkpoint(kept, steps=[step()])]) == [None, "running"]
    for claim, steps in ((lost, 0), (kept, 1)):
        shown = await rows.get(claim.id)
        assert shown is not None
        assert len(shown.steps) == steps
    assert await database.fetchval(NUMBERS) == 0
    assert await database.fetchval("select vars from conversations") == "{}"


async def test_a_step_is_replaced_by_its_next_state(database: Database, published: str) -> None:
    """A visit has one row: running, then retrying, then succeeded."""
    held = await claimed(database)
    rows = ExecutionRepository(database)
    for attempt, status in enumerate(("running", "retrying", "succeeded"), start=1):
        await rows.checkpoint_many([checkpoint(held, steps=[step(1, status=status, attempt=attempt), step(2)])])
    twice = checkpoint(held, steps=[step(3, handle="a"), step(3, handle="b")])
    assert await rows.checkpoint_many([twice]) == ["running"]
    shown = await rows.get(held.id)
    assert shown is not None
    assert [(one.seq, one.status, one.attempt, one.handle) for one in shown.steps] == [
        (1, "succeeded", 3, "out"),
        (2, "succeeded", 1, "out"),
        (3, "succeeded", 1, "b"),
    ]


async def test_two_checkpoints_of_one_execution_are_written_in_order(database: Database, published: str) -> None:
    """Even if they are in one call."""
    held = await claimed(database)
    rows = ExecutionRepository(database)
    both = [checkpoint(held, state='{"n":1}', steps=[step(1)]), checkpoint(held, "succeeded", steps=[step(2)])]
    assert await rows.checkpoint_many(both) == ["running", "succeeded"]
    shown = await rows.get(held.id)
    assert shown is not None
    assert (shown.status, len(shown.steps)) == ("succeeded", 2)


@QUICK
@given(bad=st.sets(st.integers(0, 6), max_size=3))
async def test_a_checkpoint_with_a_bad_value_fails_alone(database: Database, published: str, bad: set[int]) -> None:
    """Nothing of it is written and it keeps its lease. The other checkpoints of the batch are written."""
    held = [await claimed(database, contact=str(number)) for number in range(7)]
    batch: list[Checkpoint] = []
    for number, claim in enumerate(held):
        recipient = "a\x00b" if number in bad else "a"
        batch.append(
            checkpoint(claim, "succeeded", steps=[step()], notifications=[notification(claim.id, recipient=recipient)])
        )
    rows = ExecutionRepository(database)
    answers = await rows.checkpoint_many(batch)
    assert {number for number, answer in enumerate(answers) if isinstance(answer, Unstorable)} == bad
    for number, claim in enumerate(held):
        shown = await rows.get(claim.id)
        assert shown is not None
        assert (shown.status, len(shown.steps)) == (("running", 0) if number in bad else ("succeeded", 1))


@QUICK
@given(value=st.recursive(st.none() | st.text(st.characters()) | st.integers(-(2**53), 2**53), st.lists))
async def test_any_output_of_a_step_is_stored(database: Database, published: str, value: Any) -> None:
    """JSON with NUL and lone surrogates can be stored."""
    held = await claimed(database)
    rows = ExecutionRepository(database)
    last = checkpoint(held, "succeeded", steps=[step(input=value, output={"v": value})], output=value)
    assert await rows.checkpoint_many([last]) == ["succeeded"]
    shown = await rows.get(held.id)
    assert shown is not None
    assert (shown.output, shown.steps[0].input, shown.steps[0].output) == (value, value, {"v": value})


async def test_concurrent_batches_do_not_deadlock(database: Database, published: str) -> None:
    """They have the same rows in opposite orders, of one conversation, with a renewal in between."""
    held = [await claimed(database) for _ in range(20)]
    rows = ExecutionRepository(database)
    batch = [checkpoint(claim, steps=[step()], conversation_vars='{"a":1}') for claim in held]
    for _ in range(5):
        answers = await asyncio.gather(
            rows.checkpoint_many(batch),
            rows.checkpoint_many(list(reversed(batch))),
            rows.renew([(claim.id, claim.fence) for claim in held], 8.0),
        )
        assert answers[0] == answers[1] == ["running"] * 20
        assert len(answers[2]) == 20


# ---- waits -----------------------------------------------------------------------------------------


async def next_wake(rows: ExecutionRepository) -> float:
    """When the next wait ends, in Unix seconds."""
    return datetime.now(UTC).timestamp() + (await rows.seconds_to_next_wake() or 0.0)


async def test_due_waits_are_queued_once(database: Database, published: str) -> None:
    """Several callers share them. A wait that is not due stays, and `seconds_to_next_wake` returns its time."""
    held = [await claimed(database) for _ in range(6)]
    rows = ExecutionRepository(database)
    now = datetime.now(UTC)
    waits = [now - SOON] * 4 + [now + SOON] * 2
    batch = [
        checkpoint(claim, "waiting-timer" if number % 2 else "retrying", wake_at=wake_at)
        for number, (claim, wake_at) in enumerate(zip(held, waits, strict=True))
    ]
    assert await rows.seconds_to_next_wake() is None
    assert await rows.checkpoint_many(batch) == [one.status for one in batch]
    assert await next_wake(rows) == pytest.approx((now - SOON).timestamp(), abs=20)
    found = await asyncio.gather(*(rows.queue_due(3) for _ in range(4)))
    due = [one for many in found for one in many]
    assert sorted(one.id for one in due) == sorted(claim.id for claim in held[:4])
    assert {(one.turn, one.status) for one in due} == {(1, "queued"), (2, "queued")}
    assert await rows.queue_due(10) == []
    assert await next_wake(rows) == pytest.approx((now + SOON).timestamp(), abs=20)
    claim = await rows.claim(held[1].id, 2, "worker-1", 8.0)
    assert claim is not None
    assert (claim.fence, claim.status_before) == (2, "queued")


async def test_due_waits_that_another_caller_queues_are_skipped(database: Database, published: str) -> None:
    """The caller does not wait for them and does not queue them a second time."""
    held = [await claimed(database) for _ in range(2)]
    rows = ExecutionRepository(database)
    past = datetime.now(UTC) - SOON
    await rows.checkpoint_many([checkpoint(claim, "waiting-timer", wake_at=past) for claim in held])
    async with database.transaction() as other:
        await other.execute("update executions set status = 'queued', wake_at = null where id = $1", held[0].id)
        assert [due.id for due in await rows.queue_due(10)] == [held[1].id]


@pytest.mark.parametrize("wake_at", [None, datetime(2100, 1, 1, tzinfo=UTC)])
async def test_no_wait_outlasts_the_deadline(database: Database, published: str, wake_at: datetime | None) -> None:
    """A wait without an end is also resumed when the flow's time limit has passed."""
    held = await claimed(database)
    rows = ExecutionRepository(database)
    await rows.checkpoint_many([checkpoint(held, "waiting-input", wake_at=wake_at)])
    assert held.deadline_at is not None
    assert await next_wake(rows) == pytest.approx(held.deadline_at.timestamp(), abs=20)
