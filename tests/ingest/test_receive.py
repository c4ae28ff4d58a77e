"""Requests through the public listener, against real stores: accepted, rejected, limited and duplicate ones."""

import asyncio
import base64
import json
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import pytest

from filas.models.configuration import ConversationRule, Dedupe, RateLimit, Webhook
from filas.repository.definitions.webhooks import WebhookRepository
from ingest.receive.webhook_cache import MISS_PAUSE_S, POLL_S
from tests.ingest.serving import BOX, DEDUPED, problem_of, raw, serving, webhook
from tests.ingest.test_meta_bodies import DELIVERED, text_message, whatsapp
from tests.ingest.verify.test_signatures import meta_signature
from tests.waiting import eventually

META = webhook("whatsapp", auth={"type": "meta", "secrets": [BOX.seal("app secret")], "verifyToken": "a token"})


def signed(document: Any) -> tuple[bytes, dict[str, str]]:
    """Returns a request with a body that is signed like Meta's."""
    body = json.dumps(document).encode()
    return body, meta_signature(body)


async def test_an_accepted_webhook_is_in_postgres_and_its_job_in_redis(redis_url: str, postgres_dsn: str) -> None:
    """Both before the answer 200, with matching ids. Neither contains a secret."""
    plain = webhook("plain", auth={"type": "bearer", "secrets": ["let-me-in"]})
    async with serving(redis_url, postgres_dsn, plain) as app:
        body = b'{"text" : "ol\\u00e1", "n": 1.50}'
        headers = {"Authorization": "Bearer let-me-in", "Cookie": "a=b", "X-Tag": "é"}
        async with app.request("POST", "plain?a=1&a=2&b=3", data=body, headers=headers) as answer:
            assert answer.status == 200
            receipt = await answer.json()
            assert answer.headers["RateLimit-Policy"] == '"webhook";q=100000;w=60'
            assert answer.headers["RateLimit"].startswith('"webhook";r=99999;t=')
        assert receipt == {
            "status": "received",
            "eventId": receipt["eventId"],
            "jobId": f"{{webhook-processing}}:{receipt['eventId']}",
            "duplicate": False,
        }
        event = await app.events.get(UUID(receipt["eventId"]))
        assert event is not None
        assert (event.body.encode(), event.status, event.method) == (body, "received", "POST")
        assert event.query_params == {"a": ["1", "2"], "b": "3"}
        assert event.headers["x-tag"] == "é"
        assert not {"authorization", "cookie"} & set(event.headers)
        (job,) = await app.jobs()
        assert (job["eventId"], job["webhookId"], job["flowId"], job["nodeId"]) == (
            receipt["eventId"],
            "plain",
            "welcome",
            "start",
        )
        assert (job["body"], job["config"], job["queryParams"]) == (
            {"text": "olá", "n": 1.5},
            {"k": "v"},
            {"a": ["1", "2"], "b": "3"},
        )
        assert job["headers"] == event.headers
        assert job["recorded"] is True


