"""What an event starts, determined from its job alone."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.contract import jobs
from filas.contract.event_envelope import WebhookSnapshot
from filas.contract.identity import execution_id
from filas.contract.job_factories import flow_job
from filas.contract.jobs import DeliveryReceiptJob, WebhookJob
from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS
from filas.errors import PermanentError
from filas.models.configuration import ConversationRule
from filas.models.events import NewEvent
from filas.models.executions import DueExecution
from ingest.event.event_jobs import event_of_job, job_of_event
from ingest.process.processor import executions_of, receipt_jobs
from tests.ingest.test_meta_bodies import DELIVERED, text_message, whatsapp

EVENT = UUID("0192f0c1-0000-7000-8000-000000000001")
SHOP = ConversationRule(channel="shop", contact="{{ body.from }}", text="{{ body.text }}")


def event(body: bytes, content_type: str = "application/json", **under: Any) -> NewEvent:
    """Returns an accepted event, as its row holds it."""
    return NewEvent(
        id=EVENT,
        webhook_id="orders",
        flow_id="welcome",
        node_id="start",
        method="POST",
        headers=json.dumps({"content-type": content_type, "x-a": "é"}),
        query_params='{"a":["1","2"],"b":"3"}',
        body=body,
        content_type=content_type,
        remote_address="203.0.113.9",
        duplicate_key="the key",
        group_key=None,
        config=msgspec.json.encode(WebhookSnapshot(**{"config": {"k": 1}, **under})).decode(),
        received_at=datetime(2026, 11, 22, 12, 0, 0, 123000, tzinfo=UTC),
    )


def received(new: NewEvent) -> WebhookJob:
    """Returns the job of an event as its worker decodes it."""
    job = job_of_event(new)
    return jobs.decode(WEBHOOKS, msgspec.json.decode(msgspec.json.encode(job.message)), WebhookJob)


def plain(document: Any, rule: ConversationRule | None = None, **changes: Any) -> WebhookJob:
    """Returns the job of a webhook without a provider."""
    conversation = None if rule is None else msgspec.to_builtins(rule)
    job = received(event(json.dumps(document).encode(), conversation=conversation))
    return msgspec.structs.replace(job, **changes)


def meta(document: Any, **changes: Any) -> WebhookJob:
    """Returns the job of a body of Meta."""
    return msgspec.structs.replace(received(event(json.dumps(document).encode(), provider="meta")), **changes)


def test_a_plain_webhook_starts_one_execution() -> None:
    """Without a rule there is no conversation and no message."""
    ((execution,), _) = executions_of(plain({"total": 5}))
    assert execution.id == execution_id(EVENT, "0")
    assert (execution.flow_id, execution.node_id, execution.event_id) == ("welcome", "start", EVENT)
    assert (execution.channel, execution.contact) == (None, None)
    assert json.loads(execution.trigger) == {
        "webhook": {
            "body": {"total": 5},
            "headers": {"content-type": "application/json", "x-a": "é"},
            "queryParams": {"a": ["1", "2"], "b": "3"},
            "method": "POST",
            "webhookId": "orders",
        },
        "message": None,
    }


def test_a_rule_makes_a_message_of_it() -> None:
    """The id of the message is the duplicate key."""
    ((execution,), _) = executions_of(plain({"from": "+55", "text": "oi"}, SHOP))
    assert (execution.channel, execution.contact) == ("shop", "+55")
    message = json.loads(execution.trigger)["message"]
    assert message == {"id": "the key", "kind": "text", "text": "oi", "contact": "+55"}


def test_metas_messages_start_an_execution_each() -> None:
    """The execution's id is derived from the provider's id, so the same message is the same execution."""
    body = whatsapp(
        text_message("5511", "oi", "w1"),
        {"from": "5522", "id": "w2", "type": "image", "image": {"id": "M", "caption": "look"}},
        statuses=[DELIVERED],
    )
    (one, two), _ = executions_of(meta(body))
    assert [one.id, two.id] == [execution_id(EVENT, "w1"), execution_id(EVENT, "w2")]
    assert [(each.channel, each.contact) for each in (one, two)] == [("whatsapp", "5511"), ("whatsapp", "5522")]
    message = json.loads(two.trigger)["message"]
    media = {"id": "M", "url": None, "mimeType": None, "filename": None, "caption": "look", "size": None}
    path = ["entry", 0, "changes", 0, "value", "messages", 1]
    fields = {"contact": "5522", "account": "106540352242922", "rawPath": path}
    assert message == {"id": "w2", "kind": "image", "text": "look", "media": media, **fields}


def test_a_delivery_receipt_starts_nothing() -> None:
    """The event has no executions."""
    assert executions_of(meta(whatsapp(statuses=[DELIVERED]))) == ([], "kind:status")


def test_a_delivery_receipt_becomes_a_job_of_the_notifier() -> None:
    """A repeated receipt makes the same job. The channel is the one over which the message was sent."""
    (job,) = receipt_jobs(meta(whatsapp(statuses=[DELIVERED])))
    assert (job.policy, job.function) == (NOTIFICATIONS, "update_delivery_status")
    assert job.message == DeliveryReceiptJob(
        channel_id="whatsapp", provider_id="wamid.OUT", status="delivered", timestamp=1000
    )
    (again,) = receipt_jobs(meta(whatsapp(statuses=[DELIVERED])))
    assert again.job_id == job.job_id
    assert receipt_jobs(meta(whatsapp(text_message("5511", "oi", "w1")))) == []


def test_an_invalid_template_is_a_permanent_error() -> None:
    """A retry cannot succeed."""
    with pytest.raises(PermanentError):
        executions_of(plain({"from": "1"}, ConversationRule(channel="c", contact="{{ body.from | nonsense }}")))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"a": [1, 2.5, null], "b": "\\u00e9"}', "application/json"),
        ("olá".encode(), "text/plain"),
        (b"", ""),
        (b"\xff\x00", "image/png"),
        (b"a=1&a=2&b=%C3%A9", "application/x-www-form-urlencoded"),
    ],
)
def test_a_row_made_from_its_job_makes_the_same_job(body: bytes, content_type: str) -> None:
    """An event that was accepted while Postgres was unavailable loses nothing."""
    before = received(event(body, content_type, provider="none", conversation=msgspec.to_builtins(SHOP)))
    row = event_of_job(before)
    assert (row.id, row.duplicate_key, row.remote_address) == (EVENT, "the key", "203.0.113.9")
    assert row.received_at == datetime(2026, 11, 22, 12, 0, 0, 123000, tzinfo=UTC)
    after = received(row)
    assert row.content_type == content_type
    assert after == before


def test_metas_row_is_json_with_any_content_type() -> None:
    """As at acceptance."""
    body = json.dumps(whatsapp(text_message("5511", "oi", "w1"))).encode()
    said = msgspec.structs.replace(event(body, provider="meta"), headers='{"content-type":"text/plain"}')
    before = received(said)
    row = event_of_job(before)
    assert row.group_key == "whatsapp:5511"
    assert received(row) == before


def test_the_job_of_an_execution_is_in_the_group_of_its_conversation() -> None:
    """Its key has the turn."""
    due = DueExecution(
        id=EVENT, turn=3, flow_id="f", conversation_id=None, status="queued", channel="shop", contact="+55"
    )
    job = flow_job(due, "start", None)
    assert (job.policy, job.key, job.group) == (FLOWS, f"{EVENT}:3", "shop:+55")
    assert flow_job(msgspec.structs.replace(due, channel=None, contact=None), "start", None).group is None


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["from", "text", "x"]), inner),
    max_leaves=8,
)


@given(document=_JSON)
def test_any_document_starts_one_execution(document: Any) -> None:
    """With any value in the place of the contact."""
    ((execution,), _) = executions_of(plain(document, SHOP))
    assert json.loads(execution.trigger)["webhook"]["body"] == document
    assert (execution.contact is None) == (json.loads(execution.trigger)["message"] is None)
