"""A business event starts its own execution, whatever its conversation waits for."""

from typing import Any

import pytest

from filas.models.executions import ClaimedExecution
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.postgres.database import Database
from tests.shared.repository.builders import checkpoint, claimed, started

LEASE_S = 8.0


@pytest.mark.parametrize("status", ["waiting-input", "waiting-timer"])
async def test_an_event_answers_no_question_and_ends_no_delay(database: Database, published: str, status: Any) -> None:
    """The execution that waits gets the next message of the contact."""
    rows = ExecutionRepository(database)
    waits = await claimed(database)
    await rows.checkpoint_many([checkpoint(waits, status, awaits_reply=True)])
    event, message = await started(database, carries_message=False), await started(database)
    answers = await rows.claim_many([(event.id, 1), (message.id, 1)], "worker-1", LEASE_S)
    assert [(one.id, one.reply) for one in answers if isinstance(one, ClaimedExecution)] == [
        (event.id, None),
        (waits.id, message.trigger),
    ]


async def test_an_event_has_the_conversation_to_answer_in(database: Database, published: str) -> None:
    held = await claimed(database, carries_message=False)
    assert held.conversation_id is not None
    assert held.contact == "+5511999990000"
