"""n8n's nodes, expressions and connections: what they become, and what the report states of them."""

from typing import Any

import pytest

from filas.flows.expressions import rules
from filas.flows.templates import template
from tests.shared.flows.imports.typebots import edges_of
from tests.shared.flows.imports.workflows import converted, data_of, node, notes_of


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("fixed {{ text }} {x}", "fixed {{ '{{' }} text }} {{ '{' }}x}"),
        ("=Oi {{ $json.body.name }}!", "Oi {{ webhook.body.name }}!"),
        ("={{ $json.query.q }}", "{{ webhook.queryParams.q }}"),
        ('={{ $json.headers["X-Event"] }}', "{{ webhook.headers.x-event }}"),
        ('={{$json["body"]["a b"][0].c}}', '{{ webhook.body["a b"][0].c }}'),
        ('={{ $node["Webhook"].json.body.id }}', "{{ webhook.body.id }}"),
        ("={{ $node.Webhook.json.body.id }}", "{{ webhook.body.id }}"),
        ("={{ $('Webhook').item.json.body.id }}", "{{ webhook.body.id }}"),
        ("={{ $('Webhook').first().json.body.id }}", "{{ webhook.body.id }}"),
        ("={{ $input.item.json.body.id }}", "{{ webhook.body.id }}"),
        ("={{ $json.body.name.trim().toUpperCase() }}", "{{ webhook.body.name | strip | upcase }}"),
        ("={{ $json.body.list.length }}", "{{ webhook.body.list | size }}"),
        ("={{ $json.body.a.split(',') }}", '{{ webhook.body.a | split: "," }}'),
        ("={{ $json.body.a || 'none' }}", '{{ webhook.body.a | default: "none" }}'),
        ("={{ $json.body.n + 1 }}", "{{ webhook.body.n | plus: 1 }}"),
        ("={{ 'Oi ' + $json.body.n }}", '{{ "Oi " | append: webhook.body.n }}'),
        ("={{ JSON.stringify($json.body) }}", "{{ webhook.body | json }}"),
        ("={{ $execution.id }}", "{{ execution.id }}"),
        ("={{ $json.body.a ? 1 : 2 }}", "{{ vars.expression }}"),
        ("={{ $vars.city }}", "{{ vars.city }}"),
        ("={{ $('Nowhere').item.json.a.b }}", "{{ vars.a_b }}"),
    ],
)
def test_expressions(written: str, expected: str) -> None:
    """They become templates. What cannot be written as one becomes a variable."""
    found = converted(node("Say", "slack", {"text": written}))
    assert data_of(found, "say")["text"] == expected
    codes = notes_of(found, "Say")[1]
    assert ("expression-not-carried" in codes) is ("vars." in expected)


def test_the_data_of_the_node_before() -> None:
    """`$json` is the body of a response, the fields of Edit Fields, and what IF and Wait pass on."""
    fields = {"assignments": {"assignments": [{"name": "a.b", "value": "={{ $json.x }}", "type": "string"}]}}
    found = converted(
        node("Get", "httpRequest", {"url": "https://a.example"}),
        node("Set", "set", fields | {"includeOtherFields": True}, version=3.4),
        node("Wait", "wait", {"amount": 2, "unit": "minutes"}),
        node("Say", "slack", {"text": "={{ $json.a.b }} {{ $json.c }} {{ $json.a.b.d }}"}),
    )
    assert data_of(found, "set")["assignments"] == [{"variable": "a_b", "value": "{{ nodes.get.output.body.x }}"}]
    assert data_of(found, "say")["text"] == "{{ vars.a_b }} {{ nodes.get.output.body.c }} {{ vars.a_b.d }}"
    assert data_of(found, "wait") == {"ms": 120_000}


def test_fields_as_json() -> None:
    """Each field is a variable; a text that is JSON only after its expressions are filled in is reported."""
    written = '{"a": 1, "b": "={{ $json.body.x }}"}'
    found = converted(node("Set", "set", {"mode": "raw", "jsonOutput": written}, version=3.4))
    assert [one["value"] for one in data_of(found, "set")["assignments"]] == [1, "{{ webhook.body.x }}"]
    wrong = converted(node("Set", "set", {"mode": "raw", "jsonOutput": '={"a": {{ $json.body }}}'}, version=3.4))
    assert notes_of(wrong, "Set") == ("changed", ["code-not-carried"])


