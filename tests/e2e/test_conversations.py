"""Conversations with two processes of every worker: complete and in order, although one is killed."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.e2e.pipeline import Pipeline, Receiver, receiver
from tests.e2e.test_main_job import CHANNEL_SECRET
from tests.long_form import by_form
from tests.waiting import eventually

CONVERSATIONS = by_form(60, 200)
MESSAGES = by_form(30, 50)
WORKERS = ("ingest-worker", "flow-runner", "notifier")

ECHO = {
    "schemaVersion": 1,
    "variables": [{"name": "turns", "type": "number", "default": 0, "scope": "conversation"}],
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {
            "id": "count",
            "type": "set-variable",
            "data": {"assignments": [{"variable": "turns", "value": "{{ vars.turns | plus: 1 }}"}]},
        },
        {"id": "echo", "type": "message", "data": {"text": "{{ conversation.text }} {{ vars.turns }}"}},
    ],
    "edges": [{"source": "start", "target": "count"}, {"source": "count", "target": "echo"}],
}


async def set_up(pipeline: Pipeline, outside: Receiver) -> None:
    """A flow that answers each message with its text and its number in the conversation."""
    channel = {"type": "http", "url": f"{outside.url}/messages", "secret": CHANNEL_SECRET}
    await pipeline.api("PUT", "/api/channels/receiver", channel)
    await pipeline.api("PUT", "/api/flows/echo", ECHO)
    webhook = {
        "flowId": "echo",
        "nodeId": "start",
        "auth": {"type": "none"},
        "conversation": {"channel": "receiver", "contact": "{{ body.from }}", "text": "{{ body.text }}"},
        "rateLimit": {"max": 1_000_000, "windowMs": 60_000},
    }
    await pipeline.api("PUT", "/api/webhooks/chat", webhook)


async def talk(pipeline: Pipeline, contact: str) -> None:
    """One contact, who sends the next message as soon as the one before is accepted. A 503 is repeated, as senders do:
    both stores may be slow for a moment."""
    for number in range(MESSAGES):
        body = json.dumps({"from": contact, "text": str(number)}).encode()

        async def accepted(body: bytes = body) -> bool:
            status, _ = await pipeline.webhook("chat", body)
            assert status in (200, 503)
            return status == 200

        await eventually(accepted)


def replies(outside: Receiver) -> dict[str, list[str]]:
    """What arrived for each contact, in order; of one that came twice under one key, the first."""
    seen: set[str] = set()
    found: dict[str, list[str]] = {}
    for headers, body in outside.at("/messages"):
        if headers["idempotency-key"] not in seen:
            seen.add(headers["idempotency-key"])
            message = json.loads(body)
            found.setdefault(message["to"], []).append(message["text"])
    return found


@pytest.mark.timeout(300)
async def test_every_conversation_is_answered_in_order_although_a_flow_runner_is_killed(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """None is missing, none overtakes another, and the conversation's own count agrees with each."""
    total = CONVERSATIONS * MESSAGES
    async with receiver() as outside, Pipeline(redis_url, postgres_dsn, tmp_path, twice=WORKERS) as pipeline:
        await set_up(pipeline, outside)
        talking = asyncio.gather(*(talk(pipeline, f"contact-{number}") for number in range(CONVERSATIONS)))
        await eventually(lambda: len(outside.requests) > total // 4, timeout=120)
        pipeline.kill("flow-runner")
        await eventually(lambda: len(outside.requests) > total // 3, timeout=60)
        pipeline.start("flow-runner")
        await talking
        await eventually(lambda: len(outside.keys("/messages")) >= total, timeout=180)
    expected = [f"{number} {number + 1}" for number in range(MESSAGES)]
    found = replies(outside)
    wrong = {contact: texts for contact, texts in found.items() if texts != expected}
    assert not wrong
    assert len(found) == CONVERSATIONS
