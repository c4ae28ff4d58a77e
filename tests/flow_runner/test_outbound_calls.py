"""Outbound calls of `api` and of `webhook` in mode send: each handle and each error."""

import base64
import time
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from filas.crypto import standard_webhooks
from filas.errors import OutboundFailed, OutboundRefused, OutboundTimeout, OutboundTooLarge
from tests.flow_runner.harness import Call, Harness, Response, chain, compiled_flow, flow, node, path, step
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


async def test_an_api_call_is_made_as_defined() -> None:
    harness = Harness()
    harness.outbound.respond = lambda _: Response(201, b'{"name":"Ana","id":7}', {"X-Id": "9", "Set-Cookie": "s=1"})
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
    [call] = harness.outbound.calls
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


URL_NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "api": ("api", {"url": "https://a.example/clientes/{{ webhook.body.text }}/saldo?q={{ webhook.body.text }}"}),
    "send": ("webhook", {"mode": "send", "url": "https://a.example/clientes/{{ webhook.body.text }}/saldo"}),
}


@pytest.mark.parametrize("name", URL_NODES)
async def test_a_value_in_an_address_stays_in_its_place(name: str) -> None:
    """`../admin?x=1#` called `/admin`."""
    kind, data = URL_NODES[name]
    harness = Harness()
    row = await harness.run(chain(node("a", kind, **data)), webhook={**WEBHOOK, "body": {"text": "../admin?x=1#"}})
    encoded = "..%2Fadmin%3Fx%3D1%23"
    expected = f"https://a.example/clientes/{encoded}/saldo" + (f"?q={encoded}" if name == "api" else "")
    assert (row.status, harness.outbound.calls[0].url) == ("succeeded", expected)
    assert step(row, "a").input["url"] == expected


async def test_a_value_in_the_query_is_encoded_once() -> None:
    harness = Harness()
    query = {"a": "{{ webhook.body.text | url_encode }}", "b": "x {{ webhook.body.text | url_encode }}", "c": "&"}
    await harness.run(
        chain(node("a", "api", url="https://a.example/?z=1", query=query)),
        webhook={**WEBHOOK, "body": {"text": "a b&c"}},
    )
    assert harness.outbound.calls[0].url == "https://a.example/?z=1&a=a%20b%26c&b=x%20a%20b%26c&c=%26"


async def test_a_value_that_would_leave_its_level_fails_the_node() -> None:
    harness = Harness()
    row = await harness.run(
        chain(node("a", "api", url="https://a.example/c/{{ webhook.body.text }}/saldo")),
        webhook={**WEBHOOK, "body": {"text": ".."}},
    )
    assert row.error is not None
    assert (row.error.kind, harness.outbound.calls) == ("template", [])


async def test_a_value_in_the_address_of_a_file_is_encoded() -> None:
    row = await _run(
        node("m", "message", media={"kind": "document", "url": "https://a.example/{{ '../x y' }}.pdf"}),
    )
    assert step(row, "m").input["url"] == "https://a.example/..%2Fx%20y.pdf"


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
    [call] = harness.outbound.calls
    assert (call.headers.get("Content-Type"), call.body) == (content_type, sent)


async def test_an_author_may_set_the_headers_that_the_engine_sets() -> None:
    harness = Harness()
    headers = {"idempotency-key": "mine", "content-type": "application/xml"}
    await _run(node("a", "api", method="POST", url="https://a.example", headers=headers, body="<a/>"), harness=harness)
    assert harness.outbound.calls[0].headers == headers


@pytest.mark.parametrize(
    ("answer", "body"), [(b"plain", "plain"), (b"", None), (b"\xff", "\ufffd"), (b"[" * 2000, "[" * 2000)]
)
async def test_a_response_that_is_not_json_is_text(answer: bytes, body: Any) -> None:
    harness = Harness()
    harness.outbound.respond = lambda _: Response(body=answer)
    end = node("e", "end", output="{{ nodes.a.output.body }}")
    row = await _run(node("a", "api", url="https://a.example"), end, harness=harness)
    assert (row.status, row.output) == ("succeeded", body)


ERRORS: list[tuple[Exception | Response, str, bool]] = [
    (Response(500), "http-status", True),
    (Response(429), "http-status", True),
    (Response(400), "http-status", False),
    (Response(301), "http-status", False),
    (OutboundTimeout("slow", sent=True), "timeout", True),
    (OutboundFailed("broken", sent=False), "communication", True),
    (OutboundRefused("private address"), "outbound-refused", False),
    (OutboundTooLarge("large", status=200), "response-too-large", False),
    (ValueError("bad header"), "request", False),
]


@pytest.mark.parametrize(("failure", "kind", "tried_again"), ERRORS, ids=[repr(error[0])[:40] for error in ERRORS])
async def test_each_error_of_a_call(failure: Exception | Response, kind: str, tried_again: bool) -> None:
    """Its kind, and whether `retry` with its defaults makes another attempt."""
    harness = Harness()

    def answer(_: Call) -> Response:
        if isinstance(failure, Response):
            return failure
        raise failure

    harness.outbound.respond = answer
    row = await _run(node("a", "api", url="https://a.example", retry={"maxAttempts": 2}), harness=harness)
    assert row.error is not None
    assert (row.status, row.error.kind, len(harness.outbound.calls)) == ("failed", kind, 2 if tried_again else 1)


