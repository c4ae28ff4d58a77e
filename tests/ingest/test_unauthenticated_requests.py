"""Unauthenticated requests: how each kind of failed check is answered, counted and logged, and what it costs."""

import asyncio
import json
import time
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from prometheus_client import Counter

from filas.observability.metrics import AUTH_FAILURES, WEBHOOKS
from filas_local.servers import PostgresServer, RedisServer
from tests.captured_logs import captured_logs
from tests.ingest.serving import Serving, problem_of, raw, serving, webhook
from tests.ingest.test_fuzzed_requests import vendor_webhook
from tests.ingest.test_receive import META
from tests.ingest.verify.vendors import VENDORS, Vendor
from tests.waiting import eventually

Forgery = Callable[[Vendor, int], tuple[dict[str, str], bytes]]
"""Headers and body of a request that is not the vendor's, made at a time (seconds since 1970)."""


def _with(vendor: Vendor, now: int, name: str | None, value: str) -> tuple[dict[str, str], bytes]:
    return vendor.headers(now=now) | ({name: value} if name else {}), vendor.body


def _without(vendor: Vendor, now: int, name: str) -> tuple[dict[str, str], bytes]:
    return {key: value for key, value in vendor.headers(now=now).items() if key != name}, vendor.body


FORGERIES: dict[str, Forgery] = {
    "wrong secret": lambda vendor, now: (vendor.headers(now=now, secret=vendor.other), vendor.body),
    "missing signature": lambda vendor, now: _without(vendor, now, vendor.signed),
    "empty signature": lambda vendor, now: _with(vendor, now, vendor.signed, ""),
    "signature beyond ASCII": lambda vendor, now: _with(vendor, now, vendor.signed, "sha256=é"),
    "odd base64": lambda vendor, now: _with(vendor, now, vendor.signed, "v1,abc"),
    "half a digit": lambda vendor, now: _with(vendor, now, vendor.signed, f"t={now},v1=abc"),
}
OF_A_SIGNED_BODY: dict[str, Forgery] = {
    "changed body": lambda vendor, now: (vendor.headers(now=now), vendor.body + b" "),
    "another webhook's": lambda vendor, now: (vendor.headers(now=now, body=vendor.body + b" "), vendor.body),
}
OF_A_SIGNED_TIME: dict[str, Forgery] = {
    "stale": lambda vendor, now: (vendor.headers(now=now - 320), vendor.body),
    "future": lambda vendor, now: (vendor.headers(now=now + 320), vendor.body),
}
OF_A_TIME_HEADER: dict[str, Forgery] = {
    "missing time": lambda vendor, now: _without(vendor, now, vendor.timed or ""),
    "time that is no number": lambda vendor, now: _with(vendor, now, vendor.timed, "soon"),
    "time beyond ASCII": lambda vendor, now: _with(vendor, now, vendor.timed, "١٧٩"),
}


def forgeries(vendor: Vendor) -> dict[str, Forgery]:
    """Returns the forgeries that apply to the vendor."""
    found = dict(FORGERIES)
    if vendor.type != "telegram":  # sends only a token and no signature
        found |= OF_A_SIGNED_BODY
    if vendor.window:
        found |= OF_A_SIGNED_TIME
    if vendor.timed:
        found |= OF_A_TIME_HEADER
    return found


def counted(counter: Counter, label: str) -> float:
    """Returns the value of the counter with this label."""
    value: float = counter.labels(label)._value.get()
    return value


@pytest.mark.parametrize("name", sorted(VENDORS))
async def test_every_failed_check_is_a_401_that_is_counted_and_logged(
    redis_url: str, postgres_dsn: str, name: str
) -> None:
    """The log has the sender's address and the webhook, and no secret, signature or body. Nothing is stored.

    The same request with the correct proof is accepted, which shows that only the proof was wrong.
    """
    vendor, now = VENDORS[name], int(time.time())
    async with serving(redis_url, postgres_dsn, vendor_webhook(name, vendor)) as app:
        before = counted(AUTH_FAILURES, "webhook"), counted(WEBHOOKS, "signature")
        with captured_logs() as logged:
            for kind, forge in forgeries(vendor).items():
                headers, body = forge(vendor, now)
                async with app.request("POST", name, data=body, headers=headers) as answer:
                    assert answer.status == 401, kind
                    text = json.dumps(await problem_of(answer))
                assert vendor.secret not in text
        after = counted(AUTH_FAILURES, "webhook"), counted(WEBHOOKS, "signature")
        assert [after[0] - before[0], after[1] - before[1]] == [len(forgeries(vendor))] * 2
        failures = [entry for entry in logged if entry["event"] == "webhook.unauthenticated"]
        assert len(failures) == len(forgeries(vendor))
        for entry in failures:
            assert entry.keys() - {"logger_name"} == {"event", "log_level", "address", "webhook_id", "reason"}
            assert (entry["address"], entry["webhook_id"]) == ("127.0.0.1", name)
            assert entry["reason"].split("-")[1] in {"missing", "malformed", "wrong", "stale"}
        assert vendor.secret not in str(logged)
        assert (await app.events.unfinished(0, 10), await app.jobs()) == ([], [])
        headers = vendor.headers(now=now)
        async with app.request("POST", name, data=vendor.body, headers=headers) as answer:
            assert answer.status == 200


