"""Which events are something that the contact said, and which only concern the contact."""

from typing import Any

import msgspec
import pytest

from filas.contract.event_envelope import snapshot_of
from filas.contract.jobs import FILTER_VERSION, FIRST_VERSION, ROLE_VERSION
from filas.models.configuration import ConversationRule, WebhookFilter
from filas.models.event_kinds import CONTENT_KINDS, OTHER_KINDS
from ingest.event.conversation import ConversationReader
from ingest.event.event_jobs import job_of_event
from ingest.process.processor import executions_of
from tests.ingest.provider_cases.case import Case
from tests.ingest.test_processor import event, plain
from tests.ingest.test_provider_kinds import CASES
from tests.shared.repository.builders import webhook

PAID = {"from": "5511", "text": "paid", "total": 10}
CONTACT: dict[str, Any] = {"channel": "shop", "contact": "{{ body.from }}"}
TEXT: dict[str, Any] = {"text": "{{ body.text }}"}


@pytest.mark.parametrize(
    ("rule", "is_message"),
    [
        pytest.param(CONTACT, False, id="a payment system: no text"),
        pytest.param(CONTACT | TEXT, True, id="a chat: the rule has a text"),
        pytest.param(CONTACT | {"role": "message"}, True, id="no text, but a message"),
        pytest.param(CONTACT | TEXT | {"role": "event"}, False, id="a text, but an event"),
        pytest.param(CONTACT | {"text": "{{ body.missing }}"}, True, id="a message without text, such as an image"),
        pytest.param(CONTACT | {"contact": "{{ body.from | strip }}"}, False, id="a template finds the contact"),
    ],
)
def test_a_webhook_without_a_provider(rule: dict[str, Any], is_message: bool) -> None:
    [execution], _ = executions_of(plain(PAID, ConversationRule(**rule)))
    assert (execution.channel, execution.contact, execution.carries_message) == ("shop", "5511", is_message)


def test_without_a_conversation_there_is_no_message() -> None:
    [execution], _ = executions_of(plain(PAID))
    assert execution.carries_message is False


def test_a_business_event_has_no_text() -> None:
    [execution], _ = executions_of(plain(PAID, ConversationRule(**CONTACT)))
    message = msgspec.json.decode(execution.trigger)["message"]
    assert (message["kind"], message.get("text")) == ("other", None)


@pytest.mark.parametrize(("provider", "case"), CASES)
@pytest.mark.parametrize("role", [None, "message", "event"])
def test_an_event_of_a_provider(provider: str, case: Case, role: Any) -> None:
    """Only content is something that the contact said. A reaction, a receipt or an echo that the webhook accepts starts
    a flow and answers nothing."""
    rule = ConversationRule(accept=tuple(sorted(OTHER_KINDS)), role=role)  # type: ignore[arg-type]
    [start] = (
        ConversationReader(provider, rule).starts({"body": case.document, "headers": {}, "queryParams": {}}, "k").starts
    )
    assert start.is_message is {None: case.kind in CONTENT_KINDS, "message": True, "event": False}[role]


@pytest.mark.parametrize(
    ("changes", "version"),
    [
        ({}, FIRST_VERSION),
        ({"conversation": ConversationRule(**CONTACT)}, FIRST_VERSION),
        ({"filter": WebhookFilter(expression="true")}, FILTER_VERSION),
        ({"conversation": ConversationRule(**CONTACT, role="message")}, ROLE_VERSION),
        ({"conversation": ConversationRule(role="event"), "filter": WebhookFilter(expression="true")}, ROLE_VERSION),
    ],
)
def test_a_job_with_a_role_waits_for_a_worker_that_knows_it(changes: dict[str, Any], version: int) -> None:
    """An older worker would answer a question with the event."""
    snapshot = snapshot_of(webhook(**changes))
    job = job_of_event(event(b"{}", conversation=snapshot.conversation, filter=snapshot.filter))
    assert job.message is not None
    assert job.message.schema_version == version
