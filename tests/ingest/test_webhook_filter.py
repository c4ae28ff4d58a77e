"""The filter of a webhook, and the traces of events that start nothing or no conversation."""

import json
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from filas.errors import PermanentError
from filas.models.configuration import ConversationRule
from filas.models.executions import NewExecution
from ingest.process import processor
from ingest.process.processor import Processor, executions_of
from tests.ingest.provider_cases import telegram, whatsapp
from tests.ingest.test_processor import event, plain, received

SHOP = ConversationRule(channel="shop", contact="{{ body.from }}", text="{{ body.text }}")


def outcome(document: Any, rules: Any, provider: str = "none", rule: ConversationRule | None = None) -> str | None:
    """Returns why an event is ignored; None if it starts something."""
    conversation = None if rule is None else msgspec.to_builtins(rule)
    body = json.dumps(document).encode()
    job = received(event(body, provider=provider, conversation=conversation, filter=rules))
    executions, reason = executions_of(job)
    assert bool(executions) is (reason is None)
    return reason


def rule_of(variable: str, operator: str, value: Any = None) -> dict[str, Any]:
    return {"rules": [{"variable": variable, "operator": operator, "value": value}]}


@pytest.mark.parametrize(
    "rules",
    [
        {"expression": "body.data.key.fromMe != true"},
        {"expression": 'headers["x-a"] == "é" && body.data.key.fromMe == false'},
        {"expression": "queryParams.b == '3' && !has(body.nothing)"},
        rule_of("{{ body.data.key.fromMe }}", "not-equals", value=True),
        {"logic": "or", "rules": [*rule_of("{{ body.x }}", "is-set")["rules"],
                                     *rule_of("{{ queryParams.b }}", "equals", 3)["rules"]]},
    ],
)  # fmt: skip
def test_an_event_that_passes_starts_a_flow(rules: dict[str, Any]) -> None:
    assert outcome({"data": {"key": {"fromMe": False}}}, rules) is None


@pytest.mark.parametrize(
    "rules",
    [
        {"expression": "body.data.key.fromMe != true"},
        rule_of("{{ body.data.key.fromMe }}", "not-equals", value=True),
        {"expression": "body.nothing > 5"},
        {"expression": "message.text == 'oi'"},
        rule_of("{{ body.nothing.at.all }}", "is-set"),
        rule_of("{{ message.text }}", "equals", "oi"),
    ],
)
def test_an_event_that_does_not_pass_is_ignored(rules: dict[str, Any]) -> None:
    """Such as the echo of Evolution. A missing operand is null, also `message` without a conversation."""
    assert outcome({"data": {"key": {"fromMe": True}}}, rules) == "filter"


def test_the_filter_reads_the_message_as_flows_do() -> None:
    """Of a provider, and of a webhook with a rule."""
    only_text = {"expression": "message.kind == 'text' && message.contact == '5511' && message.media == null"}
    assert outcome({"from": "5511", "text": "oi"}, only_text, rule=SHOP) is None
    assert outcome({"from": "5522", "text": "oi"}, only_text, rule=SHOP) == "filter"
    body = telegram.update(text="/start")
    assert outcome(body, {"expression": "message.text == '/start' && message.raw.text == '/start'"}, "telegram") is None
    assert outcome(body, rule_of("{{ message.raw.text }}", "not-equals", "/start"), "telegram") == "filter"
    sender = "{{ message.raw.chat.type }}"
    assert outcome(body, rule_of(sender, "equals", "channel"), "telegram") == "filter"


def test_an_expression_reads_the_other_addresses_of_a_contact() -> None:
    """They are a list. An expression that reads the whole message needs them to be a value of CEL."""
    body = whatsapp.message("text", {"body": "oi"}, from_user_id="US.1")
    for expression in ("message != null && message.kind == 'text'", "'US.1' in message.aliases"):
        assert outcome(body, {"expression": expression}, "meta") is None
    assert outcome(body, {"expression": "message.aliases.size() > 1"}, "meta") == "filter"


def test_the_kind_comes_first() -> None:
    reaction = whatsapp.message("reaction", {"message_id": "wamid.B", "emoji": "❤️"})
    assert outcome(reaction, {"expression": "false"}, "meta") == "kind:reaction"


def test_a_filter_that_cannot_be_evaluated_is_a_permanent_error() -> None:
    """The event becomes a dead letter, so that nothing is lost by a mistake in the filter."""
    for rules in ({"expression": "body.text"}, {"expression": "body.text =="}, rule_of("{{ body.text }}", "like", "x")):
        with pytest.raises(PermanentError, match="the webhook's filter cannot be evaluated"):
            outcome({"text": "oi"}, rules)


def test_the_cost_of_a_filter_is_bounded() -> None:
    """A large body does not hold up the other events of the worker."""
    items = [{"n": number, "t": "x" * 50} for number in range(9_000)]
    began = time.process_time()
    with pytest.raises(PermanentError, match="too much work"):
        outcome({"items": items}, {"expression": "body.items.exists(a, body.items.exists(b, a.n == b.n))"})
    assert time.process_time() - began < 2


class _Stores:
    """Tables and queues that accept everything. `reasons` are those of the events."""

    def __init__(self) -> None:
        self.reasons: dict[Any, str] = {}
        self.executions: list[NewExecution] = []

    async def insert_many(self, events: Sequence[Any]) -> list[Any]:
        return []

    async def start_many(self, starts: Any, _receipts: Any, reasons: Any) -> list[Any]:
        self.reasons |= reasons
        self.executions += [one for _, executions in starts for one in executions]
        return [[] for _ in starts]

    async def enqueue_many(self, jobs: Sequence[Any]) -> list[Any]:
        return []

    async def get(self, webhook_id: str) -> None:
        return None

    async def refresh(self) -> None:
        pass

    def channel_of(self, place: Any) -> str:
        return str(place.channel)

    async def settle(self, events: Sequence[Any]) -> list[Any]:
        return [executions for _, executions in events]


async def test_an_event_without_a_contact_states_which_template_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its reason, in the log (once a minute for each webhook) and in the error of a message that it cannot send."""
    lines: list[dict[str, Any]] = []
    log = SimpleNamespace(warning=lambda name, **fields: lines.append({"event": name, **fields}))
    monkeypatch.setattr(processor, "log", log)
    stores = _Stores()
    misspelt = ConversationRule(channel="shop", contact="{{ body.form }}")
    job = plain({"from": "5511"}, misspelt, recorded=True)
    conversations: Any = stores
    work = Processor(stores, stores, stores, stores, conversations)
    for _ in range(3):
        await work.process([job])
    assert stores.reasons == {job.event_id: "no-contact"}
    detail = "the template of the webhook's conversation.contact, `{{ body.form }}`, is empty for the event"
    assert [(one["event"], one["webhook_id"], one["detail"]) for one in lines] == [
        ("event.no_conversation", "orders", detail)
    ]
    assert json.loads(stores.executions[0].trigger)["noConversation"] == detail


def test_a_webhook_without_a_rule_has_no_such_trace() -> None:
    for rule in (None, SHOP):
        (execution,), reason = executions_of(plain({"from": "5511"}, rule))
        assert reason is None
        assert "noConversation" not in json.loads(execution.trigger)
