"""The shorter statements for the frequent cases do what the complete ones do."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from filas.models.executions import ClaimedExecution
from filas.repository.executions import execution_repository, execution_sql
from filas.repository.executions.checkpoint_columns import is_plain
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.postgres.database import Database
from tests.shared.repository.builders import checkpoint, claimed, notification, started, step

AS_BEFORE = """
update executions set status = 'queued', fence = 0, lease_owner = null, lease_until = null, started_at = null,
    deadline_at = null
where id = $1"""

WRITTEN = {
    "executions": "select * from executions where id = $1",
    "steps": "select * from steps where execution_id = $1 order by seq",
    "notifications": "select * from notifications where execution_id = $1 order by seq",
}
TIMES_AND_IDS = {
    "id", "event_id", "execution_id", "idempotency_key", "queued_at", "started_at", "ended_at", "deadline_at", "due_at",
    "created_at", "updated_at", "lease_until", "ready_at",
}  # fmt: skip


def count_calls(database: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Returns how many statements the database has run since."""
    fetch = database.fetch
    calls: list[str] = []

    async def counted(sql: str, *arguments: object) -> Any:
        calls.append(sql)
        return await fetch(sql, *arguments)

    monkeypatch.setattr(database, "fetch", counted)
    return lambda: len(calls)


@pytest.mark.parametrize("changes", [{}, {"channel": None, "contact": None}, {"carries_message": False}])
async def test_a_fresh_execution_is_claimed_alike(
    database: Database, published: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    executions = ExecutionRepository(database)
    new = await started(database, flow_id=published, **changes)

    async def claim() -> ClaimedExecution:
        found = await executions.claim(new.id, 1, "worker-1", 8.0)
        assert found is not None
        assert found.started_at is not None
        assert found.deadline_at is not None
        assert (found.deadline_at - found.started_at).total_seconds() == 60
        return msgspec.structs.replace(found, started_at=new_time, deadline_at=new_time, claimed_at=new_time)

    new_time = await database.fetchval("select now()")
    calls = count_calls(database, monkeypatch)
    short = await claim()
    assert calls() == 1
    await database.fetchval(AS_BEFORE, new.id)
    monkeypatch.setattr(execution_repository, "FIRST_TURN", 0)
    assert await claim() == short


@pytest.mark.parametrize(
    "change",
    [
        "update executions set cancel_requested = true where id = $1",
        "insert into execution_cancels (execution_id) values ($1)",
        "update executions set status = 'succeeded' where id = $1",
        "update executions set fence = 1 where id = $1",
        "update executions set state = '{}' where id = $1",
        """update flow_versions v set on_new_start = 'replace' from executions e
        where e.id = $1 and v.flow_id = e.flow_id""",
        """with said as (update executions set said = 'menu' where id = $1 returning flow_id)
        update flow_versions v set restart_on = '{menu}' from said where v.flow_id = said.flow_id""",
        """with other as (update executions set conversation_id = id where id = $1 returning *)
        insert into executions (id, flow_id, version, node_id, conversation_id, trigger, status, queued_at,
            awaits_reply_since)
        select gen_random_uuid(), flow_id, version, node_id, id, trigger, 'waiting-input', now(), now() from other""",
    ],
)
async def test_an_execution_that_is_not_ordinary_is_left_to_the_complete_statement(
    database: Database, published: str, change: str
) -> None:
    """A message for an open question, for example, must not begin a flow of its own."""
    new = await started(database, flow_id=published)
    await database.fetch(change, new.id)
    assert await database.fetch(execution_sql.CLAIM_FRESH, [new.id], "worker-1", 8.0, 10_000) == []


async def test_a_plain_checkpoint_with_a_lost_fence_writes_nothing(database: Database, published: str) -> None:
    executions = ExecutionRepository(database)
    execution = await claimed(database, flow_id=published)
    before = {table: await database.fetch(sql, execution.id) for table, sql in WRITTEN.items()}
    lost = checkpoint(
        execution, "succeeded", fence=execution.fence + 1, steps=[step()], notifications=[notification(execution.id)]
    )
    assert is_plain(lost)
    assert await executions.checkpoint_many([lost]) == [None]
    assert {table: await database.fetch(sql, execution.id) for table, sql in WRITTEN.items()} == before


@pytest.mark.parametrize("status", ["running", "succeeded"])
async def test_a_plain_checkpoint_is_written_alike(
    database: Database, published: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    executions = ExecutionRepository(database)

    async def written() -> dict[str, list[dict[str, Any]]]:
        execution = await claimed(database, flow_id=published)
        await database.fetchval("update executions set error = '{}', fingerprint = 'f' where id = $1", execution.id)
        one = checkpoint(
            execution,
            status,
            output={"n": 1},
            steps=[step(1), step(2)],
            notifications=[notification(execution.id, 2, awaits="sent")],
        )
        assert await executions.checkpoint_many([one]) == [status]
        assert await executions.checkpoint_many([one]) == [status], "a repetition"
        return {table: await _rows(database, sql, execution.id) for table, sql in WRITTEN.items()}

    short = await written()
    monkeypatch.setattr(execution_repository, "is_plain", lambda _: False)
    assert await written() == short


async def _rows(database: Database, sql: str, execution_id: UUID) -> list[dict[str, Any]]:
    """The rows, and of their times and ids only whether they are null."""
    return [
        {name: value is None if name in TIMES_AND_IDS else value for name, value in row.items()}
        for row in await database.fetch(sql, execution_id)
    ]
