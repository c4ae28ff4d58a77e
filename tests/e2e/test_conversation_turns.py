"""Several flows in one conversation: events of other systems, questions, restarts and bursts, through all services."""

import json
from pathlib import Path
from typing import Any

from tests.e2e.pipeline import Pipeline, Receiver, receiver
from tests.e2e.test_main_job import CHANNEL_SECRET
from tests.waiting import eventually

CONTACT = "+5511900000002"
IDLE_MS = 10_000
"""Longer than the test takes from the question to the reply to the next one."""


def asking(name: str, settings: dict[str, Any], **data: Any) -> dict[str, Any]:
    """A flow that asks, and states the answer, or that there was none."""
    return {
        "schemaVersion": 1,
        "settings": {"conversation": settings},
        "variables": [{"name": "answer"}],
        "nodes": [
            {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
            {"id": "ask", "type": "input", "data": {"prompt": f"{name}?", "variable": "answer"} | data},
            {"id": "done", "type": "message", "data": {"text": f"{name}: {{{{ vars.answer }}}}"}},
            {"id": "late", "type": "message", "data": {"text": f"{name}: none"}},
        ],
        "edges": [
            {"source": "start", "target": "ask"},
            {"source": "ask", "sourceHandle": "out", "target": "done"},
            {"source": "ask", "sourceHandle": "timeout", "target": "late"},
        ],
    }


class Conversation:
    """The contact, and what the contact has received."""

    def __init__(self, pipeline: Pipeline, outside: Receiver) -> None:
        self._pipeline = pipeline
        self._outside = outside
        self._number = 0

    async def set_up(self, **flows: dict[str, Any]) -> None:
        """A channel, the flows, a webhook of a payment system for each, and a chat for the flow `menu`."""
        channel = {"type": "http", "url": f"{self._outside.url}/messages", "secret": CHANNEL_SECRET}
        await self._pipeline.api("PUT", "/api/channels/receiver", channel)
        for name, flow in flows.items():
            await self._pipeline.api("PUT", f"/api/flows/{name}", flow)
            await self._webhook(name, name, {})
        await self._webhook("chat", "menu", {"text": "{{ body.text }}"})

    async def _webhook(self, name: str, flow_id: str, more: dict[str, str]) -> None:
        rule = {"channel": "receiver", "contact": "{{ body.from }}"} | more
        webhook = {"flowId": flow_id, "nodeId": "start", "auth": {"type": "none"}, "conversation": rule}
        await self._pipeline.api("PUT", f"/api/webhooks/{name}", webhook)

    async def send(self, webhook: str, text: str = "") -> None:
        self._number += 1
        body = json.dumps({"from": CONTACT, "text": text, "number": self._number}).encode()
        status, _ = await self._pipeline.webhook(webhook, body)
        assert status == 200

    async def receives(self, *texts: str) -> None:
        """Waits until the contact has received all of these texts, in this order, and no others."""
        await eventually(lambda: len(self.received) >= len(texts))
        assert self.received == list(texts)

    @property
    def received(self) -> list[str]:
        return [json.loads(body)["text"] for _, body in self._outside.at("/messages")]

    async def statuses(self, flow_id: str) -> list[str]:
        found = await self._pipeline.executions(flowId=flow_id)
        return sorted(one["status"] for one in found)


async def test_the_flows_of_a_conversation_take_turns(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """A payment starts its flow although a question is open; the reply goes to the question that was asked last; the
    older one is open for `idleMs`; `menu` leaves everything; and a burst is one reply."""
    async with receiver() as outside, Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        talk = Conversation(pipeline, outside)
        await talk.set_up(
            menu=asking("name", {"idleMs": IDLE_MS, "restartOn": ["menu"]}, timeoutMs=600_000),
            payment=asking("rating", {}, kind="number"),
            order=asking("address", {"onNewStart": "replace"}, collectMs=4000),
        )
        received = ["name?"]
        await talk.send("chat", "oi")
        await talk.receives(*received)

        received += ["rating?"]
        await talk.send("payment")
        await talk.receives(*received)
        assert await talk.statuses("menu") == ["waiting-input"]

        received += ["rating: 9"]
        await talk.send("chat", "9")
        await talk.receives(*received)

        # No other question is open, but one has been asked: the older question ends after idleMs and not timeoutMs.
        received += ["name: none"]
        await talk.receives(*received)

        received += ["rating?", "name?"]
        await talk.send("payment")
        await talk.receives(*received[:-1])
        await talk.send("chat", "Menu!")
        await talk.receives(*received)

        received += ["address?"]
        await talk.send("order")
        await talk.receives(*received)

        async def others_are_cancelled() -> bool:
            expected = (["cancelled", "succeeded"], ["cancelled", "succeeded"])
            return (await talk.statuses("menu"), await talk.statuses("payment")) == expected

        await eventually(others_are_cancelled)
        for text in ("Rua A", "número 1"):
            await talk.send("chat", text)
        received += ["address: Rua A\nnúmero 1"]
        await talk.receives(*received)