async def test_a_secret_in_the_query_is_nowhere(
    redis_url: str, postgres_dsn: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither in the event, in the job or its log, nor, if it is wrong, in the refused request."""
    keyed = webhook("keyed", auth={"type": "api-key", "in": "query", "name": "k", "secrets": ["s3cret-value"]})
    async with serving(redis_url, postgres_dsn, keyed) as app:
        async with app.request("POST", "keyed?k=s3cret-value&a=1", json={}) as answer:
            assert answer.status == 200
            receipt = await answer.json()
        async with app.request("POST", "keyed?k=s3cret-valuf&a=1", json={}) as answer:
            assert answer.status == 401
        event = await app.events.get(UUID(receipt["eventId"]))
        assert event is not None
        assert event.query_params == {"a": "1"}
        (job,) = await app.jobs()
        assert job["queryParams"] == {"a": "1"}
        assert "s3cret" not in json.dumps(job, default=str)
    assert "s3cret-val" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("content_type", "body", "kind", "document"),
    [
        ("application/x-www-form-urlencoded", b"From=%2B55&Body=oi", "form", {"From": "+55", "Body": "oi"}),
        ("text/plain", "olá".encode(), "text", "olá"),
        ("application/octet-stream", b"\x00\xff", "binary", base64.b64encode(b"\x00\xff").decode()),
    ],
)
async def test_bodies_of_every_kind_are_accepted(
    redis_url: str, postgres_dsn: str, content_type: str, body: bytes, kind: str, document: Any
) -> None:
    """The job has the parsed body for flows. Postgres has the bytes as they were received."""
    async with serving(redis_url, postgres_dsn, webhook()) as app:
        status, receipt = await app.post("orders", body, {"Content-Type": content_type})
        assert status == 200
        (job,) = await app.jobs()
        assert (job["bodyKind"], job["body"]) == (kind, document)
        (event,) = await app.events.unfinished(0, 10)
        assert (event.body, event.content_type, str(event.id)) == (body, content_type, receipt["eventId"])


async def test_rejected_requests_have_a_status_and_a_reason(redis_url: str, postgres_dsn: str) -> None:
    """Each kind of invalid input has its own status and reason, and no event is stored."""
    closed = webhook("closed", enabled=False)
    small = webhook("small", max_body_bytes=10)
    basic = webhook("basic", auth={"type": "basic", "secrets": ["u:p"]})
    unreadable = webhook("unreadable", auth={"type": "bearer", "secrets": ["env:SECRET_NOWHERE_TO_BE_FOUND"]})
    async with serving(redis_url, postgres_dsn, webhook(), closed, small, basic, unreadable, META) as app:

        async def refused(
            method: str, path: str, body: bytes = b"{}", headers: dict[str, str] | None = None
        ) -> tuple[int, Any]:
            async with app.request(method, path, data=body, headers=headers) as answer:
                await problem_of(answer)
                return answer.status, answer.headers

        assert (await refused("POST", "nowhere"))[0] == 404
        assert (await refused("POST", "closed"))[0] == 404
        status, headers = await refused("PUT", "orders")
        assert (status, headers["Allow"]) == (405, "POST")
        status, headers = await refused("POST", "basic")
        assert (status, headers["WWW-Authenticate"][:6]) == (401, "Basic ")
        assert (await refused("POST", "whatsapp"))[0] == 401
        assert (await refused("POST", "whatsapp", headers={"X-Hub-Signature-256": "sha256=zz"}))[0] == 401
        assert (await refused("POST", "small", b'"12345678901"'))[0] == 413
        assert (await refused("POST", "orders", b"{broken"))[0] == 415
        broken = b"{broken"
        assert (await refused("POST", "whatsapp", broken, meta_signature(broken)))[0] == 415
        assert (await refused("POST", "orders", b"{}", {"Content-Encoding": "compress"}))[0] == 415
        status, headers = await refused("POST", "unreadable", headers={"Authorization": "Bearer x"})
        assert (status, headers["Retry-After"]) == (503, "5")
        async with app.session.get(f"http://127.0.0.1:{app.port}/api/queue/stats") as answer:
            assert answer.status == 404
        assert await app.events.unfinished(0, 10) == []
        assert await app.jobs() == []


async def test_a_body_without_a_length_is_rejected_at_the_limit(redis_url: str, postgres_dsn: str) -> None:
    """As soon as the limit is exceeded."""
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while sent < 50_000_000:
            sent += 10_000
            yield b"x" * 10_000

    async with serving(redis_url, postgres_dsn, webhook(max_body_bytes=100_000)) as app:
        try:
            async with app.request("POST", "orders", data=endless()) as answer:
                assert answer.status == 413
        except OSError:
            pass  # the connection may end before the answer is read
        assert sent < 50_000_000


async def test_slow_and_malformed_bodies_are_rejected(redis_url: str, postgres_dsn: str) -> None:
    """A sender that stops in the middle of a body is answered with 408; an invalid transfer encoding with 400."""
    async with serving(redis_url, postgres_dsn, webhook(), body_timeout_s=0.2) as app:
        head = b"POST /webhooks/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        answer = await raw(app.port, head + b"Content-Length: 100\r\n\r\n{")
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"Connection: close" in answer
        answer = await raw(app.port, head + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n")
        assert answer.split(b" ")[1] == b"400"


async def test_metas_challenge_is_answered_although_get_is_not_an_allowed_method(
    redis_url: str, postgres_dsn: str
) -> None:
    """The correct token gets the challenge as plain text, a wrong one 403. Any other GET is answered with 405."""
    async with serving(redis_url, postgres_dsn, META) as app:
        query = {"hub.mode": "subscribe", "hub.challenge": "115<b>", "hub.verify_token": "a token"}
        async with app.request("GET", "whatsapp", params=query) as answer:
            assert (answer.status, answer.content_type, await answer.text()) == (200, "text/plain", "115<b>")
        async with app.request("GET", "whatsapp", params={**query, "hub.verify_token": "x"}) as answer:
            assert answer.status == 403
        async with app.request("GET", "whatsapp") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_64_copies_at_once_are_one_event(redis_url: str, postgres_dsn: str) -> None:
    """One of them is new, the others are duplicates with its id. There is one row and one job."""
    async with serving(redis_url, postgres_dsn, META) as app:
        body, headers = signed(whatsapp(text_message("5511", "oi", "wamid.1")))
        answers = await asyncio.gather(*(app.post("whatsapp", body, headers) for _ in range(64)))
        assert {status for status, _ in answers} == {200}
        assert len({answer["eventId"] for _, answer in answers}) == 1
        assert [answer["duplicate"] for _, answer in answers].count(False) == 1
        assert len(await app.events.unfinished(0, 10)) == 1
        assert len(await app.jobs()) == 1


async def test_duplicates_are_recognised_after_their_job_was_removed(redis_url: str, postgres_dsn: str) -> None:
    """By Postgres, while the event is kept. Without a key, no event is a duplicate."""
    async with serving(redis_url, postgres_dsn, DEDUPED, webhook("free")) as app:
        _, first = await app.post("deduped", {"id": "a", "n": 1})
        await app.redis.command("FLUSHDB")
        _, again = await app.post("deduped", {"id": "a", "n": 2})
        assert (again["duplicate"], again["eventId"]) == (True, first["eventId"])
        _, other = await app.post("deduped", {"id": "b"})
        assert (other["duplicate"], other["eventId"] != first["eventId"]) == (False, True)
        for _ in range(2):
            assert (await app.post("deduped", {"n": 1}))[1]["duplicate"] is False
            assert (await app.post("free", {"id": "a"}))[1]["duplicate"] is False


async def test_only_the_new_parts_of_a_batch_are_accepted(redis_url: str, postgres_dsn: str) -> None:
    """Each message is an event with its own key, conversation and body. If all parts are known, the answer is a
    duplicate.
    """
    one, two, three = (
        text_message("5511", "a", "w1"),
        text_message("5522", "b", "w2"),
        text_message("5511", "c", "w3"),
    )
    async with serving(redis_url, postgres_dsn, META) as app:
        _, first = await app.post("whatsapp", *signed(whatsapp(one)))
        _, batch = await app.post("whatsapp", *signed(whatsapp(one, two, three, statuses=[DELIVERED])))
        assert (first["duplicate"], batch["duplicate"]) == (False, False)
        assert batch["eventId"] != first["eventId"]
        _, again = await app.post("whatsapp", *signed(whatsapp(three, two)))
        assert again["duplicate"] is True
        events = {event.duplicate_key: event for event in await app.events.unfinished(0, 10)}
        assert {key: event.group_key for key, event in events.items()} == {
            "w1": "whatsapp:5511",
            "w2": "whatsapp:5522",
            "w3": "whatsapp:5511",
            "wamid.OUT:delivered": None,
        }
        assert json.loads(events["w2"].body) == whatsapp(two)


async def test_the_rate_limit_counts_for_each_webhook(redis_url: str, postgres_dsn: str) -> None:
    """429 with Retry-After beyond the limit. Each answer has the remaining number. A request with a wrong signature
    does not count.
    """
    limited = webhook("limited", rate_limit=RateLimit(max=3), auth={"type": "bearer", "secrets": ["t"]})
    async with serving(redis_url, postgres_dsn, limited, webhook()) as app:
        for _ in range(5):
            assert (await app.post("limited", {}))[0] == 401
        left = []
        for _ in range(3):
            async with app.request("POST", "limited", data=b"{}", headers={"Authorization": "Bearer t"}) as answer:
                assert answer.status == 200
                left.append(answer.headers["RateLimit"].split(";")[1])
        assert left == ["r=2", "r=1", "r=0"]
        async with app.request("POST", "limited", data=b"{}", headers={"Authorization": "Bearer t"}) as answer:
            assert answer.status == 429
            assert 55 <= int(answer.headers["Retry-After"]) <= 63
            assert answer.headers["RateLimit"].startswith('"webhook";r=0;t=')
        assert (await app.post("orders", {}))[0] == 200


async def test_requests_and_failures_are_limited_by_address(redis_url: str, postgres_dsn: str) -> None:
    """Too many requests or failures from one address are answered with 429. Other addresses are not affected."""
    guarded = webhook("guarded", auth={"type": "bearer", "secrets": ["t"]})
    options: dict[str, Any] = {"trusted_proxies": [ip_network("127.0.0.0/8")], "failures_per_address": 3}
    async with serving(redis_url, postgres_dsn, guarded, **options) as app:

        async def status(address: str | None, token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            if address is not None:
                headers["X-Forwarded-For"] = address
            async with app.request("POST", "guarded", data=b"{}", headers=headers) as answer:
                if answer.status == 429:
                    assert int(answer.headers["Retry-After"]) > 0
                found: int = answer.status
                return found

        assert [await status("203.0.113.9", "wrong") for _ in range(4)] == [401, 401, 401, 429]
        assert await status("203.0.113.9", "t") == 429
        assert await status("203.0.113.10", "t") == 200
        assert [await status(None, "wrong") for _ in range(6)] == [401] * 6  # loopback is not counted
    async with serving(redis_url, postgres_dsn, guarded, **options, requests_per_address=2) as app:
        assert [await status("203.0.113.50", "t") for _ in range(3)] == [200, 200, 429]
        assert [await status(None, "t") for _ in range(3)] == [200, 200, 200]


async def test_a_webhook_stored_by_another_process_is_served_at_once(redis_url: str, postgres_dsn: str) -> None:
    """The first request for it causes a read of the changes."""
    async with serving(redis_url, postgres_dsn) as app:
        for number in range(20):
            await WebhookRepository(app.database).store(webhook(f"new-{number}"))
            assert (await app.post(f"new-{number}", {}))[0] == 200


async def test_requests_for_unknown_paths_cause_few_reads(redis_url: str, postgres_dsn: str) -> None:
    """Two hundred requests share reads: at most one every 50 ms."""
    async with serving(redis_url, postgres_dsn) as app:
        loop, reads = asyncio.get_running_loop(), 0
        cache, source = app.public.webhook_cache, app.public.webhook_cache._source

        class Counting:
            async def changed_since(self, revision: int) -> tuple[list[Webhook], list[str], int]:
                nonlocal reads
                reads += 1
                return await source.changed_since(revision)

        cache._source = Counting()
        began = loop.time()
        statuses = await asyncio.gather(*(app.post(f"unknown-{number}", {}) for number in range(200)))
        assert {status for status, _ in statuses} == {404}
        assert reads <= 2 + (loop.time() - began) / MISS_PAUSE_S


async def test_a_change_takes_effect_within_a_second(redis_url: str, postgres_dsn: str) -> None:
    """Also at another replica's listener: new, moved, disabled and deleted webhooks."""
    assert POLL_S <= 0.5
    async with serving(redis_url, postgres_dsn, webhook("a")) as app:
        elsewhere = WebhookRepository(app.database)

        async def answers(path: str, status: int) -> None:
            async def reached() -> bool:
                return (await app.post(path, {}))[0] == status

            await eventually(reached, message=f"{path} did not answer {status}")

        await elsewhere.store(webhook("b"))
        await answers("b", 200)
        await elsewhere.store(webhook("b", path="c"))
        await answers("c", 200)
        assert (await app.post("b", {}))[0] == 404
        await elsewhere.store(webhook("a", enabled=False))
        await answers("a", 404)
        await elsewhere.delete("b")
        await answers("c", 404)
        await elsewhere.store(webhook("d", path="c"))
        await answers("c", 200)


@pytest.mark.parametrize(
    ("rule", "body", "group"),
    [
        (None, {"from": "1"}, None),
        (ConversationRule(channel="shop", contact="{{ body.from }}"), {"from": "1"}, "shop:1"),
        (ConversationRule(channel="shop", contact="{{ body.from }}"), {}, None),
        (ConversationRule(channel="shop", contact="{{ body.from | upcase }}"), {"from": "1"}, "webhook:orders"),
    ],
)
async def test_the_group_of_a_job_is_its_conversation(
    redis_url: str, postgres_dsn: str, rule: ConversationRule | None, body: Any, group: str | None
) -> None:
    """It is known at acceptance for a plain path. For a template, the whole webhook is one group."""
    async with serving(redis_url, postgres_dsn, webhook(conversation=rule)) as app:
        assert (await app.post("orders", body))[0] == 200
        (event,) = await app.events.unfinished(0, 10)
        assert event.group_key == group


@pytest.mark.parametrize("dedupe", [Dedupe(header="X-Id"), Dedupe(path="id"), Dedupe(body=True)])
async def test_keys_that_no_column_can_hold_identify_duplicates(
    redis_url: str, postgres_dsn: str, dedupe: Dedupe
) -> None:
    """Very long keys, and keys with a NUL."""
    async with serving(redis_url, postgres_dsn, webhook(dedupe=dedupe)) as app:
        for key in ("x" * 5000, "a\0b" if dedupe.header is None else "ÿ"):
            headers = {} if dedupe.header is None else {"X-Id": key}
            answers = [await app.post("orders", {"id": key}, headers) for _ in range(2)]
            assert [(status, answer["duplicate"]) for status, answer in answers] == [(200, False), (200, True)]