def compared(kind: str, operation: str, right: Any) -> tuple[dict[str, Any], str]:
    """The rule of a comparison with `$json.body.x`, and the status of its node."""
    condition = {
        "leftValue": "={{ $json.body.x }}",
        "rightValue": right,
        "operator": {"type": kind, "operation": operation},
    }
    found = converted(node("If", "if", {"conditions": {"combinator": "or", "conditions": [condition]}}, version=2))
    data = data_of(found, "if")
    assert data["logic"] == "or"
    return data["rules"][0], notes_of(found, "If")[0]


@pytest.mark.parametrize(
    ("kind", "operation", "right", "true_for", "false_for"),
    [
        ("string", "equals", "Ana", "Ana", "ana"),
        ("string", "notEquals", "Ana", "ana", "Ana"),
        ("string", "contains", "n", "Ana", "Rui"),
        ("string", "notContains", "n", "Rui", "Ana"),
        ("string", "startsWith", "A", "Ana", "Rui"),
        ("string", "notStartsWith", "A", "Rui", "Ana"),
        ("string", "endsWith", "a", "Ana", "Rui"),
        ("string", "notEndsWith", "a", "Rui", "Ana"),
        ("string", "regex", "^A", "Ana", "Rui"),
        ("string", "notRegex", "^A", "Rui", "Ana"),
        ("string", "empty", "", "", "x"),
        ("string", "notEmpty", "", "x", ""),
        ("string", "exists", "", "x", None),
        ("string", "notExists", "", None, "x"),
        ("number", "gt", 5, 6, 5),
        ("number", "lte", 5, 5, 6),
        ("boolean", "true", "", True, False),
        ("boolean", "false", "", False, True),
        ("array", "lengthGt", 1, [1, 2], [1]),
        ("dateTime", "after", "2026-01-01", "2026-02-01", "2025-01-01"),
    ],
)
def test_comparisons(kind: str, operation: str, right: Any, true_for: Any, false_for: Any) -> None:
    """Each operation, evaluated."""
    rule, status = compared(kind, operation, right)
    for value, expected in ((true_for, True), (false_for, False)):
        left = template.evaluate_or_null(rule["variable"], {"webhook": {"body": {"x": value}}})
        given = rule.get("value")
        assert rules.compare(rule["operator"], left, given, exact=rule.get("exact", False), locale="en-US") is expected
    assert status == "carried"


def test_an_unknown_comparison_is_never_true() -> None:
    """And is reported."""
    rule, status = compared("string", "soundsLike", "x")
    assert (rule["operator"], status) == ("is-set", "changed")


def test_the_outputs_of_a_switch() -> None:
    """Are handles, in the order of the rules; the fallback is the last one."""
    values = [
        {"conditions": {"conditions": [{"leftValue": "={{ $json.body.x }}", "operator": {"operation": "exists"}}]}},
        {"conditions": {"conditions": [{"leftValue": "={{ $json.body.y }}", "operator": {"operation": "exists"}}]},
         "outputKey": "Às vezes"},
    ]  # fmt: skip
    nodes = [
        node("Webhook", "webhook"),
        node("S", "switch", {"rules": {"values": values}, "options": {"fallbackOutput": "extra"}}, version=3),
        *(node(name, "slack", {"text": name}) for name in ("A", "B", "C")),
    ]
    found = converted(*nodes, connections={"Webhook": [["S"]], "S": [["A"], ["B"], ["C"]]})
    assert edges_of(found) >= {("s", "case-1", "a"), ("s", "as-vezes", "b"), ("s", "default", "c")}


def test_a_request() -> None:
    """Its body, headers, errors and retries."""
    body = {"parameters": [{"name": "n", "value": "={{ $json.body.n }}"}]}
    parameters = {
        "method": "POST",
        "url": "=https://a.example/{{ $json.body.id }}",
        "sendBody": True,
        "bodyParameters": body,
        "headerParameters": {"parameters": [{"name": "X-A", "value": "1"}]},
        "queryParameters": {"parameters": [{"name": "q", "value": "=a{{ $json.body.n }}"}]},
        "contentType": "form-urlencoded",
        "authentication": "genericCredentialType",
    }
    nodes = [
        node("Webhook", "webhook"),
        node("Call", "httpRequest", parameters, version=4, onError="continueErrorOutput", retryOnFail=True, maxTries=3),
        node("Ok", "noOp"),
        node("Bad", "stopAndError", {"errorMessage": "=no {{ $json.error }}"}),
    ]
    found = converted(*nodes, connections={"Webhook": [["Call"]], "Call": [["Ok"], ["Bad"]]})
    data = data_of(found, "call")
    assert data["url"] == "https://a.example/{{ webhook.body.id }}"
    assert (data["body"], data["query"]) == ({"n": "{{ webhook.body.n }}"}, {"q": "a{{ webhook.body.n }}"})
    assert data["headers"] == {"X-A": "1", "Content-Type": "application/x-www-form-urlencoded"}
    assert (data["onError"], data["retry"]["maxAttempts"]) == ("branch", 3)
    assert ("call", "error", "bad") in edges_of(found)
    assert notes_of(found, "Call") == ("changed", ["credentials"])


