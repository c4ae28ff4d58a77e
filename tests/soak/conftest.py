"""An API for the checks of the soak test, which answers what a test wants, and a database."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web

from tests.e2e.pipeline import Pipeline

EXECUTION = "22222222-2222-5222-8222-222222222222"


class Api:
    """An API that shows `points` of each figure, and finds `known` texts, each on the page after an empty one.

    `totals` has the outcomes of each flow and figure. The next `fails` requests are answered with 503.
    """

    def __init__(self) -> None:
        self.fails = 0
        self.totals: dict[str, dict[str, int]] = {}
        self.points: list[dict[str, Any]] = []
        self.built_until = datetime.now(UTC)
        self.known: dict[str, str] = {}

    async def handle(self, request: web.Request) -> web.Response:
        """Answers as the API does."""
        if self.fails > 0:
            self.fails -= 1
            return web.json_response({}, status=503)
        cursor = None
        data: Any
        if request.path == "/api/search":
            found = [{"id": self.known[request.query["q"]]}] if request.query["q"] in self.known else []
            cursor = None if "cursor" in request.query else "next"
            data = {"events": found if cursor is None else [], "entities": []}
        elif request.path == "/api/executions":
            data = [{"id": EXECUTION}]
        else:
            outcomes = self.totals.get(request.query.get("flowId", request.path.rpartition("/")[2]), {})
            total = {"count": sum(outcomes.values()), "outcomes": outcomes}
            data = {"points": self.points, "builtUntil": self.built_until.isoformat(), "total": total}
        return web.json_response({"status": "success", "data": data, "nextCursor": cursor})


@pytest.fixture
def api() -> Api:
    """What the test API answers."""
    return Api()


@pytest.fixture
async def pipeline(api: Api, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """A pipeline without processes, whose API is the test API."""
    app = web.Application()
    app.router.add_get("/{path:.*}", api.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found = Pipeline("redis://127.0.0.1:1/0", "", tmp_path)
    found.admin_ports["ingest-admin"] = runner.addresses[0][1]
    async with aiohttp.ClientSession() as found._session:
        yield found
    await runner.cleanup()


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """Connections to a fresh database."""
    async with asyncpg.create_pool(postgres_dsn, min_size=1, max_size=1) as found:
        yield found
