"""Duplicates that are no plain repetition: a captured request under another id, and a known id with another content."""

import asyncio
import functools
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

import pytest

from filas.models.configuration import Dedupe, Webhook
from filas.models.events import EventReceipt
from filas.observability.metrics import WEBHOOK_DUPLICATES
from filas_local.servers import PostgresServer
from ingest.receive.duplicate_reports import LOG_EVERY_S, DuplicateReports
from tests.captured_logs import captured_logs
from tests.ingest.serving import BOX, Serving, serving, webhook
from tests.ingest.test_fuzzed_requests import vendor_webhook
from tests.ingest.test_meta_bodies import text_message, whatsapp
from tests.ingest.test_unauthenticated_requests import counted
from tests.ingest.verify.test_signatures import meta_signature
from tests.ingest.verify.vendors import SMS, VENDORS
from tests.shared.repository.builders import event
from tests.waiting import PATIENCE_S, eventually

Captured = tuple[dict[str, str], bytes]
HMAC = {**VENDORS["hmac"].auth(BOX.seal(VENDORS["hmac"].secret))}
BY_HEADER = Dedupe(header="X-Request-Id")

WEBHOOKS: dict[str, Webhook] = {
    **{name: vendor_webhook(name, VENDORS[name]) for name in ("github", "shopify", "twilio", "slack")},
    "hmac": webhook("hmac", auth=HMAC, dedupe=BY_HEADER),
    "stripe": webhook("stripe", auth=vendor_webhook("stripe", VENDORS["stripe"]).auth, dedupe=BY_HEADER),
    "sms": webhook("sms", auth=vendor_webhook("twilio", VENDORS["twilio"]).auth, dedupe=Dedupe(path="MessageSid")),
}
"""Senders that sign the body and no id."""
VENDOR_OF = {"sms": "twilio"}


