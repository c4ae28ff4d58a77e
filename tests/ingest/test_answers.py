"""The answers to requests: what each provider expects, what a webhook defines, and requests that are no events."""

import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest

from filas.models.configuration import HandshakeRule, RateLimit, WebhookResponse
from tests.ingest.provider_cases import slack, twilio, whatsapp
from tests.ingest.serving import Serving, serving, webhook
from tests.ingest.test_fuzzed_requests import vendor_webhook
from tests.ingest.verify.vendors import FORM_TYPE, URL, VENDORS

XML = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'


async def answered(app: Serving, name: str, body: bytes, **more: str) -> tuple[int, str, bytes]:
    """Posts the body with the vendor's signature. Returns status, content type and body of the answer."""
    headers = VENDORS[name].headers(now=int(time.time()), body=body) | more
    async with app.request("POST", name, data=body, headers=headers) as answer:
        return answer.status, answer.headers.get("Content-Type", ""), await answer.read()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(twilio.incoming(Body="oi"), (200, "text/xml", XML), id="message"),
        pytest.param({"CallSid": "CA1", "CallStatus": "ringing"}, (200, "text/xml", XML), id="call"),
        pytest.param({"MessageSid": "SM1", "MessageStatus": "delivered"}, (204, "", b""), id="status"),
    ],
)
async def test_twilio_gets_instructions(
    redis_url: str, postgres_dsn: str, fields: dict[str, str], expected: tuple[int, str, bytes]
) -> None:
    """It reports JSON as an error. The connection can be used again after each answer."""
    twilio_webhook = vendor_webhook("twilio", VENDORS["twilio"])
    twilio_webhook.auth["url"] = URL
    async with serving(redis_url, postgres_dsn, twilio_webhook) as app:
        for number in range(2):
            body = urlencode(fields | {"Number": str(number)}).encode()
            assert await answered(app, "twilio", body, **{"Content-Type": FORM_TYPE}) == expected


async def test_slacks_interactions_and_commands_get_an_empty_answer(redis_url: str, postgres_dsn: str) -> None:
    """Slack keeps a modal open after any other answer. Events get our JSON."""
    async with serving(redis_url, postgres_dsn, vendor_webhook("slack", VENDORS["slack"])) as app:
        form = {"Content-Type": FORM_TYPE}
        submission = urlencode(slack.interaction(type="view_submission", view={"callback_id": "c"})).encode()
        command = urlencode({"command": "/go", "trigger_id": "1", "channel_id": "C1"}).encode()
        for body in (submission, command):
            assert await answered(app, "slack", body, **form) == (200, "text/plain; charset=utf-8", b"")
        status, kind, text = await answered(app, "slack", json.dumps(slack.event(text="oi")).encode())
        assert (status, kind, json.loads(text)["status"]) == (200, "application/json", "received")


async def test_a_webhook_may_define_its_answer(redis_url: str, postgres_dsn: str) -> None:
    """It also replaces the answer that a provider expects. Rejected requests get their usual answers."""
    response = WebhookResponse(status=202, content_type="text/plain", body="olá", headers={"X-Ours": "1"})
    own = webhook("own", response=response, rate_limit=RateLimit(max=1))
    async with serving(redis_url, postgres_dsn, own) as app:
        async with app.request("POST", "own", data=b"{}") as answer:
            assert (answer.status, answer.headers["Content-Type"], await answer.text()) == (202, "text/plain", "olá")
            assert answer.headers["X-Ours"] == "1"
            assert "RateLimit" in answer.headers
        assert (await app.post("own", {}))[0] == 429


async def test_statuses_do_not_count_in_the_rate_limit(redis_url: str, postgres_dsn: str) -> None:
    """The receipts of our own messages must not keep out the customer's next message."""
    meta = vendor_webhook("meta", VENDORS["meta"])
    from_customer = [json.dumps(whatsapp.message("text", {"body": "oi"}, id=f"wamid.{n}")).encode() for n in range(3)]
    async with serving(redis_url, postgres_dsn, _limited(meta, 2)) as app:
        for name in ("sent", "delivered", "read"):
            assert (await answered(app, "meta", json.dumps(whatsapp.status(name)).encode()))[0] == 200
        assert [(await answered(app, "meta", body))[0] for body in from_customer] == [200, 200, 429]
        assert len(await app.events.unfinished(0, 10)) == 5


@pytest.mark.parametrize("path", ["orders/", "orders"])
async def test_a_slash_at_the_end_makes_no_difference(redis_url: str, postgres_dsn: str, path: str) -> None:
    async with serving(redis_url, postgres_dsn, webhook("orders")) as app:
        assert (await app.post(path, {}))[0] == 200
        assert (await app.post("orders//", {}))[0] == 404


async def test_a_head_request_is_answered_and_starts_nothing(redis_url: str, postgres_dsn: str) -> None:
    """Trello and Mandrill test an address with it. A webhook must allow it."""
    async with serving(redis_url, postgres_dsn, webhook("orders"), webhook("tested", methods=["POST", "HEAD"])) as app:
        async with app.request("HEAD", "tested") as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        async with app.request("HEAD", "orders") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert await app.events.unfinished(0, 10) == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_configured_handshake_is_echoed(redis_url: str, postgres_dsn: str, method: str) -> None:
    """Microsoft Graph sends `validationToken`. The answer is plain text and no event."""
    graph = webhook(
        "graph", handshake=HandshakeRule(query="validationToken"), auth={"type": "bearer", "secrets": ["x"]}
    )
    async with serving(redis_url, postgres_dsn, graph) as app:
        async with app.request(method, "graph?validationToken=a%20%3Cb%3E%2B") as answer:
            assert (answer.status, await answer.text()) == (200, "a <b>+")
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        async with app.request(method, f"graph?validationToken={'x' * 1025}") as answer:
            assert answer.status == 400
        async with app.request("POST", "graph?other=1", data=b"{}") as answer:
            assert answer.status == 401
        assert await app.events.unfinished(0, 10) == []


async def test_pages_of_configured_origins_may_send_requests(redis_url: str, postgres_dsn: str) -> None:
    """The preflight is answered, and the page can read the answers, also those to rejected requests."""
    shop = webhook("shop", cors=("https://shop.example",), rate_limit=RateLimit(max=1))
    ours, other = {"Origin": "https://shop.example"}, {"Origin": "https://evil.example"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type, x-a"}
    async with serving(redis_url, postgres_dsn, shop) as app:
        async with app.request("OPTIONS", "shop", headers=ours | asked) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
            assert answer.headers["Access-Control-Allow-Methods"] == "POST"
            assert answer.headers["Access-Control-Allow-Headers"] == "content-type, x-a"
        async with app.request("OPTIONS", "shop", headers=other | asked) as answer:
            assert (answer.status, "Access-Control-Allow-Origin" in answer.headers) == (405, False)
        for status in (200, 429):
            async with app.request("POST", "shop", data=b"{}", headers=ours) as answer:
                assert (answer.status, answer.headers.get("Access-Control-Allow-Origin")) == (status, ours["Origin"])
                assert answer.headers["Vary"] == "Origin"


def _limited(given: Any, most: int) -> Any:
    return webhook(given.id, auth=given.auth, rate_limit=RateLimit(max=most))
