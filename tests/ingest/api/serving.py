"""The API and the dashboard over a real Redis and a real Postgres, on a port of the loopback."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from filas.crypto.secret_box import SecretBox
from filas.errors import StoreUnavailable
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.repository.definitions.webhooks import WebhookRepository
from filas.repository.events import EventRepository
from filas.repository.postgres.database import Database
from filas.service.health import Health
from filas.service.private_listener import build_private_app, serve_app
from filas.service.stores import Stores
from ingest.access.api_access import build_access
from ingest.api.routes import register
from ingest.api.routing.api_context import ApiContext, build_api_context
from ingest.dashboard import application
from ingest.receive.acceptor import Acceptor
from ingest.receive.backfill import EventBackfill
from ingest.receive.webhook_cache import WebhookCache
from ingest.scaling.worker_advice import Bounds
from tests.redis_address import connect_url
from tests.waiting import PATIENCE_S

TOKEN = "the-long-and-random-admin-token-of-the-tests"
SECRET_KEY = "a long and random key of the tests"

FLOW: dict[str, Any] = {
    "schemaVersion": 1,
    "name": "Greeting",
    "nodes": [
        {"id": "start", "type": "webhook", "position": {"x": 0, "y": 0}, "data": {"mode": "trigger"}},
        {
            "id": "hello",
            "type": "message",
            "position": {"x": 1, "y": 0},
            "data": {"text": "Hello {{ webhook.body.name }}"},
        },
    ],
    "edges": [{"id": "e1", "source": "start", "target": "hello"}],
}


@dataclass
class Reply:
    """An answer of the API: its status, its JSON and its headers."""

    status: int
    json: Any
    headers: Any
    text: str

    @property
    def data(self) -> Any:
        """The `data` of a successful answer."""
        assert self.json["status"] == "success", self.text
        return self.json["data"]


@dataclass
class Api:
    """The running API with its context and its stores."""

    url: str
    context: ApiContext
    database: Database
    redis: Redis
    session: aiohttp.ClientSession
    changes: list[str] = field(default_factory=list)
    """One entry for each call of `configuration_changed`."""

    async def call(self, method: str, path: str, *, token: str | None = TOKEN, **options: Any) -> Reply:
        """Sends a request to a path below `/api`. `token` None: without a token. `options` are those of aiohttp."""
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token}")
        async with self.session.request(method, f"{self.url}/api{path}", headers=headers, **options) as response:
            text = await response.text()
            document = None if response.content_type == "text/csv" else await response.json(content_type=None)
            return Reply(response.status, document, response.headers, text)

    async def get(self, path: str, **options: Any) -> Reply:
        """Sends a GET."""
        return await self.call("GET", path, **options)

    async def put(self, path: str, document: Any, **options: Any) -> Reply:
        """Sends a PUT with a JSON document."""
        return await self.call("PUT", path, json=document, **options)

    async def post(self, path: str, document: Any = None, **options: Any) -> Reply:
        """Sends a POST, with a JSON document unless it is None."""
        given = {} if document is None else {"json": document}
        return await self.call("POST", path, **given, **options)

    async def delete(self, path: str) -> Reply:
        """Sends a DELETE."""
        return await self.call("DELETE", path)


@asynccontextmanager
async def serving(redis_url: str, postgres_dsn: str) -> AsyncIterator[Api]:
    """A ready API over these stores."""
    changes: list[str] = []

    redis = connect_url(redis_url)
    database = Database(postgres_dsn, application_name="tests-api", max_size=4)
    database.start()
    box = SecretBox(SECRET_KEY)
    webhook_cache = WebhookCache(WebhookRepository(database), box.reveal)
    backfill = EventBackfill(EventRepository(database))

    async def changed() -> None:
        changes.append("changed")
        with suppress(StoreUnavailable):
            await webhook_cache.refresh()

    stores = Stores(redis, database, database)
    access = build_access(stores, admin_token=TOKEN, secret_key=SECRET_KEY)
    context = build_api_context(
        stores,
        access=access,
        secret_box=box,
        configuration_changed=changed,
        webhook_cache=webhook_cache,
        acceptor=Acceptor(EventRepository(database), QueueProducer(redis), write_later=backfill.add),
        scaling_bounds=Bounds(),
    )
    app: web.Application = build_private_app(Health())
    register(app, context)
    application.register(app, context, SECRET_KEY, is_local_run=True)
    try:
        async with serve_app(app, "127.0.0.1", 0) as port, aiohttp.ClientSession() as session:
            await database.wait_ready(PATIENCE_S)
            await webhook_cache.refresh()
            await access.keys.refresh()
            tasks = [asyncio.create_task(work) for work in access.background()]
            try:
                yield Api(f"http://127.0.0.1:{port}", context, database, redis, session, changes)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await context.acceptor.drain()
        await database.close()
        await redis.close()


def fields_of(reply: Reply) -> list[str]:
    """The fields in the errors of a 422."""
    assert reply.status == 422, reply.text
    errors: Sequence[dict[str, Any]] = reply.json["errors"]
    return [error.get("field", "") for error in errors]
