"""Calls to the outside, by `api` and by `webhook` with mode send: each way out, each error."""

import base64
from datetime import timedelta
from typing import Any

import pytest

from filas.crypto import standard_webhooks
from filas.errors import OutboundFailed, OutboundRefused, OutboundTimeout, OutboundTooLarge
from tests.flow_runner.harness import Answer, Call, Harness, chain, flow, node, path, plan_of, step
from tests.flow_runner.memory import START

BODY = {"text": "oi", "from": "55119", "tags": ["a", "b"], "n": 3}
WEBHOOK = {"body": BODY, "headers": {"authorization": "Bearer x"}, "queryParams": {"q": "1"}, "method": "POST"}


async def _run(*nodes: dict[str, Any], harness: Harness | None = None, **more: Any) -> Any:
    return await (harness or Harness()).run(chain(*nodes, **more), webhook=WEBHOOK)


VARIABLES = [
    {"name": "any"},
    {"name": "n", "type": "number"},
    {"name": "s", "type": "string"},
    {"name": "b", "type": "boolean"},
    {"name": "l", "type": "list"},
]


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


# ---- signed webhooks ---------------------------------------------------------------------------------

SECRET = "whsec_" + base64.b64encode(b"a secret of flows, 24 by").decode()


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
    now_s = int(harness.clock.now().timestamp())
    signed = standard_webhooks.signed_headers([SECRET], f"{row.id}:2", now_s, call.body or b"")
    assert signed.items() <= call.headers.items()
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
