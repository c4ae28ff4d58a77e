"""The five processes, of which each can be replaced by one of the next version and back, and a sender beside them."""

import asyncio
import itertools
import json
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from filas.models.configuration import Channel
from filas.repository.definitions.channels import ChannelRepository
from filas.repository.definitions.flows import FlowRepository
from filas.repository.postgres.database import Database
from tests.e2e.pipeline import Pipeline, Receiver
from tests.hostile import next_version

SECRET = "whsec_" + "c2lnbmluZy1zZWNyZXQtb2YtdGhlLWNybQ=="
CONTACTS = 5

REPLACED = ("ingest", "ingest-worker", "flow-runner", "notifier")
"""The processes whose versions a test mixes. The operators' process is of the present version."""


class MixedPipeline(Pipeline):
    """A Pipeline whose processes can be replaced. `effects` is the file of `next_function`."""

    def __init__(self, redis_url: str, postgres_dsn: str, logs: Path) -> None:
        super().__init__(redis_url, postgres_dsn, logs)
        self.effects = logs / "effects"
        self.environment[next_version.EFFECTS] = str(self.effects)

    async def replace(self, name: str, *, by_next: bool = False) -> None:
        """Replace the process by one of the next or the present version."""
        self.wrappers[name] = next_version.WRAPPER if by_next else ()
        await super().replace(name)
        assert name not in self.ended, f"{name} ended with {self.ended[name]}:\n{self.log(name)[-4000:]}"


class Sender:
    """Posts a body to each webhook of `paths` by turns, and repeats a body that was not accepted."""

    def __init__(self, pipeline: Pipeline, paths: tuple[str, ...], pause_s: float = 0.1) -> None:
        self._pipeline = pipeline
        self._paths = paths
        self._pause_s = pause_s
        self._stopping = asyncio.Event()
        self.sent: dict[str, list[str]] = defaultdict(list)

    @property
    def count(self) -> int:
        """The number of accepted bodies."""
        return sum(map(len, self.sent.values()))

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Sends while the block runs."""
        task = asyncio.create_task(self._send())
        try:
            yield
        finally:
            self._stopping.set()
            await task

    async def _send(self) -> None:
        number = 0
        while not self._stopping.is_set():
            for path in self._paths:
                contact = f"{path}-{number % CONTACTS}"
                document = {"id": f"{path}-{number:05}-{uuid.uuid4().hex[:6]}", "from": contact}
                await self._post(path, document)
                self.sent[contact].append(document["id"])
            number += 1
            await asyncio.sleep(self._pause_s)

    async def _post(self, path: str, document: dict[str, str]) -> None:
        while True:
            try:
                status, _ = await self._pipeline.webhook(path, json.dumps(document).encode())
            except (aiohttp.ClientError, OSError):
                status = 0  # the process is being replaced
            if status == 200:
                return
            assert status in (0, 503), f"{path}: {status}"
            await asyncio.sleep(0.05)


def flow(call_type: str, outside: str, name: str) -> dict[str, Any]:
    """A call, a wait whose state is saved, and a message."""
    url = f"{outside}/calls/{name}"
    nodes = [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "call", "type": call_type, "data": {"method": "POST", "url": url, "body": "{{ webhook.body.id }}"}},
        {"id": "pause", "type": "delay", "data": {"ms": 300}},
        {"id": "hello", "type": "message", "data": {"text": "{{ webhook.body.id }}"}},
    ]
    ids = [str(node["id"]) for node in nodes]
    edges = [
        {"id": f"e{number}", "source": source, "target": target}
        for number, (source, target) in enumerate(itertools.pairwise(ids))
    ]
    return {"schemaVersion": 1, "name": name, "nodes": nodes, "edges": edges}


async def define_plain(pipeline: Pipeline, outside: Receiver) -> None:
    """A flow, a channel and a webhook of the present version."""
    channel = {"type": "http", "url": f"{outside.url}/messages/plain", "secret": SECRET}
    await pipeline.api("PUT", "/api/channels/plain", channel)
    await pipeline.api("PUT", "/api/flows/plain", flow("api", outside.url, "plain"))
    await pipeline.api("PUT", "/api/webhooks/plain", _webhook("plain"))


async def define_newer(pipeline: Pipeline, database: Database, outside: Receiver) -> None:
    """A flow with a new node type and a channel of a new type, as the next version stores them, and a webhook."""
    config = {"url": f"{outside.url}/messages/newer", "secret": SECRET}
    await ChannelRepository(database).store(Channel(id="newer", type=next_version.CHANNEL, config=config))
    await FlowRepository(database).store("newer", flow(next_version.NODE, outside.url, "newer"), "newer", True)
    await pipeline.api("PUT", "/api/webhooks/newer", _webhook("newer"))


def _webhook(name: str) -> dict[str, Any]:
    return {
        "flowId": name,
        "nodeId": "start",
        "auth": {"type": "none"},
        "dedupe": {"path": "id"},
        "conversation": {"channel": name, "contact": "{{ body.from }}"},
        "rateLimit": {"max": 1_000_000, "windowMs": 60_000},
    }


def called(outside: Receiver, path: str) -> list[str]:
    """The ids in the calls to `path`, in the order of their arrival."""
    return [body.decode().strip('"') for _, body in outside.at(path)]


def messages(outside: Receiver, path: str) -> list[str]:
    """The texts of the messages to `path`."""
    return [json.loads(body)["text"] for _, body in outside.at(path)]
