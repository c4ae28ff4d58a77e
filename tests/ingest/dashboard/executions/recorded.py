"""Executions as the flow-runner writes them, with events, steps and messages."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from filas.contract.identity import new_id
from filas.models.contacts import FoundConversation, ReportedContact
from filas.models.executions import StepRecord
from filas.models.record import ErrorDetail
from filas.repository.contacts.contact_repository import ContactRepository
from tests.ingest.api.serving import Api
from tests.ingest.api.test_history import new_event
from tests.shared.repository import builders

LARGE = 9_007_199_254_740_993_001
"""A number that a double cannot hold."""

HOSTILE = '</code></textarea><script>alert("x")</script>\u202e\ud800'

FLOW: dict[str, Any] = {
    "schemaVersion": 1,
    "name": "Orders",
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "known", "type": "condition", "data": {"label": "Known order?", "expression": "webhook.body.n > 1"}},
        {"id": "look-up", "type": "api", "data": {"url": "https://example.com/orders"}},
        {"id": "ask", "type": "input", "data": {"prompt": "Which order?", "variable": "order"}},
        {"id": "answer", "type": "message", "data": {"text": "It is on its way"}},
    ],
    "edges": [
        {"source": "start", "target": "known"},
        {"source": "known", "sourceHandle": "true", "target": "look-up"},
        {"source": "known", "sourceHandle": "false", "target": "ask"},
        {"source": "ask", "sourceHandle": "out", "target": "known"},
        {"source": "ask", "sourceHandle": "invalid", "target": "ask"},
        {"source": "look-up", "sourceHandle": "out", "target": "answer"},
    ],
    "variables": [{"name": "order", "type": "string"}],
}

FAILED = ErrorDetail(kind="timeout", message="no answer within 10 s", node_id="look-up")


async def store_flow(api: Api, **changes: Any) -> None:
    """Stores and publishes the flow `orders`, and its webhook."""
    stored = await api.put("/flows/orders", FLOW | changes)
    assert stored.status == 200, stored.text
    assert (await api.put("/webhooks/orders", {"flowId": "orders"})).status == 200


def steps(*visits: tuple[str, str, str | None], **last: Any) -> list[StepRecord]:
    """One step for each node, type and handle, 2 s each. `last` are fields of the last one."""
    began = datetime.now(UTC) - timedelta(minutes=5)
    made = [
        builders.step(
            seq,
            node_id=node_id,
            type=node_type,
            handle=handle,
            input={"n": LARGE, "text": HOSTILE},
            output={"seq": seq},
            started_at=began + timedelta(seconds=2 * seq),
            ended_at=began + timedelta(seconds=2 * seq + 2),
        )
        for seq, (node_id, node_type, handle) in enumerate(visits, start=1)
    ]
    return [*made[:-1], *(msgspec.structs.replace(step, **last) for step in made[-1:])]


VISITS = (("start", "webhook", "out"), ("known", "condition", "true"), ("look-up", "api", None))


async def record(
    api: Api, status: str = "failed", body: bytes = b'{"from":"5511999990000","n":2}', **written: Any
) -> UUID:
    """An event and its execution of `orders` with this status. `written` are fields of its checkpoint."""
    event = new_event(content_type="application/json", webhook_id="orders", flow_id="orders", body=body)
    await api.context.events.insert_many([event])
    contact = written.pop("contact", None)
    channel = None if contact is None else "whatsapp"
    conversation = None if contact is None else await conversation_of(api, contact)
    new = builders.execution(event.id, flow_id="orders", channel=channel, contact=contact, conversation_id=conversation)
    await api.context.executions.start_many([(event.id, [new])])
    claimed = await api.context.executions.claim(new.id, 1, "worker", 30)
    assert claimed is not None
    given: dict[str, Any] = {"state": '{"version":1}', "steps": []}
    if status == "failed":
        given |= {"error": FAILED, "steps": steps(*VISITS, status="failed", error=FAILED)}
    await api.context.executions.checkpoint_many([builders.checkpoint(claimed, status, **(given | written))])
    return new.id


async def record_waiting(api: Api, contact: str = "5511999990000", **due: float) -> UUID:
    """An execution that waits for a reply, by default for an hour."""
    wake_at = datetime.now(UTC) + timedelta(**(due or {"hours": 1}))
    waits = steps(*VISITS[:2], ("ask", "input", None), status="waiting", ended_at=None, output=None)
    return await record(
        api, "waiting-input", contact=contact, steps=waits, wake_at=wake_at, awaits_reply=True, state='{"version":1}'
    )


async def conversation_of(api: Api, contact: str) -> UUID:
    """The conversation with a contact over WhatsApp."""
    report = ReportedContact(channel="whatsapp", address=contact, medium="whatsapp", sends_to=contact)
    [found] = await ContactRepository(api.database).find_many([report])
    assert isinstance(found, FoundConversation)
    return found.id


def any_id() -> UUID:
    """An id that nothing has."""
    return new_id()
