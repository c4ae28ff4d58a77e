"""The main job through real processes: a webhook becomes a finished flow and a delivered message."""

import base64
import hashlib
import hmac
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.pipeline import Pipeline, Receiver, receiver, until_all_final
from tests.long_form import by_form
from tests.waiting import eventually

APP_SECRET = "meta-app-secret"
CHANNEL_KEY = b"a channel secret of thirty-two b"
CHANNEL_SECRET = "whsec_" + base64.b64encode(CHANNEL_KEY).decode()


def whatsapp_message(contact: str, text: str, message_id: str) -> bytes:
    """A text message as Meta documents it for the WhatsApp Cloud API."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
        "contacts": [{"profile": {"name": "Maria Silva"}, "wa_id": contact}],
        "messages": [
            {"from": contact, "id": message_id, "timestamp": "1749416383", "type": "text", "text": {"body": text}}
        ],
    }
    entry = {"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def signed(body: bytes, secret: str = APP_SECRET) -> dict[str, str]:
    """The header with which Meta signs `body`."""
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def welcome_flow(crm: str, delay_ms: int) -> dict[str, Any]:
    """Trigger, condition, a call to a CRM, a wait, an answer by name; and an answer for all other contacts."""
    return {
        "schemaVersion": 1,
        "name": "Boas-vindas",
        "variables": [{"name": "nome", "type": "string", "default": "", "scope": "execution", "secret": False}],
        "nodes": [
            {"id": "start", "type": "webhook", "position": {"x": 0, "y": 0}, "data": {"mode": "trigger"}},
            {
                "id": "is-hi",
                "type": "condition",
                "data": {"rules": [{"variable": "{{ conversation.text }}", "operator": "contains", "value": "oi"}]},
            },
            {
                "id": "crm",
                "type": "api",
                "data": {
                    "method": "POST",
                    "url": f"{crm}/contacts",
                    "body": {"phone": "{{ conversation.contact }}"},
                    "responseMapping": [{"variable": "nome", "path": "body.name"}],
                    "retry": {"maxAttempts": 3, "delayMs": 200},
                },
            },
            {"id": "pause", "type": "delay", "data": {"ms": delay_ms}},
            {"id": "hello", "type": "message", "data": {"text": "Olá {{ vars.nome }}!"}},
            {"id": "sorry", "type": "message", "data": {"text": "Não entendi."}},
        ],
        "edges": [
            {"id": "e1", "source": "start", "target": "is-hi"},
            {"id": "e2", "source": "is-hi", "sourceHandle": "true", "target": "crm"},
            {"id": "e3", "source": "is-hi", "sourceHandle": "false", "target": "sorry"},
            {"id": "e4", "source": "crm", "sourceHandle": "out", "target": "pause"},
            {"id": "e5", "source": "pause", "target": "hello"},
        ],
    }


async def set_up(pipeline: Pipeline, outside: Receiver, *, delay_ms: int = 100) -> None:
    """A channel to the receiver, the flow, and a webhook that Meta's signature protects."""
    channel = {"type": "http", "url": f"{outside.url}/messages", "secret": CHANNEL_SECRET}
    await pipeline.api("PUT", "/api/channels/receiver", channel)
    await pipeline.api("PUT", "/api/flows/welcome", welcome_flow(outside.url, delay_ms))
    webhook = {
        "flowId": "welcome",
        "nodeId": "start",
        "methods": ["POST"],
        "auth": {"type": "meta", "secrets": [APP_SECRET], "verifyToken": "a-verify-token"},
        "conversation": {"channel": "receiver"},
        "rateLimit": {"max": 10_000, "windowMs": 60_000},
    }
    await pipeline.api("PUT", "/api/webhooks/whatsapp", webhook)


def assert_standard_webhooks_signature(headers: dict[str, str], body: bytes) -> None:
    """The request carries a signature by the channel's secret over id, time and body (Standard Webhooks)."""
    signed_content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(CHANNEL_KEY, signed_content, hashlib.sha256).digest()).decode()
    assert f"v1,{expected}" in headers["webhook-signature"].split(" ")


