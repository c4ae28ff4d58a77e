"""Senders of webhooks to a deployment, and the required result of each webhook."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.deploy.deployment import Deployment
from tests.waiting import eventually

TOKEN = "let-me-in"
FLOW: dict[str, Any] = {
    "schemaVersion": 1,
    "name": "Load",
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {
            "id": "call",
            "type": "api",
            "data": {
                "method": "POST",
                "url": "http://receiver:9000/calls",
                "body": {"id": "{{ webhook.body.id }}"},
                "retry": {"maxAttempts": 5, "delayMs": 500},
            },
        },
        {"id": "say", "type": "message", "data": {"text": "{{ webhook.body.id }}"}},
    ],
    "edges": [{"id": "e1", "source": "start", "target": "call"}, {"id": "e2", "source": "call", "target": "say"}],
}
CHANNEL = {"type": "http", "url": "http://receiver:9000/messages", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
WEBHOOK = {
    "flowId": "load",
    "auth": {"type": "bearer", "secrets": [TOKEN]},
    "dedupe": {"path": "id"},
    "rateLimit": {"max": 1_000_000, "windowMs": 60_000},
    "conversation": {"channel": "load", "contact": "{{ body.id }}", "text": "{{ body.id }}"},
}


def prepare(deployment: Deployment) -> None:
    """Stores channel, flow and webhook of the load."""
    deployment.api.put("channels", "load", body=CHANNEL)
    deployment.api.put("flows", "load", body=FLOW)
    deployment.api.put("webhooks", "load", body=WEBHOOK)


@dataclass
class Senders:
    """Posts `rate` webhooks per second to the deployment until `stop` is set, whatever the last answers were.

    With `repeat`, one that is not answered 200 is posted again until it is, as senders of webhooks do: its id is its
    duplicate key. `accepted`: event id to the id that was posted. `answers`: every answer, and every failure by name.
    """

    deployment: Deployment
    name: str
    rate: int
    repeat: bool = False
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    answers: Counter[str] = field(default_factory=Counter)
    accepted: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    async def run(self) -> None:
        """All of them, until the last is answered."""
        connector = aiohttp.TCPConnector(limit=0)
        began, number = time.monotonic(), 0
        async with (
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session,
            asyncio.TaskGroup() as group,
        ):
            while not self.stop.is_set():
                wait = began + number / self.rate - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                group.create_task(self._send(session, f"{self.name}-{number}"))
                number += 1

    async def _send(self, session: aiohttp.ClientSession, posted: str) -> None:
        for pause_s in (0.5, 1, 2, 4, 8, 16):
            if await self._post(session, posted) or not self.repeat:
                return
            await asyncio.sleep(pause_s)

    async def _post(self, session: aiohttp.ClientSession, posted: str) -> bool:
        sent = time.monotonic()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.deployment.public_port}/webhooks/load"
        try:
            async with session.post(url, data=json.dumps({"id": posted}), headers=headers) as answer:
                text = await answer.text()
                self.answers[str(answer.status)] += 1
                if answer.status == 200:
                    self.accepted[json.loads(text)["eventId"]] = posted
                else:
                    self.refused.append(f"{posted}: {answer.status} {text[:200]}")
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError) as error:
            self.answers[type(error).__name__] += 1
            self.refused.append(f"{posted}: {error!r}")
            return False
        finally:
            self.slowest_s = max(self.slowest_s, time.monotonic() - sent)


async def until_all_finished(deployment: Deployment, senders: Senders, *, timeout: float) -> None:
    """Wait until there is nothing more to do; then each accepted webhook has one execution, which succeeded, and the
    receiver has its message under one idempotency key, perhaps more than once."""
    states: list[str] = []
    unfinished = """select 'event', status, count(*) from events where status <> 'processed' group by status
        union all select 'execution', status, count(*) from executions where ended_at is null group by status
        union all select 'notification', status, count(*) from notifications
            where status in ('queued', 'sending', 'retrying') group by status"""

    async def nothing_left() -> bool:
        states[:] = await asyncio.to_thread(deployment.query, unfinished)
        await asyncio.sleep(0.5)  # the database is asked twice a second, not without pause
        return not states

    try:
        await eventually(nothing_left, timeout=timeout)
    except AssertionError:
        raise AssertionError(f"not finished within {timeout} s: {states}") from None
    assert set(deployment.query("select distinct status from executions")) == {"succeeded"}
    executions = Counter(deployment.query("select event_id from executions"))
    lost = {posted for event, posted in senders.accepted.items() if event not in executions}
    assert lost == set()
    assert {event: count for event, count in executions.items() if event in senders.accepted and count > 1} == {}
    keys: Counter[str] = Counter()
    for bodies in deployment.received("/messages").values():
        [text] = {body["text"] for body in bodies}
        keys[text] += 1
    assert {posted: keys[posted] for posted in senders.accepted.values() if keys[posted] != 1} == {}
