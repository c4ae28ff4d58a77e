"""Records for the tests. Each builder fills in the fields that a test does not name."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from filas.contract.identity import conversation_id, effect_key, new_id, notification_id
from filas.contract.policies import QueuePolicy
from filas.models.configuration import Channel, RateLimit, Webhook
from filas.models.dead_letters import NewDeadLetter
from filas.models.events import NewEvent
from filas.models.executions import Checkpoint, ClaimedExecution, NewExecution, NewNotification, StepRecord
from filas.models.record import ErrorDetail
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.postgres.database import Database

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BROKEN = ErrorDetail(kind="timeout", message="it took too long")


def event(**changes: Any) -> NewEvent:
    fields: dict[str, Any] = {
        "id": new_id(),
        "webhook_id": "orders",
        "flow_id": "welcome",
        "node_id": "start",
        "method": "POST",
        "headers": '{"x":"1"}',
        "query_params": "{}",
        "body": b'{"text":"oi"}',
        "content_type": "application/json",
        "remote_address": "192.0.2.1",
        "duplicate_key": None,
        "group_key": None,
        "config": "{}",
        "received_at": datetime.now(UTC),
    }
    return NewEvent(**(fields | changes))


def execution(event_id: UUID | None = None, **changes: Any) -> NewExecution:
    fields: dict[str, Any] = {
        "id": new_id(),
        "event_id": event_id or new_id(),
        "flow_id": "welcome",
        "node_id": "start",
        "channel": "whatsapp",
        "contact": "+5511999990000",
        "trigger": '{"webhook":{}}',
    }
    return NewExecution(**(fields | changes))


def step(seq: int = 1, **changes: Any) -> StepRecord:
    fields: dict[str, Any] = {
        "seq": seq,
        "node_id": f"node-{seq}",
        "type": "message",
        "status": "succeeded",
        "attempt": 1,
        "handle": "out",
        "input": {"n": seq},
        "output": ["done", seq],
        "error": None,
        "started_at": NOON,
        "ended_at": NOON + timedelta(seconds=seq),
    }
    return StepRecord(**(fields | changes))


def notification(execution_id: UUID, seq: int = 1, **changes: Any) -> NewNotification:
    fields: dict[str, Any] = {
        "id": notification_id(execution_id, seq),
        "execution_id": execution_id,
        "seq": seq,
        "channel_id": "whatsapp",
        "recipient": "+5511999990000",
        "payload": {"type": "text", "text": "Olá"},
        "idempotency_key": effect_key(execution_id, seq),
        "conversation_id": conversation_id("whatsapp", "+5511999990000"),
    }
    return NewNotification(**(fields | changes))


def checkpoint(claimed: ClaimedExecution, status: str = "running", **changes: Any) -> Checkpoint:
    fields: dict[str, Any] = {
        "execution_id": claimed.id,
        "fence": claimed.fence,
        "status": status,
        "state": '{"at":"node-1"}',
        "steps": [],
        "notifications": [],
    }
    return Checkpoint(**(fields | changes))


def dead_letter(queue: str, payload: bytes, **changes: Any) -> NewDeadLetter:
    fields: dict[str, Any] = {
        "queue": queue,
        "job_id": f"{{{queue}}}:{new_id()}",
        "function": "run",
        "payload": payload,
        "group_key": None,
        "error": BROKEN,
        "attempts": 3,
        "history": [{"attempt": 1, "error": "timeout"}],
        "enqueued_at": NOON,
        "failed_at": NOON,
    }
    return NewDeadLetter(**(fields | changes))


def webhook(webhook_id: str = "orders", **changes: Any) -> Webhook:
    fields: dict[str, Any] = {
        "id": webhook_id,
        "flow_id": "welcome",
        "node_id": "start",
        "path": webhook_id,
        "methods": ["POST"],
        "auth": {"type": "bearer", "secrets": ["enc:secret"]},
        "rate_limit": RateLimit(),
        "dedupe": None,
        "conversation": None,
        "config": {},
        "max_body_bytes": 1_048_576,
    }
    return Webhook(**(fields | changes))


def channel(channel_id: str = "crm", **changes: Any) -> Channel:
    fields: dict[str, Any] = {"id": channel_id, "type": "http", "config": {"secret": "enc:secret"}}
    return Channel(**(fields | changes))


async def end_events(database: Database, *event_ids: UUID) -> None:
    """Ends events that start no execution, as the worker does: they are `ignored`."""
    await ExecutionRepository(database).start_many([(event_id, []) for event_id in event_ids])


async def fail_jobs(database: Database, queue: QueuePolicy, *subjects: dict[str, Any]) -> None:
    """Fails the rows that these jobs are about, as the worker does: with their dead letters."""
    letters = [dead_letter(queue.name, msgspec.json.encode(subject)) for subject in subjects]
    await DeadLetterRepository(database).insert_many(letters)


async def started(database: Database, **changes: Any) -> NewExecution:
    """Returns an execution of `welcome` that is queued."""
    new = execution(**changes)
    [answer] = await ExecutionRepository(database).start_many([(new.event_id, [new])])
    assert isinstance(answer, list)
    assert [due.id for due in answer] == [new.id]
    return new


async def claimed(database: Database, turn: int = 1, **changes: Any) -> ClaimedExecution:
    """Returns an execution of `welcome` under the lease of `worker-1`."""
    new = await started(database, **changes)
    claim = await ExecutionRepository(database).claim(new.id, turn, "worker-1", 8.0)
    assert claim is not None
    return claim