async def test_a_signed_whatsapp_message_runs_a_flow_and_is_answered(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Meta's text message becomes a finished execution with every step, and a signed reply outside."""
    async with receiver() as outside, Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        await set_up(pipeline, outside)
        body = whatsapp_message("5511999990000", "oi, tudo bem?", "wamid.ONE")

        status, answer = await pipeline.webhook("whatsapp", body, signed(body))
        assert (status, answer["status"], answer["duplicate"]) == (200, "received", False)

        await eventually(lambda: outside.at("/messages"))
        ((headers, reply),) = outside.at("/messages")
        assert_standard_webhooks_signature(headers, reply)
        message = json.loads(reply)
        assert message["to"] == "5511999990000"
        assert message["type"] == "text"
        assert message["text"] == "Olá Maria!"

        (execution,) = await until_all_final(pipeline, 1)
        assert execution["status"] == "succeeded"
        assert execution["eventId"] == answer["eventId"]
        whole = await pipeline.api("GET", f"/api/executions/{execution['id']}")
        assert [(step["seq"], step["nodeId"], step["handle"]) for step in whole["steps"]] == [
            (1, "start", "out"),
            (2, "is-hi", "true"),
            (3, "crm", "out"),
            (4, "pause", "out"),
            (5, "hello", "out"),
        ]
        assert message["executionId"] == execution["id"]

        status, again = await pipeline.webhook("whatsapp", body, signed(body))
        assert (status, again["duplicate"], again["eventId"]) == (200, True, answer["eventId"])

        async def delivered() -> bool:
            rows = await pipeline.api("GET", "/api/notifications")
            return [row["status"] for row in rows] == ["delivered"]

        await eventually(delivered)
        await assert_stats(pipeline)


async def assert_stats(pipeline: Pipeline) -> None:
    """`GET /api/queue/stats` has the documented shape, and counts what has happened."""

    async def settled() -> dict[str, Any] | None:
        stats: dict[str, Any] = await pipeline.api("GET", "/api/queue/stats")
        return stats if stats["summary"]["totalActive"] == 0 else None

    stats = await eventually(settled)
    assert set(stats) == {"queues", "summary", "timestamp"}
    assert set(stats["queues"]) == {"webhook", "flow", "notification"}
    for queue in stats["queues"].values():
        assert {"waiting", "active", "completed", "failed", "delayed", "activeJobs"} <= set(queue)
    assert set(stats["summary"]) == {"totalWaiting", "totalActive", "totalCompleted", "totalFailed", "totalDelayed"}
    assert stats["queues"]["webhook"]["completed"] == 1
    assert stats["queues"]["notification"]["completed"] == 1
    assert stats["summary"]["totalFailed"] == 0


async def test_what_the_public_listener_refuses(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """Each kind of bad input gets its own answer, and nothing of it becomes an event."""
    async with receiver() as outside, Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        await set_up(pipeline, outside)
        body = whatsapp_message("5511999990000", "oi", "wamid.TWO")
        assert (await pipeline.webhook("nowhere", body))[0] == 404
        assert (await pipeline.webhook("whatsapp", body))[0] == 401
        assert (await pipeline.webhook("whatsapp", body, signed(body, "another secret")))[0] == 401
        assert (await pipeline.webhook("whatsapp", b"{broken", signed(b"{broken")))[0] == 415
        large = b'"' + b"x" * (1 << 20) + b'"'
        assert (await pipeline.webhook("whatsapp", large, signed(large)))[0] == 413
        base = f"http://127.0.0.1:{pipeline.port}"
        async with pipeline.session.delete(f"{base}/webhooks/whatsapp") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        challenge = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": "a-verify-token"}
        async with pipeline.session.get(f"{base}/webhooks/whatsapp", params=challenge) as answer:
            assert (answer.status, await answer.text()) == (200, "1158201444")
        challenge["hub.verify_token"] = "a guess"
        async with pipeline.session.get(f"{base}/webhooks/whatsapp", params=challenge) as answer:
            assert answer.status == 403
        async with pipeline.session.get(f"{base}/api/queue/stats") as answer:
            assert answer.status == 404  # the API isn't on the public listener
        async with pipeline.session.get(
            f"http://127.0.0.1:{pipeline.admin_ports['ingest-admin']}/api/events"
        ) as answer:
            assert answer.status == 401
        # No private listener answers a page of another site, whose name resolves to this address (DNS rebinding).
        for port in pipeline.admin_ports.values():
            for path in ("/livez", "/metrics", "/api/events"):
                url = f"http://127.0.0.1:{port}{path}"
                async with pipeline.session.get(url, headers={"Host": f"rebound.example:{port}"}) as answer:
                    assert answer.status == 421, (port, path)
        assert await pipeline.api("GET", "/api/events") == []


async def until_more_arrives(outside: Receiver, total: int) -> None:
    """Wait until the receiver gets a further request, or has had all `total` of them."""
    before = len(outside.requests)
    await eventually(lambda: len(outside.requests) > before or before >= total, timeout=60)


@pytest.mark.timeout(300)
async def test_every_worker_killed_in_the_middle_of_many_flows_loses_and_repeats_nothing(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """kill -9 of each worker: one finished execution a webhook, each message under one idempotency key."""
    count = by_form(90, 200)
    async with receiver() as outside, Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        await set_up(pipeline, outside, delay_ms=1500)
        accepted: list[str] = []
        victims = iter(["ingest-worker", "flow-runner", "notifier"])
        for number in range(count):
            body = whatsapp_message(f"55119{number:08d}", "oi", f"wamid.{number}")
            status, answer = await pipeline.webhook("whatsapp", body, signed(body))
            assert status == 200
            accepted.append(answer["eventId"])
            if (number + 1) % (count * 3 // 10) == 0:
                name = next(victims)
                pipeline.kill(name)
                pipeline.start(name)
        # A second round while the queues drain: now the workers are killed in the middle of the work itself.
        for name in ("flow-runner", "notifier", "ingest-worker"):
            await until_more_arrives(outside, 2 * count)
            pipeline.kill(name)
            pipeline.start(name)

        executions = await until_all_final(pipeline, count, timeout=150)
        assert Counter(one["status"] for one in executions) == {"succeeded": count}
        assert Counter(one["eventId"] for one in executions) == Counter(accepted)

        def all_received() -> bool:
            return len(outside.keys("/messages")) == count

        await eventually(all_received, timeout=60)
        contacts = {json.loads(body)["to"]: headers["idempotency-key"] for headers, body in outside.at("/messages")}
        assert len(contacts) == count
        by_contact: dict[str, set[str]] = {}
        for headers, body in outside.at("/messages"):
            by_contact.setdefault(json.loads(body)["to"], set()).add(headers["idempotency-key"])
        assert all(len(keys) == 1 for keys in by_contact.values()), "a message was sent under two keys"
        assert len(outside.keys("/contacts")) == count, "an API call was made under two keys"
        assert await pipeline.api("GET", "/api/dead-letters") == []
