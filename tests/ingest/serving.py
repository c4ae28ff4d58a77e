"""The public listener over real stores, with webhooks that tests send requests to."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientResponse, ClientSession

from filas.contract.policies import WEBHOOKS
from filas.crypto.resume_tokens import ResumeTokens
from filas.crypto.secret_box import SecretBox
from filas.crypto.secret_variables import SecretVariables
from filas.models.configuration import Dedupe, RateLimit, Webhook
from filas.queue.redis_client.connection import Redis
from filas.repository.definitions.webhooks import WebhookRepository
from filas.repository.events import EventRepository
from filas.repository.postgres.database import Database
from filas.service.private_listener import serve_connections
from filas.settings.value_types import Network
from ingest.public_endpoint import Limits, PublicEndpoint, build_public_endpoint
from tests.redis_address import connect_url
from tests.waiting import PATIENCE_S

BOX = SecretBox("the key of these tests", SecretVariables(os.environ))
TOKENS = ResumeTokens("the key of these tests")


def webhook(webhook_id: str = "orders", **changes: Any) -> Webhook:
    """Returns a webhook that needs no authentication, with the given fields changed."""
    fields: dict[str, Any] = {
        "flow_id": "welcome",
        "node_id": "start",
        "path": webhook_id,
        "methods": ["POST"],
        "auth": {"type": "none"},
        "rate_limit": RateLimit(max=100_000),
        "dedupe": None,
        "conversation": None,
        "config": {"k": "v"},
        "max_body_bytes": 1 << 20,
    }
    return Webhook(id=webhook_id, **{**fields, **changes})


DEDUPED = webhook("deduped", dedupe=Dedupe(path="id"))


@dataclass
class Serving:
    """A running listener and its stores."""

    port: int
    redis_url: str
    public: PublicEndpoint
    session: ClientSession
    redis: Redis
    database: Database

    @property
    def events(self) -> EventRepository:
        """Returns the events in Postgres."""
        return EventRepository(self.database)

    async def store_webhooks(self, *webhooks: Webhook) -> None:
        """Stores the webhooks, and refreshes the cache of the listener."""
        repository = WebhookRepository(self.database)
        for one in webhooks:
            await repository.store(one)
        await self.public.webhook_cache.refresh()

    async def post(self, path: str, body: object, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Posts JSON (bytes are sent unchanged). Returns status and decoded answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.request("POST", path, data=data, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Sends any request to `/webhooks/{path}`."""
        options["headers"] = {"Content-Type": "application/json", **(options.get("headers") or {})}
        return self.session.request(method, f"http://127.0.0.1:{self.port}/webhooks/{path}", **options)

    async def jobs(self) -> list[dict[str, Any]]:
        """Returns the messages of the waiting jobs in Redis, in the order of the queue, without jobs that wait
        behind a group head.
        """
        ids = await self.redis.command("ZRANGE", WEBHOOKS.name, 0, -1)
        payloads = [await self.redis.command("GET", b"arq:job:" + job_id) for job_id in ids]
        return [json.loads(payload)["k"]["job"] for payload in payloads]


@contextlib.asynccontextmanager
async def serving(
    redis_url: str, dsn: str, *webhooks: Webhook, trusted_proxies: Sequence[Network] = (), **limits: Any
) -> AsyncIterator[Serving]:
    """Runs a listener with `webhooks`. `limits` are the fields of Limits."""
    database, redis = Database(dsn, application_name="test-serve"), connect_url(redis_url)
    database.start()
    await database.wait_ready(PATIENCE_S)
    public = build_public_endpoint(
        database,
        redis,
        BOX.reveal,
        TOKENS,
        trusted_proxies=trusted_proxies,
        limits=Limits(**limits),
    )
    parts = (public.webhook_cache.run(), public.listener.watch(), public.backfill.run(), public.refusals.run())
    running_parts = [asyncio.create_task(part) for part in parts]
    try:
        async with (
            serve_connections(public.listener, "127.0.0.1", 0, shutdown_s=1) as port,
            ClientSession() as session,
        ):
            running = Serving(port, redis_url, public, session, redis, database)
            await running.store_webhooks(*webhooks)
            yield running
    finally:
        for part in running_parts:
            part.cancel()
        await asyncio.gather(*running_parts, return_exceptions=True)
        await public.acceptor.drain()
        await redis.close()
        await database.close()


async def problem_of(answer: ClientResponse) -> dict[str, Any]:
    """Returns the problem document of a rejected request."""
    assert answer.content_type == "application/problem+json"
    document: dict[str, Any] = json.loads(await answer.read())
    assert document["status"] == answer.status
    return document


async def raw(port: int, request: bytes) -> bytes:
    """Returns the listener's answer to these bytes, on a connection that stays open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        return await asyncio.wait_for(reader.read(500), PATIENCE_S)
    finally:
        writer.close()
