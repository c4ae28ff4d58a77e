"""Each node type, each way out, each error."""

import base64
from datetime import timedelta
from typing import Any

import pytest

from filas import standard_webhooks
from filas.errors import OutboundFailed, OutboundRefused, OutboundTimeout, OutboundTooLarge
from filas.flows.registry import NODE_TYPES
from flow_runner.registry import RUNNERS
from tests.flow_runner.harness import Answer, Call, Harness, chain, flow, node, path, plan_of, step
from tests.flow_runner.memory import START

BODY = {"text": "oi", "from": "55119", "tags": ["a", "b"], "n": 3}
WEBHOOK = {"body": BODY, "headers": {"authorization": "Bearer x"}, "queryParams": {"q": "1"}, "method": "POST"}


async def _run(*nodes: dict[str, Any], harness: Harness | None = None, **more: Any) -> Any:
    return await (harness or Harness()).run(chain(*nodes, **more), webhook=WEBHOOK)


def test_every_type_of_the_definition_can_be_run() -> None:
    assert set(RUNNERS) == set(NODE_TYPES)


# ---- message ---------------------------------------------------------------------------------------

MESSAGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"text": "n={{ webhook.body.n }}"}, {"type": "text", "text": "n=3"}),
    ({"text": "{{ webhook.body.tags }}"}, {"type": "text", "text": '["a","b"]'}),
    (
        {"media": {"kind": "image", "url": "https://a/{{ webhook.body.n }}.png", "caption": "c"}},
        {"type": "media", "kind": "image", "url": "https://a/3.png", "caption": "c"},
    ),
    (
        {"text": "?", "buttons": [{"id": "{{ webhook.body.n }}", "title": "Yes"}]},
        {"type": "buttons", "text": "?", "buttons": [{"id": "3", "title": "Yes"}]},
    ),
    (
        {"template": {"name": "hi", "language": "pt_BR", "parameters": ["{{ webhook.body.n }}"]}},
        {"type": "template", "name": "hi", "language": "pt_BR", "parameters": [3]},
    ),
]


@pytest.mark.parametrize(("data", "payload"), MESSAGES, ids=[str(sorted(data)) for data, _ in MESSAGES])
async def test_a_message_has_a_channel_neutral_content(data: dict[str, Any], payload: dict[str, Any]) -> None:
    harness = Harness()
    await _run(node("m", "message", **data), harness=harness)
    [notification] = harness.rows.notifications.values()
    assert notification.payload == payload
    assert (notification.channel_id, notification.recipient) == ("demo", "55119")
    assert notification.conversation_id is not None


async def test_a_message_may_go_elsewhere() -> None:
    """Another channel and receiver; it is then no message of this conversation."""
    harness = Harness()
    await _run(node("m", "message", text="x", channel="ops", to="{{ webhook.body.from }}"), harness=harness)
    [notification] = harness.rows.notifications.values()
    assert (notification.channel_id, notification.recipient) == ("ops", "55119")
    assert notification.conversation_id is None


@pytest.mark.parametrize(
    ("data", "kind"), [({"text": "{{ webhook.body.nope }}"}, "template"), ({"text": "{{ vars.space }}"}, "message")]
)
async def test_a_message_that_cannot_be_made_takes_the_error_way(data: dict[str, Any], kind: str) -> None:
    harness = Harness()
    nodes = node("m", "message", **data, onError="branch"), node("sorry", "message", text="sorry")
    definition = flow(*nodes, edges="start>m m.error>sorry", variables=[{"name": "space", "default": " "}])
    row = await harness.run(definition, webhook=WEBHOOK)
    error = step(row, "m").error
    assert error is not None
    assert (error.kind, path(row), row.status) == (kind, ["start", "m", "sorry"], "succeeded")


async def test_a_message_without_a_conversation_needs_a_channel() -> None:
    row = await Harness().run(chain(node("m", "message", text="x")), channel=None, contact=None)
    assert row.error is not None
    assert (row.status, row.error.kind) == ("failed", "message")