def captured(name: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Captured:
    """Returns a request with a valid signature."""
    vendor = VENDORS[VENDOR_OF.get(name, name)]
    body = vendor.body if body is None else body
    return vendor.headers(now=int(time.time()), body=body) | (headers or {}), body


def under(name: str, value: str) -> Callable[[Captured], Captured]:
    return lambda request: (request[0] | {name: value}, request[1])


def without(name: str) -> Callable[[Captured], Captured]:
    return lambda request: ({key: value for key, value in request[0].items() if key != name}, request[1])


def reordered(request: Captured) -> Captured:
    """A form whose fields are in another order, coded in another way: Twilio's signature does not cover that."""
    pairs = parse_qsl(request[1].decode(), keep_blank_values=True)
    return request[0], urlencode(pairs[::-1]).replace("o", "%6F").encode()


def shifted(request: Captured) -> Captured:
    """A form in which the end of a name is the start of its value: the signed text is the same."""
    return request[0], request[1].replace(b"MessageSid=SM1", b"Message=SidSM1")


def both(*changes: Callable[[Captured], Captured]) -> Callable[[Captured], Captured]:
    return lambda request: functools.reduce(lambda changed, change: change(changed), changes, request)


DELIVERY, SHOPIFY_ID, TOKEN, OWN_ID = (
    "X-GitHub-Delivery",
    "X-Shopify-Webhook-Id",
    "I-Twilio-Idempotency-Token",
    "X-Request-Id",
)
REPLAYS: dict[str, dict[str, Callable[[Captured], Captured]]] = {
    "github": {
        "another id": under(DELIVERY, "d-2"),
        "no id": without(DELIVERY),
        "another event type": both(under(DELIVERY, "d-3"), under("X-GitHub-Event", "x")),
        "another content type": both(under(DELIVERY, "d-4"), under("Content-Type", "text/plain")),
    },
    "shopify": {
        "another id": under(SHOPIFY_ID, "other"),
        "no id": without(SHOPIFY_ID),
        "an unknown topic": both(under(SHOPIFY_ID, "z"), under("X-Shopify-Topic", "x/y")),
    },
    "twilio": {
        "another token": under(TOKEN, "token-2"),
        "no token": without(TOKEN),
        "another form": both(under(TOKEN, "token-3"), reordered),
        "another field": both(under(TOKEN, "token-4"), shifted),
    },
    "sms": {"another field": shifted},
    "slack": {"another content type": under("Content-Type", "application/x-www-form-urlencoded")},
    "hmac": {"another id": under(OWN_ID, "r-2"), "no id": without(OWN_ID)},
    "stripe": {"another id": under(OWN_ID, "r-2"), "no id": without(OWN_ID)},
}


async def send(app: Serving, path: str, request: Captured) -> dict[str, Any]:
    """Returns the answer to a request that is accepted."""
    headers, body = request
    async with app.request("POST", path, data=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        if answer.headers["Content-Type"] == "application/json":
            return dict(await answer.json())
        # Twilio gets its instructions. The headers have the rest.
        duplicate = answer.headers["Filas-Duplicate"] == "true"
        return {"eventId": answer.headers["Filas-Event-Id"], "duplicate": duplicate}


async def test_a_captured_request_is_no_new_event(redis_url: str, postgres_dsn: str) -> None:
    """Whatever is changed in it that is not signed. The answer has the id of the first event."""
    before = counted(WEBHOOK_DUPLICATES, "replayed")
    async with serving(redis_url, postgres_dsn, *WEBHOOKS.values()) as app:
        for name, changes in REPLAYS.items():
            request = captured(name, None, {OWN_ID: "r-1", TOKEN: "token-1"})
            if name == "sms":
                request = without(TOKEN)(request)
            first = await send(app, name, request)
            with captured_logs() as logged:
                for kind, change in changes.items():
                    assert await send(app, name, change(request)) == {**first, "duplicate": True}, (name, kind)
            [entry] = [entry for entry in logged if entry["event"] == "webhook.replayed"]
            assert (entry["webhook_id"], entry["event_id"]) == (name, first["eventId"])
            assert await send(app, name, request) == {**first, "duplicate": True}, name
        assert counted(WEBHOOK_DUPLICATES, "replayed") == before + sum(map(len, REPLAYS.values()))
        assert len(await app.events.unfinished(0, 20)) == len(REPLAYS)


async def test_another_body_under_another_id_is_a_new_event(redis_url: str, postgres_dsn: str) -> None:
    """Also if all requests of one sender arrive in one batch."""
    async with serving(redis_url, postgres_dsn, *WEBHOOKS.values()) as app:
        for name in ("github", "shopify", "twilio", "hmac", "slack"):
            bodies = [json.dumps({"n": number}).encode() for number in range(3)]
            if name == "twilio":
                bodies = [urlencode({**SMS, "MessageSid": f"SM{number}"}).encode() for number in range(3)]
            ids = (DELIVERY, SHOPIFY_ID, OWN_ID, TOKEN)
            requests = [captured(name, body, dict.fromkeys(ids, str(uuid4()))) for body in bodies]
            answers = await asyncio.gather(*(send(app, name, request) for request in requests))
            assert [answer["duplicate"] for answer in answers] == [False, False, False], name
            assert len({answer["eventId"] for answer in answers}) == 3, name


async def test_one_body_of_shopify_under_two_topics_is_two_events(redis_url: str, postgres_dsn: str) -> None:
    """Shopify sends the same order as `orders/create` and as `orders/paid`. Each topic is accepted once."""
    async with serving(redis_url, postgres_dsn, WEBHOOKS["shopify"]) as app:
        answers = [
            await send(app, "shopify", captured("shopify", None, {SHOPIFY_ID: name, "X-Shopify-Topic": topic}))
            for name, topic in [("1", "orders/create"), ("2", "orders/paid"), ("3", "orders/paid"), ("4", "x/create")]
        ]
        assert [answer["duplicate"] for answer in answers] == [False, False, True, True]


async def test_a_signed_body_without_an_id_is_accepted_once(redis_url: str, postgres_dsn: str) -> None:
    """Meta repeats a change that is no message, a template's status for example, with the same body."""
    change = {"field": "message_template_status_update", "value": {"event": "APPROVED"}}
    request = _signed_by_meta({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]})
    async with serving(redis_url, postgres_dsn, vendor_webhook("meta", VENDORS["meta"])) as app:
        answers = [await send(app, "meta", request) for _ in range(2)]
        assert [answer["duplicate"] for answer in answers] == [False, True]


async def test_without_dedupe_equal_requests_are_events(redis_url: str, postgres_dsn: str) -> None:
    """A webhook without a duplicate key accepts each request, and so does one whose rule finds no key in the body."""
    hooks = [webhook("plain", auth=HMAC), webhook("keyless", auth=HMAC, dedupe=Dedupe(path="id"))]
    token = webhook("token", auth={"type": "bearer", "secrets": ["t"]}, dedupe=BY_HEADER)
    async with serving(redis_url, postgres_dsn, *hooks, token) as app:
        for path in ("plain", "keyless"):
            answers = [await send(app, path, captured("hmac")) for _ in range(2)]
            assert [answer["duplicate"] for answer in answers] == [False, False]
        # The sender of a token signs nothing: who has captured the token can send any body.
        for number in range(2):
            headers = {"Authorization": "Bearer t", "X-Request-Id": str(number)}
            assert (await send(app, "token", (headers, b"{}")))["duplicate"] is False


def _signed_by_meta(document: Any) -> Captured:
    body = json.dumps(document).encode()
    return meta_signature(body), body


def _meta(text: str, **more: Any) -> Captured:
    return _signed_by_meta({**whatsapp(text_message("5511", text, "wamid.1")), **more})


OF_VENDORS = [vendor_webhook(name, VENDORS[name]) for name in ("meta", "telegram", "standard-webhooks")]
OWN_ID_OF_STRIPE = webhook("stripe", auth=WEBHOOKS["stripe"].auth)
BY_FIELD = webhook("path", dedupe=Dedupe(path="id"))
PLAIN = webhook("header", dedupe=BY_HEADER)
CONFLICTS: dict[str, Callable[[], tuple[Captured, Captured]]] = {
    "github": lambda: (captured("github"), captured("github", b'{"ref":"other"}')),
    "shopify": lambda: (captured("shopify"), captured("shopify", b'{"id":2}')),
    "slack": lambda: (captured("slack"), captured("slack", b'{"event_id":"Ev1","x":2}')),
    "telegram": lambda: (captured("telegram"), captured("telegram", b'{"update_id":1,"x":2}')),
    "stripe": lambda: (captured("stripe"), captured("stripe", b'{"id":"evt_1","x":2}')),
    "standard-webhooks": lambda: (captured("standard-webhooks"), captured("standard-webhooks", b'{"a":2}')),
    "meta": lambda: (_meta("yes"), _meta("no")),
    "header": lambda: (({OWN_ID: "1"}, b"{}"), ({OWN_ID: "1"}, b'{"a":1}')),
    "path": lambda: (({}, b'{"id":1}'), ({}, b'{"id":1,"a":1}')),
}


async def test_a_known_key_with_another_content_is_reported(redis_url: str, postgres_dsn: str) -> None:
    """In the answer, in the metric and in the log, which has ids only. It starts nothing."""
    hooks = {**WEBHOOKS, **{hook.id: hook for hook in (*OF_VENDORS, OWN_ID_OF_STRIPE, BY_FIELD, PLAIN)}}
    async with serving(redis_url, postgres_dsn, *hooks.values()) as app:
        for name, requests in CONFLICTS.items():
            first, second = requests()
            before = counted(WEBHOOK_DUPLICATES, "conflict"), counted(WEBHOOK_DUPLICATES, "repeated")
            accepted = await send(app, name, first)
            assert await send(app, name, first) == {**accepted, "duplicate": True}, name
            with captured_logs() as logged:
                for _ in range(3):
                    answer = await send(app, name, second)
                    assert answer == {**accepted, "duplicate": True, "conflict": True}, name
            [entry] = [entry for entry in logged if entry["event"] == "webhook.key_conflict"]
            assert (entry["webhook_id"], entry["event_id"], entry["conflicts"]) == (name, accepted["eventId"], 1)
            assert len(entry) <= 6, entry
            after = counted(WEBHOOK_DUPLICATES, "conflict"), counted(WEBHOOK_DUPLICATES, "repeated")
            assert [after[0] - before[0], after[1] - before[1]] == [3, 1], name
        assert len(await app.events.unfinished(0, 20)) == len(CONFLICTS)


def _multipart(boundary: str) -> Captured:
    body = f'--{boundary}\r\nContent-Disposition: form-data; name="id"\r\n\r\n7\r\n--{boundary}--\r\n'
    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body.encode()


async def test_what_changes_between_attempts_is_no_conflict(redis_url: str, postgres_dsn: str) -> None:
    """The envelope of Meta, the number of pending webhooks of Stripe, the boundary of a form."""
    async with serving(redis_url, postgres_dsn, OF_VENDORS[0], OWN_ID_OF_STRIPE, BY_FIELD) as app:
        for name, first, second in (
            ("meta", _meta("yes"), _meta("yes", more=1)),
            (
                "stripe",
                captured("stripe", b'{"id":"evt_1","pending_webhooks":2}'),
                captured("stripe", b'{"id":"evt_1","pending_webhooks":1}'),
            ),
            ("path", _multipart("one"), _multipart("two")),
        ):
            accepted = await send(app, name, first)
            assert await send(app, name, second) == {**accepted, "duplicate": True}, name


@pytest.mark.timeout(90)
async def test_a_replay_without_postgres_has_its_effect_once(redis_url: str, own_postgres: PostgresServer) -> None:
    """The flag `duplicate` is best effort then. When Postgres is back, one of the two events has a row."""
    async with serving(redis_url, own_postgres.dsn(), WEBHOOKS["github"]) as app:
        own_postgres.kill()
        await eventually(lambda: app.database.problem)
        first = await send(app, "github", captured("github"))
        replay = await send(app, "github", under("X-GitHub-Delivery", "d-2")(captured("github")))
        assert first["eventId"] != replay["eventId"]
        jobs = await app.jobs()
        assert [job["recorded"] for job in jobs] == [False, False]
        assert jobs[0]["contentKey"] == jobs[1]["contentKey"]
        assert jobs[0]["contentDigest"] == jobs[1]["contentDigest"]
        own_postgres.start()
        await app.database.wait_ready(PATIENCE_S)

        async def written() -> bool:
            return len(await app.events.unfinished(0, 10)) > 0

        await eventually(written)
        assert [str(one.id) for one in await app.events.unfinished(0, 10)] == [first["eventId"]]
        again = await send(app, "github", captured("github"))
        assert again == {**first, "duplicate": True}


def test_a_conflict_is_logged_once_per_webhook_and_minute() -> None:
    """With the number since the last log event."""
    now = 0.0
    reports = DuplicateReports(lambda: now)

    def logged(count: int, webhook_id: str) -> list[int]:
        with captured_logs() as entries:
            for _ in range(count):
                stored = event(webhook_id=webhook_id)
                reports.report(stored, EventReceipt(id=stored.id, duplicate=True, conflict=True))
        return [entry["conflicts"] for entry in entries]

    assert (logged(5, "a"), logged(2, "b")) == ([1], [1])
    now += LOG_EVERY_S
    assert (logged(3, "a"), logged(1, "b")) == ([5], [2])