def test_a_loop() -> None:
    """Its items are those of the node before, `$json` in it is the item, and its outputs are two handles."""
    nodes = [
        node("Webhook", "webhook"),
        node("Split", "splitOut", {"fieldToSplitOut": "body.items"}),
        node("Loop", "splitInBatches", version=3),
        node("Say", "telegram", {"chatId": "={{ $json.chat }}", "text": "={{ $json.name }}"}),
        node("End", "slack", {"text": "x"}),
    ]
    connections = {"Webhook": [["Split"]], "Split": [["Loop"]], "Loop": [["End"], ["Say"]], "Say": [["Loop"]]}
    found = converted(*nodes, connections=connections)
    assert data_of(found, "loop")["items"] == "{{ webhook.body.items }}"
    said = data_of(found, "say")
    assert (said["to"], said["text"]) == ("{{ loop.item.chat }}", "{{ loop.item.name }}")
    assert edges_of(found) >= {("loop", "done", "end"), ("loop", "loop", "say"), ("say", "out", "loop")}
    assert notes_of(found, "Split") == ("carried", ["no-node-needed"])


def test_messages_to_the_contact_who_wrote() -> None:
    """Are messages of the conversation; other recipients need a channel."""
    nodes = [
        node("In", "whatsAppTrigger"),
        node("Answer", "whatsApp", {
            "recipientPhoneNumber": "={{ $json.messages[0].from }}", "textBody": "={{ $json.messages[0].text.body }}"}),
        node("Other", "whatsApp", {"recipientPhoneNumber": "5511", "messageType": "image", "mediaLink": "https://a.example/i.png"}),
    ]  # fmt: skip
    found = converted(*nodes, connections={"In": [["Answer"]], "Answer": [["Other"]]})
    assert data_of(found, "answer") == {"text": "{{ conversation.text }}"}
    assert data_of(found, "other") == {
        "media": {"kind": "image", "url": "https://a.example/i.png"},
        "channel": "whatsapp",
        "to": "5511",
    }
    assert notes_of(found, "In") == ("changed", ["trigger-changed"])


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("code", "left-out", "script"),
        ("function", "left-out", "script"),
        ("respondToWebhook", "left-out", "answers-at-once"),
        ("googleSheets", "left-out", "google-sheets"),
        ("somethingNew", "left-out", "unsupported"),
        ("noOp", "carried", "no-node-needed"),
        ("merge", "changed", "runs-once-per-path"),
    ],
)
def test_what_has_no_node(kind: str, status: str, code: str) -> None:
    """The path goes on without it, or over a placeholder with its name."""
    found = converted(node("X", kind), node("Say", "slack", {"text": "x"}))
    assert notes_of(found, "X") == (status, [code])
    expected = {("start", "out", "x"), ("x", "out", "say")} if status == "left-out" else {("start", "out", "say")}
    assert edges_of(found) == expected


def test_triggers() -> None:
    """Times are not part of a flow, and several triggers are one."""
    nodes = [
        node("Daily", "scheduleTrigger", {"rule": {"interval": [{"field": "hours"}]}}),
        node("Manual", "manualTrigger"),
        node("A", "slack", {"text": "a"}),
        node("B", "slack", {"text": "b"}, disabled=True),
        node("C", "executeWorkflow", {"workflowId": {"value": "w", "cachedResultName": "Pagar Já"}}),
    ]
    found = converted(*nodes, connections={"Daily": [["A"]], "Manual": [["B"]], "B": [["C"]]})
    assert notes_of(found, "Daily") == ("changed", ["schedule"])
    assert notes_of(found, "Manual") == ("changed", ["second-trigger"])
    assert notes_of(found, "B") == ("changed", ["disabled"])
    assert data_of(found, "c")["flowId"] == "pagar-ja"
    assert edges_of(found) == {("start", "out", "a"), ("start", "out", "c")}