# ---- condition and set-variable --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logic", "operators", "way"),
    [
        ("and", ["is-set", "is-set"], "true"),
        ("and", ["is-set", "is-empty"], "false"),
        ("or", ["is-empty", "is-set"], "true"),
        ("or", ["is-empty", "is-empty"], "false"),
    ],
)
async def test_a_condition_has_two_ways_out(logic: str, operators: list[str], way: str) -> None:
    rules = [{"variable": "{{ webhook.body.text }}", "operator": operator} for operator in operators]
    condition = node("c", "condition", logic=logic, rules=rules)
    said = [node(name, "set-variable", assignments=[{"variable": "x", "value": 1}]) for name in ("yes", "no")]
    definition = flow(condition, *said, edges="start>c c.true>yes c.false>no", variables=[{"name": "x"}])
    row = await Harness().run(definition, webhook=WEBHOOK)
    assert (step(row, "c").handle, path(row)[-1]) == (way, "yes" if way == "true" else "no")


async def test_a_missing_operand_is_null() -> None:
    rule = {"variable": "{{ webhook.body.nope.deeper }}", "operator": "is-set"}
    row = await Harness().run(flow(node("c", "condition", rules=[rule]), edges="start>c"), webhook=WEBHOOK)
    assert (row.status, step(row, "c").handle) == ("succeeded", "false")


VARIABLES = [
    {"name": "any"},
    {"name": "n", "type": "number"},
    {"name": "s", "type": "string"},
    {"name": "b", "type": "boolean"},
    {"name": "l", "type": "list"},
]


@pytest.mark.parametrize(
    ("variable", "value", "stored"),
    [
        ("any", "{{ webhook.body }}", BODY),
        ("any", {"k": ["{{ webhook.body.n }}"]}, {"k": [3]}),
        ("n", "{{ webhook.body.from }}", 55119),
        ("n", "2.5", 2.5),
        ("s", "{{ webhook.body.n }}", "3"),
        ("b", "true", True),
        ("l", "{{ webhook.body.tags }}", ["a", "b"]),
        ("n", None, None),
    ],
)
async def test_a_variable_takes_what_fits_its_type(variable: str, value: Any, stored: Any) -> None:
    assignment = {"variable": variable, "value": value}
    row = await _run(node("s", "set-variable", assignments=[assignment]), variables=VARIABLES)
    assert (row.status, step(row, "s").output) == ("succeeded", {variable: stored})


@pytest.mark.parametrize(
    ("variable", "value"), [("n", "many"), ("l", "{{ webhook.body }}"), ("b", "yes"), ("n", "1e999")]
)
async def test_a_variable_refuses_what_does_not(variable: str, value: Any) -> None:
    assignment = {"variable": variable, "value": value}
    row = await _run(node("s", "set-variable", assignments=[assignment]), variables=VARIABLES)
    assert row.error is not None
    assert (row.status, row.error.kind, row.error.node_id) == ("failed", "variable", "s")


async def test_a_later_assignment_sees_an_earlier_one() -> None:
    assignments = [{"variable": "n", "value": 1}, {"variable": "s", "value": "{{ vars.n | plus: 1 }}"}]
    row = await _run(node("s", "set-variable", assignments=assignments), variables=VARIABLES)
    assert step(row, "s").output == {"n": 1, "s": "2"}


# ---- api -------------------------------------------------------------------------------------------


async def test_an_api_call_is_made_as_it_is_drawn() -> None:
    harness = Harness()
    harness.outside.answer = lambda _: Answer(201, b'{"name":"Ana","id":7}', {"X-Id": "9", "Set-Cookie": "s=1"})
    data = {
        "method": "PUT",
        "url": "https://crm.example/{{ webhook.body.from }}?a=1",
        "query": {"tag": "{{ webhook.body.tags }}", "n": 3, "none": None},
        "headers": {"X-N": "{{ webhook.body.n }}"},
        "body": {"n": "{{ webhook.body.n }}", "text": "t {{ webhook.body.n }}"},
        "timeoutMs": 5000,
        "responseMapping": [{"variable": "any", "path": "body.name"}, {"variable": "n", "path": "status"}],
    }
    row = await _run(node("a", "api", **data), harness=harness, variables=VARIABLES)
    [call] = harness.outside.calls
    assert (call.method, call.url) == ("PUT", "https://crm.example/55119?a=1&tag=a&tag=b&n=3")
    assert (call.json, call.timeout_s) == ({"n": 3, "text": "t 3"}, 5.0)
    expected = {"X-N": "3", "Content-Type": "application/json", "Idempotency-Key": f"{row.id}:2"}
    assert call.headers == expected
    output = step(row, "a").output
    assert output == {
        "status": 201,
        "headers": {"x-id": "9", "set-cookie": "[redacted]"},
        "body": {"name": "Ana", "id": 7},
    }