async def test_every_rejection_is_counted_by_its_outcome(redis_url: str, postgres_dsn: str) -> None:
    """The metric has one outcome per reason."""
    hooks = [
        webhook(),
        webhook("small", max_body_bytes=1),
        webhook("limited", auth={"type": "bearer", "secrets": ["t"]}),
        webhook("unreadable", auth={"type": "bearer", "secrets": ["env:SECRET_NOWHERE_TO_BE_FOUND"]}),
        META,
    ]
    json_of_1 = b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n"
    of_2 = b" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
    challenge = b"GET /webhooks/whatsapp?hub.mode=subscribe&hub.verify_token=x"
    cases = [
        ("unknown", b"POST /webhooks/nowhere" + of_2 + b"{}"),
        ("method", b"PUT /webhooks/orders" + of_2 + b"{}"),
        ("too-large", b"POST /webhooks/small" + of_2 + b"{}"),
        ("too-slow", b"POST /webhooks/orders" + of_2 + b"{"),
        ("broken", b"POST /webhooks/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx"),
        ("malformed", b"POST /webhooks/orders HTTP/1.1\r\n\r\n"),
        ("signature", b"POST /webhooks/limited" + of_2 + b"{}"),
        ("unusable", b"POST /webhooks/unreadable" + of_2 + b"{}"),
        ("challenge", challenge + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("not-json", b"POST /webhooks/orders" + json_of_1 + b"{"),
    ]
    async with (
        serving(redis_url, postgres_dsn, *hooks) as patient,
        serving(redis_url, postgres_dsn, *hooks, body_timeout_s=0.2) as strict,
    ):
        for reason, request in cases:
            app = strict if reason == "too-slow" else patient
            before = counted(WEBHOOKS, reason)
            assert b"application/problem+json" in await raw(app.port, request), reason
            assert counted(WEBHOOKS, reason) == before + 1, reason


async def test_failures_are_counted_across_replicas(redis_url: str, postgres_dsn: str) -> None:
    """An address that reached its limit at one replica is rejected by the next one, after one more failure there."""
    guarded = webhook("guarded", auth={"type": "bearer", "secrets": ["t"]})
    options: dict[str, Any] = {"trusted_proxies": [ip_network("127.0.0.0/8")], "failures_per_address": 4}

    async def status(app: Serving, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "203.0.113.77"}
        async with app.request("POST", "guarded", data=b"{}", headers=headers) as answer:
            found: int = answer.status
            return found

    async with (
        serving(redis_url, postgres_dsn, guarded, **options) as first,
        serving(redis_url, postgres_dsn, guarded, **options) as second,
    ):
        assert [await status(first, "wrong") for _ in range(3)] == [401, 401, 401]
        assert [await status(second, "wrong") for _ in range(2)] == [401, 429]
        assert [await status(first, "wrong") for _ in range(2)] == [401, 429]
        assert await status(second, "t") == 429


async def test_a_flood_of_wrong_signatures_needs_no_store(own_redis: RedisServer, own_postgres: PostgresServer) -> None:
    """The requests are rejected at once while both stores are unavailable, and the address is limited."""
    name, vendor = "github", VENDORS["github"]
    options: dict[str, Any] = {"trusted_proxies": [ip_network("127.0.0.0/8")], "failures_per_address": 20}
    async with serving(own_redis.url, own_postgres.dsn(), vendor_webhook(name, vendor), **options) as app:
        own_postgres.kill()
        own_redis.kill()

        async def noticed() -> bool:
            return app.database.problem is not None

        await eventually(noticed)

        async def status() -> int:
            headers = {vendor.signed: "sha256=" + "0" * 64, "X-Forwarded-For": "203.0.113.78"}
            async with app.request("POST", name, data=vendor.body, headers=headers) as answer:
                found: int = answer.status
                return found

        began = time.monotonic()
        statuses = [await status() for _ in range(60)]
        assert time.monotonic() - began < 20, "each would wait for a second"
        assert statuses == [401] * 20 + [429] * 40


async def test_64_copies_at_two_replicas_are_one_event(redis_url: str, postgres_dsn: str) -> None:
    """One of them is new, at either replica. The others are duplicates with its id."""
    name, vendor = "stripe", VENDORS["stripe"]
    headers = vendor.headers(now=int(time.time()))
    async with (
        serving(redis_url, postgres_dsn, vendor_webhook(name, vendor)) as first,
        serving(redis_url, postgres_dsn, vendor_webhook(name, vendor)) as second,
    ):
        replicas = [first, second] * 32
        answers = await asyncio.gather(*(replica.post(name, vendor.body, headers) for replica in replicas))
        assert {status for status, _ in answers} == {200}
        assert len({answer["eventId"] for _, answer in answers}) == 1
        assert [answer["duplicate"] for _, answer in answers].count(False) == 1
        assert (len(await first.events.unfinished(0, 10)), len(await first.jobs())) == (1, 1)


async def test_a_body_that_cannot_be_stored_fails_alone(redis_url: str, postgres_dsn: str) -> None:
    """A NUL is valid text, and half of a surrogate pair is read as U+FFFD. A body that is not JSON is refused.

    The other requests of the same batch are accepted.
    """
    bodies = [b'{"n":%d}' % number for number in range(20)]
    bodies[3], bodies[7], bodies[11] = b'{"t":"\\u0000"}', b'{"t":}', b'{"\\u0000":"a\\u0000b"}'
    bodies[13] = b'{"t":"\\ud800"}'
    async with serving(redis_url, postgres_dsn, webhook()) as app:
        answers = await asyncio.gather(*(app.post("orders", body) for body in bodies))
        statuses = [status for status, _ in answers]
        assert (statuses.pop(7), set(statuses)) == (415, {200})
        assert {event.body for event in await app.events.unfinished(0, 30)} == {*bodies[:7], *bodies[8:]}
        assert len(await app.jobs()) == 19
