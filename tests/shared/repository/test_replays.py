"""Replies and replays: which executions are listed, which one a message resumes, and where a replay starts."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from filas.contract.identity import new_id
from filas.errors import Conflict
from filas.models.executions import ClaimedExecution
from filas.repository.definitions.flows import FlowRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.executions.execution_search import ExecutionFilter, ExecutionSearch
from filas.repository.postgres.database import Database
from tests.shared.repository.builders import BROKEN, checkpoint, claimed, event, execution, started

LEASE_S = 8.0


async def waiting(database: Database, **changes: Any) -> ClaimedExecution:
    """Returns an execution that waits for a reply."""
    held = await claimed(database, **changes)
    rows = ExecutionRepository(database)
    await rows.checkpoint_many([checkpoint(held, "waiting-timer", awaits_reply=True)])
    return held


async def test_the_event_of_a_reply_finds_the_resumed_execution(database: Database, published: str) -> None:
    """The execution of the message is in no list, and its `resumedId` names the resumed one."""
    rows = ExecutionRepository(database)
    first = await waiting(database)
    reply = await started(database)
    resumed = await rows.claim(reply.id, 1, "worker-1", LEASE_S)
    assert resumed is not None
    assert (resumed.id, resumed.reply) == (first.id, reply.trigger)
    assert [one.id for one in (await ExecutionSearch(database).search()).items] == [first.id]
    assert [
        one.id for one in (await ExecutionSearch(database).search(ExecutionFilter(event_id=reply.event_id))).items
    ] == [first.id]
    shown = await rows.get(reply.id)
    assert shown is not None
    assert (shown.status, shown.resumed_id, shown.ended_at is not None) == ("succeeded", first.id, True)


async def test_the_one_that_asked_last_gets_the_reply(database: Database, published: str) -> None:
    """The other one keeps waiting, for the next reply."""
    rows = ExecutionRepository(database)
    # Both run before either waits: from then on a message would be a reply.
    held = [await claimed(database) for _ in range(2)]
    for claim in held:
        await rows.checkpoint_many([checkpoint(claim, "waiting-timer", awaits_reply=True)])
    replies = [await started(database) for _ in range(3)]
    claims = [await rows.claim(reply.id, 1, "worker-1", LEASE_S) for reply in replies]
    assert [claim.id for claim in claims if claim] == [held[1].id, held[0].id, replies[2].id]


async def test_concurrent_replies_resume_once(database: Database, published: str) -> None:
    """Two workers request the same batch of many conversations."""
    rows = ExecutionRepository(database)
    first = [await waiting(database, contact=str(number)) for number in range(8)]
    replies = [(await started(database, contact=str(number)), 1) for number in range(8)]
    turns = [(reply.id, turn) for reply, turn in replies]
    answers = await asyncio.gather(
        rows.claim_many(turns, "a", LEASE_S), rows.claim_many(list(reversed(turns)), "b", LEASE_S)
    )
    won = [one.id for batch in answers for one in batch if isinstance(one, ClaimedExecution)]
    assert sorted(won) == sorted(one.id for one in first)


async def test_a_wait_that_was_cancelled_takes_no_reply(database: Database, published: str) -> None:
    rows = ExecutionRepository(database)
    first = await waiting(database)
    await rows.request_cancel(first.id)
    reply = await started(database)
    claim = await rows.claim(reply.id, 1, "worker-1", LEASE_S)
    assert claim is not None
    assert claim.id == reply.id


async def test_the_messages_of_one_body_keep_their_order(database: Database, published: str) -> None:
    """By their times, which order the relay after a loss of Redis."""
    one = event()
    messages = [execution(one.id) for _ in range(5)]
    rows = ExecutionRepository(database)
    await rows.start_many([(one.id, messages)])
    assert [due.id for due in await rows.unfinished(0.0, 10)] == [message.id for message in messages]


async def failed(database: Database) -> UUID:
    held = await claimed(database)
    await ExecutionRepository(database).checkpoint_many([checkpoint(held, "failed", error=BROKEN)])
    return held.id


@pytest.mark.parametrize("from_failure", [False, True])
@pytest.mark.parametrize("newest", [False, True])
async def test_a_replay_is_a_new_execution(
    database: Database, published: str, from_failure: bool, newest: bool
) -> None:
    """Of the same event and conversation. Two requests with the same id create one."""
    rows = ExecutionRepository(database)
    original = await failed(database)
    await FlowRepository(database).store(published, {"nodes": [1]}, "Welcome", publish=True)
    new = new_id()
    due = await rows.replay(original, new, from_failure=from_failure, newest=newest)
    assert due is not None
    assert (due.id, due.turn, due.contact) == (new, 1, "+5511999990000")
    assert await rows.replay(original, new, from_failure=from_failure, newest=newest) is None
    claim = await rows.claim(new, 1, "worker-1", LEASE_S)
    assert claim is not None
    assert (claim.version, claim.state) == (2 if newest else 1, None)
    assert claim.start_state == ('{"at":"node-1"}' if from_failure else None)
    before, after = await rows.get(original), await rows.get(new)
    assert before is not None
    assert after is not None
    assert (after.replay_of, after.event_id) == (original, before.event_id)
    assert (before.status, before.replay_of) == ("failed", None)


async def test_a_replay_is_no_reply(database: Database, published: str) -> None:
    """An operator's command is not a message of the contact."""
    rows = ExecutionRepository(database)
    original, new = await failed(database), new_id()
    await waiting(database)
    await rows.replay(original, new, from_failure=False, newest=False)
    claim = await rows.claim(new, 1, "worker-1", LEASE_S)
    assert claim is not None
    assert claim.id == new


async def test_a_rejected_replay_states_the_reason(database: Database, published: str) -> None:
    rows = ExecutionRepository(database)
    queued, succeeded = await started(database), await claimed(database)
    await rows.checkpoint_many([checkpoint(succeeded, "succeeded", state=None)])
    with pytest.raises(Conflict, match="not ended"):
        await rows.replay(queued.id, new_id(), from_failure=False, newest=False)
    with pytest.raises(Conflict, match="no saved state"):
        await rows.replay(succeeded.id, new_id(), from_failure=True, newest=False)
    assert await rows.replay(new_id(), new_id(), from_failure=False, newest=False) is None