@pytest.mark.parametrize(
    ("body", "content_type", "sent"),
    [
        ("n={{ webhook.body.n }}", "text/plain; charset=utf-8", b"n=3"),
        ('{"n":{{ webhook.body.n }}}', "application/json", b'{"n":3}'),
        ("{{ webhook.body.tags }}", "application/json", b'["a","b"]'),
        ([1], "application/json", b"[1]"),
        (None, None, None),
    ],
)
async def test_a_body_is_json_or_text(body: Any, content_type: str | None, sent: bytes | None) -> None:
    harness = Harness()
    await _run(node("a", "api", method="POST", url="https://a.example", body=body), harness=harness)
    [call] = harness.outside.calls
    assert (call.headers.get("Content-Type"), call.body) == (content_type, sent)


async def test_an_author_may_choose_headers_that_we_would_set() -> None:
    harness = Harness()
    headers = {"idempotency-key": "mine", "content-type": "application/xml"}
    await _run(node("a", "api", method="POST", url="https://a.example", headers=headers, body="<a/>"), harness=harness)
    assert harness.outside.calls[0].headers == headers


@pytest.mark.parametrize(
    ("answer", "body"), [(b"plain", "plain"), (b"", None), (b"\xff", "\ufffd"), (b"[" * 2000, "[" * 2000)]
)
async def test_an_answer_that_is_no_json_is_text(answer: bytes, body: Any) -> None:
    harness = Harness()
    harness.outside.answer = lambda _: Answer(body=answer)
    end = node("e", "end", output="{{ nodes.a.output.body }}")
    row = await _run(node("a", "api", url="https://a.example"), end, harness=harness)
    assert (row.status, row.output) == ("succeeded", body)


ERRORS: list[tuple[Exception | Answer, str, bool]] = [
    (Answer(500), "http-status", True),
    (Answer(429), "http-status", True),
    (Answer(400), "http-status", False),
    (Answer(301), "http-status", False),
    (OutboundTimeout("slow", sent=True), "timeout", True),
    (OutboundFailed("broken", sent=False), "communication", True),
    (OutboundRefused("private address"), "outbound-refused", False),
    (OutboundTooLarge("large", status=200), "response-too-large", False),
    (ValueError("bad header"), "request", False),
]


@pytest.mark.parametrize(("failure", "kind", "tried_again"), ERRORS, ids=[repr(error[0])[:40] for error in ERRORS])
async def test_each_error_of_a_call(failure: Exception | Answer, kind: str, tried_again: bool) -> None:
    """Its kind, and whether `retry` with its defaults tries again."""
    harness = Harness()

    def answer(_: Call) -> Answer:
        if isinstance(failure, Answer):
            return failure
        raise failure

    harness.outside.answer = answer
    row = await _run(node("a", "api", url="https://a.example", retry={"maxAttempts": 2}), harness=harness)
    assert row.error is not None
    assert (row.status, row.error.kind, len(harness.outside.calls)) == ("failed", kind, 2 if tried_again else 1)


async def test_a_listed_status_is_no_error() -> None:
    harness = Harness()
    harness.outside.answer = lambda _: Answer(404)
    row = await _run(node("a", "api", url="https://a.example", acceptStatus=[404]), harness=harness)
    assert row.status == "succeeded"


async def test_a_wait_that_the_other_side_asks_for_is_kept() -> None:
    """`Retry-After` counts, as far as `maxDelayMs` allows."""
    harness = Harness()
    harness.outside.answer = lambda _: Answer(429, headers={"retry-after": "30"})
    plan = plan_of(chain(node("a", "api", url="https://a.example", retry={"maxAttempts": 2, "maxDelayMs": 20_000})))
    row = harness.rows.add()
    assert await harness.turn(row, plan) == "retrying"
    assert row.wake_at == START + timedelta(seconds=20)


async def test_an_uncertain_call_is_not_repeated_where_its_author_says_so() -> None:
    harness = Harness()

    def answer(_: Call) -> Answer:
        raise OutboundTimeout("slow", sent=True)

    harness.outside.answer = answer
    row = await _run(
        node("a", "api", url="https://a.example", onUncertain="fail", retry={"maxAttempts": 3}), harness=harness
    )
    assert (row.status, len(harness.outside.calls)) == ("failed", 1)


async def test_a_header_cannot_smuggle_another() -> None:
    harness = Harness()
    row = await harness.run(
        chain(node("a", "api", url="https://a.example", headers={"X-A": "{{ webhook.body.x }}"})),
        webhook={"body": {"x": "1\r\nX-B: 2"}, "headers": {}, "queryParams": {}},
    )
    assert row.error is not None
    assert (row.error.kind, harness.outside.calls) == ("request", [])


