"""Several executions in one conversation, in Postgres: which one gets a message, and which waits end."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from filas.models.executions import ClaimedExecution, Question
from filas.repository.definitions.flows import FlowRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.postgres.database import Database
from tests.shared.repository.builders import checkpoint, claimed, started

LEASE_S = 8.0
HOUR = timedelta(hours=1)

WAIT = "select wake_at, superseded from executions where id = $1"


def question(asked_before: timedelta = timedelta(), idle: timedelta = 24 * HOUR, **more: Any) -> Question:
    asked_at = datetime.now(UTC) - asked_before
    return Question(asked_at=asked_at, idle_at=asked_at + idle, **more)


async def asks(database: Database, asked: Question | None = None, **changes: Any) -> ClaimedExecution:
    """Returns an execution that has asked a question and waits two days for the reply."""
    held = await claimed(database, carries_message=False, **changes)
    until = datetime.now(UTC) + 48 * HOUR
    saved = checkpoint(held, "waiting-input", awaits_reply=True, question=asked or question(), wake_at=until)
    assert await ExecutionRepository(database).checkpoint_many([saved]) == ["waiting-input"]
    return held


async def claim(database: Database, execution_id: UUID) -> ClaimedExecution:
    found = await ExecutionRepository(database).claim(execution_id, 1, "worker-1", LEASE_S)
    assert found is not None
    return found


async def settings(database: Database, flow_id: str, conversation: Any) -> str:
    definition = {"nodes": [], "settings": {"conversation": conversation}}
    await FlowRepository(database).store(flow_id, definition, flow_id, publish=True)
    return flow_id


@pytest.mark.usefixtures("published")
async def test_the_question_that_was_asked_last_gets_the_reply(database: Database) -> None:
    """By the time of the question, and not by that of the last run."""
    first = await asks(database, question(asked_before=2 * HOUR))
    last = await asks(database, question(asked_before=HOUR))
    delay = await claimed(database, carries_message=False)
    saved = checkpoint(delay, "waiting-timer", awaits_reply=True, wake_at=datetime.now(UTC) + HOUR)
    await ExecutionRepository(database).checkpoint_many([saved])
    replies = [await started(database) for _ in range(3)]
    assert [(await claim(database, one.id)).id for one in replies] == [last.id, first.id, delay.id]


@pytest.mark.usefixtures("published")
async def test_a_question_supersedes_the_open_ones_of_its_conversation(database: Database) -> None:
    """They are over at their `idleAt` at the latest. Other conversations keep theirs."""
    flow = await settings(database, "long", {})
    other, first = await asks(database, contact="other", flow_id=flow), await asks(database, flow_id=flow)
    past = await asks(database, question(asked_before=30 * HOUR), flow_id=flow)
    last = await asks(database, flow_id=flow)
    rows = [row for one in (other, first, past, last) for row in await database.fetch(WAIT, one.id)]
    assert [row["superseded"] for row in rows] == [False, True, True, False]
    assert [round((row["wake_at"] - datetime.now(UTC)) / HOUR) for row in rows] == [48, 24, 0, 48]
    [due] = await ExecutionRepository(database).queue_due(10)
    again = await ExecutionRepository(database).claim(due.id, due.turn, "worker-1", LEASE_S)
    assert again is not None
    assert (again.id, again.superseded) == (past.id, True)


@pytest.mark.usefixtures("published")
async def test_a_question_that_waits_again_supersedes_nothing(database: Database) -> None:
    last = await asks(database)
    await asks(database, question(superseded=True))
    row = await database.fetchrow(WAIT, last.id)
    assert row is not None
    assert row["superseded"] is False


@pytest.mark.parametrize(
    ("mine", "theirs", "text", "restarts"),
    [
        pytest.param({"restartOn": ["Menu", "Não"]}, {}, "menu", True, id="the flow of the message restarts"),
        pytest.param({}, {"restartOn": ["Sair!"]}, "sair", True, id="the flow that asks restarts"),
        pytest.param({"restartOn": ["Menu"]}, {"restartOn": ["sair"]}, "other", False, id="another text"),
        pytest.param({"restartOn": ["Menu"]}, {}, None, False, id="no text"),
        pytest.param({"onNewStart": "replace"}, {}, "oi", False, id="a reply is no new start"),
        pytest.param({"restartOn": "menu"}, {"restartOn": [1, ""]}, "menu", False, id="a draft with wrong settings"),
    ],
)
async def test_a_text_restarts_the_conversation(
    database: Database, published: str, mine: Any, theirs: Any, text: str | None, restarts: bool
) -> None:
    """The message's own execution runs, and what waited is to be cancelled."""
    rows = ExecutionRepository(database)
    waits = await asks(database, flow_id=await settings(database, "theirs", theirs))
    message = await started(database, flow_id=await settings(database, "mine", mine), said=text)
    begins = await claim(database, message.id)
    assert (begins.id, begins.leaves_waits) == ((message.id, True) if restarts else (waits.id, False))
    if restarts:
        [left] = await rows.leave_waits(message.id)
        assert (left.id, left.turn, left.status) == (waits.id, 2, "queued")
        cancelled = await rows.claim(left.id, left.turn, "worker-1", LEASE_S)
        assert cancelled is not None
        assert cancelled.cancel_requested