@pytest.mark.parametrize(
    "body", [b"[" + b"1e290," * 100_000 + b"0]", b"[" + b"{}," * 100_000 + b"0]", b"[" * 500_000], ids=range(3)
)
async def test_a_response_that_is_costly_to_read_is_an_error(body: bytes) -> None:
    """JSON of 600 KB with large exponents took 800 ms, in which no other execution ran. Other content stays text."""
    harness = Harness()
    harness.outbound.respond = lambda _: Response(body=body, headers={"content-type": "application/json"})
    began = time.process_time()
    row = await _run(node("a", "api", url="https://a.example"), harness=harness)
    assert time.process_time() - began < 0.3
    assert row.error is not None
    assert row.error.kind == "response-too-large"


async def test_a_listed_status_is_not_an_error() -> None:
    harness = Harness()
    harness.outbound.respond = lambda _: Response(404)
    row = await _run(node("a", "api", url="https://a.example", acceptStatus=[404]), harness=harness)
    assert row.status == "succeeded"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("max_delay_s", [20, 60])
@pytest.mark.parametrize(
    "value",
    [
        "30",
        format_datetime(START + timedelta(seconds=30), usegmt=True),
        f"{START + timedelta(seconds=30):%A, %d-%b-%y %H:%M:%S GMT}",
        f"{START + timedelta(seconds=30):%a %b %d %H:%M:%S %Y}",
        (START + timedelta(seconds=30)).isoformat(),
    ],
)
async def test_retry_after_is_obeyed(value: str, max_delay_s: int, status: int) -> None:
    """`Retry-After` in seconds or as a date determines the wait, up to `maxDelayMs`."""
    harness = Harness()
    harness.outbound.respond = lambda _: Response(status, headers={"Retry-After": value})
    retry = {"maxAttempts": 2, "delayMs": 0, "maxDelayMs": max_delay_s * 1000}
    compiled = compiled_flow(chain(node("a", "api", url="https://a.example", retry=retry)))
    row = harness.rows.add()
    assert await harness.run_once(row, compiled) == "retrying"
    assert row.wake_at == START + timedelta(seconds=min(max_delay_s, 30))


async def test_on_uncertain_fail_does_not_repeat_an_uncertain_call() -> None:
    harness = Harness()

    def answer(_: Call) -> Response:
        raise OutboundTimeout("slow", sent=True)

    harness.outbound.respond = answer
    row = await _run(
        node("a", "api", url="https://a.example", onUncertain="fail", retry={"maxAttempts": 3}), harness=harness
    )
    assert (row.status, len(harness.outbound.calls)) == ("failed", 1)


@pytest.mark.parametrize("value", ["1\r\nX-B: 2", "1\nX-B: 2", "1\rX-B: 2", "1\0", "1\x0b2", "\x7f1"])
async def test_a_header_value_cannot_add_another_header(value: str) -> None:
    harness = Harness()
    row = await harness.run(
        chain(node("a", "api", url="https://a.example", headers={"X-A": "{{ webhook.body.x }}"})),
        webhook={"body": {"x": value}, "headers": {}, "queryParams": {}},
    )
    assert row.error is not None
    assert (row.error.kind, harness.outbound.calls) == ("request", [])
    assert row.error.message.startswith("headers.X-A: a line break or control character in ")


async def test_a_line_break_at_the_end_of_a_header_value_is_dropped() -> None:
    """A secret that was stored with its line break is a valid token."""
    harness = Harness()
    harness.secrets.values["key"] = "Bearer x\n"
    await _run(
        node("a", "api", url="https://a.example", headers={"Authorization": "{{ secrets.key }}"}), harness=harness
    )
    assert harness.outbound.calls[0].headers["Authorization"] == "Bearer x"


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
    """The signature is that of Standard Webhooks over the raw bytes. The id is the effect's key. No step shows the
    secret."""
    harness = Harness()
    harness.secrets.values["hook"] = SECRET
    data = {
        "mode": "send",
        "url": "https://b.example",
        "body": {"n": "{{ webhook.body.n }}"},
        "secret": "{{ secrets.hook }}",
    }
    row = await _run(node("w", "webhook", **data), harness=harness)
    [call] = harness.outbound.calls
    assert (call.method, call.json, call.headers["Idempotency-Key"]) == ("POST", {"n": 3}, f"{row.id}:2")
    now_s = int(harness.clock.now().timestamp())
    signed = standard_webhooks.signed_headers([SECRET], f"{row.id}:2", now_s, call.body or b"")
    assert signed.items() <= call.headers.items()
    assert SECRET not in repr(row.steps)


async def test_a_secret_that_cannot_sign_is_an_error() -> None:
    row = await _run(node("w", "webhook", mode="send", url="https://b.example", secret="not base64!"))
    assert row.error is not None
    assert row.error.kind == "signature"


async def test_a_sent_webhook_fails_as_an_api_call_does() -> None:
    harness = Harness()
    harness.outbound.respond = lambda _: Response(500)
    nodes = node("w", "webhook", mode="send", url="https://b.example", onError="branch"), node("m", "message", text="x")
    row = await harness.run(flow(*nodes, edges="start>w w.error>m"), webhook=WEBHOOK)
    assert (row.status, path(row)) == ("succeeded", ["start", "w", "m"])