async def test_a_mapping_that_does_not_fit_is_an_error() -> None:
    harness = Harness()
    mapping = [{"variable": "l", "path": "status"}]
    row = await _run(
        node("a", "api", url="https://a.example", responseMapping=mapping), harness=harness, variables=VARIABLES
    )
    assert row.error is not None
    assert row.error.kind == "response-mapping"


# ---- delay -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        ({"ms": 1500}, 1.5),
        ({"ms": 0}, 0),
        ({"until": "2026-11-22T12:00:30Z"}, 30),
        ({"until": "2026-11-22T09:01:00-03:00"}, 60),
        ({"until": "2020-01-01T00:00:00Z"}, 0),
        ({"until": "{{ webhook.body.at }}"}, 10),
        ({"cron": "30 12 * * *"}, 1800),
        ({"cron": "30 9 * * *", "timezone": "America/Sao_Paulo"}, 1800),
        ({"cron": "0 9 * * MON", "timezone": "America/Sao_Paulo"}, 24 * 3600),
    ],
    ids=str,
)
async def test_a_delay_ends_when_it_says(data: dict[str, Any], seconds: float) -> None:
    harness = Harness()
    webhook = {"body": {"at": "2026-11-22T12:00:10+00:00"}, "headers": {}, "queryParams": {}}
    row = await harness.run(chain(node("d", "delay", **data)), webhook=webhook)
    assert (row.status, harness.clock.now() - START) == ("succeeded", timedelta(seconds=seconds))


@pytest.mark.parametrize("data", [{"until": "{{ webhook.body.text }}"}, {"until": "2026-12-25T00:00:00Z"}])
async def test_a_delay_without_a_good_end_fails(data: dict[str, Any]) -> None:
    """No time at all, or one more than 30 days away."""
    row = await _run(node("d", "delay", **data))
    assert row.error is not None
    assert (row.status, row.error.kind) == ("failed", "delay")


# ---- webhook and end -------------------------------------------------------------------------------

SECRET = "whsec_" + base64.b64encode(b"a secret of flows, 24 by").decode()


async def test_a_trigger_shows_what_came_in_but_no_credentials() -> None:
    row = await _run(node("e", "end", output="{{ nodes.start.output.queryParams.q }}"))
    assert step(row, "start").output == WEBHOOK | {"headers": {"authorization": "[redacted]"}}
    assert row.output == "1"


async def test_a_sent_webhook_is_signed() -> None:
    """Standard Webhooks over the raw bytes; the id is the effect's key; the secret shows nowhere."""
    harness = Harness()
    harness.secrets.values["hook"] = SECRET
    data = {
        "mode": "send",
        "url": "https://b.example",
        "body": {"n": "{{ webhook.body.n }}"},
        "secret": "{{ secrets.hook }}",
    }
    row = await _run(node("w", "webhook", **data), harness=harness)
    [call] = harness.outside.calls
    assert (call.method, call.json, call.headers["Idempotency-Key"]) == ("POST", {"n": 3}, f"{row.id}:2")
    standard_webhooks.verify([SECRET], call.headers, call.body or b"", now_s=harness.clock.now().timestamp())
    assert call.headers["webhook-id"] == f"{row.id}:2"
    assert SECRET not in repr(row.steps)


async def test_a_secret_that_cannot_sign_is_an_error() -> None:
    row = await _run(node("w", "webhook", mode="send", url="https://b.example", secret="not base64!"))
    assert row.error is not None
    assert row.error.kind == "signature"


async def test_a_sent_webhook_fails_as_a_call_does() -> None:
    harness = Harness()
    harness.outside.answer = lambda _: Answer(500)
    nodes = node("w", "webhook", mode="send", url="https://b.example", onError="branch"), node("m", "message", text="x")
    row = await harness.run(flow(*nodes, edges="start>w w.error>m"), webhook=WEBHOOK)
    assert (row.status, path(row)) == ("succeeded", ["start", "w", "m"])


@pytest.mark.parametrize("status", ["succeeded", "failed"])
async def test_an_end_has_a_status_and_an_output(status: str) -> None:
    row = await _run(node("e", "end", status=status, output={"n": "{{ webhook.body.n }}"}))
    assert (row.status, row.output, step(row, "e").output) == (status, {"n": 3}, {"n": 3})