async def test_a_replacing_flow_cancels_every_wait_of_the_conversation(database: Database, published: str) -> None:
    """Of questions, delays and callbacks; not of what runs or has ended, and not in other conversations."""
    rows = ExecutionRepository(database)
    other, asked = await asks(database, contact="other"), await asks(database)
    held = [await claimed(database, carries_message=False) for _ in range(4)]
    for one, status in zip(held, ("waiting-timer", "waiting-callback", "succeeded"), strict=False):
        await rows.checkpoint_many([checkpoint(one, status, wake_at=datetime.now(UTC) + HOUR)])
    flow = await settings(database, "new", {"onNewStart": "replace"})
    begins = await started(database, flow_id=flow, carries_message=False)
    first = await claim(database, begins.id)
    assert first.leaves_waits
    left = await rows.leave_waits(begins.id)
    assert {one.id for one in left} == {asked.id, held[0].id, held[1].id}
    assert other.id not in {one.id for one in left}
    assert await rows.leave_waits(begins.id) == []


async def test_the_waits_end_also_after_a_crash_and_only_at_the_start(database: Database, published: str) -> None:
    rows = ExecutionRepository(database)
    flow = await settings(database, "new", {"onNewStart": "replace"})
    begins = await started(database, flow_id=flow, carries_message=False)
    await claim(database, begins.id)
    await database.fetch("update executions set lease_until = now() - interval '1 second' where id = $1", begins.id)
    again = await claim(database, begins.id)
    assert again.leaves_waits
    await rows.checkpoint_many([checkpoint(again, "queued")])
    assert not (await claim(database, begins.id)).leaves_waits


@pytest.mark.parametrize(("ended_before_s", "resumes"), [(-60, True), (1, True), (60, False)])
async def test_a_wait_that_is_over_takes_no_message(
    database: Database, published: str, ended_before_s: int, resumes: bool
) -> None:
    """Also if no flow-runner has run since then: Monday's question is over on Friday. In the first seconds after its
    end, it may."""
    waits = await asks(database)
    over = "update executions set wake_at = now() - make_interval(secs => $2) where id = $1"
    await database.fetch(over, waits.id, float(ended_before_s))
    message = await started(database)
    assert (await claim(database, message.id)).id == (waits.id if resumes else message.id)


@pytest.mark.usefixtures("published")
async def test_without_a_conversation_there_is_nothing_to_replace(database: Database) -> None:
    flow = await settings(database, "new", {"onNewStart": "replace", "restartOn": ["menu"]})
    begins = await started(database, flow_id=flow, channel=None, contact=None, said="menu")
    assert not (await claim(database, begins.id)).leaves_waits
