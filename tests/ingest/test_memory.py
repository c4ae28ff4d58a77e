"""The memory of bodies that are being accepted, and of calls to the API, is bounded together."""

import asyncio
import json

import pytest

from ingest.receive import handler
from tests.ingest import serving
from tests.ingest.api.serving import serving as api_serving
from tests.waiting import eventually

MIB = 2**20
LARGE = json.dumps([{"name": "Ana"}] * 24_000).encode()
"""400 KB of JSON that takes about 10 MiB as Python objects."""


async def test_large_bodies_wait_for_memory_and_are_then_refused(
    redis_url: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small body does not wait. A large one is parsed when there is memory, or is answered with 503 in time."""
    monkeypatch.setattr(handler, "MEMORY_WAIT_S", 0.3)
    async with serving.serving(redis_url, postgres_dsn) as app:
        await app.store_webhooks(serving.webhook())
        memory = app.public.memory
        async with memory.hold(memory.max_bytes):
            async with app.request("POST", "orders", data=LARGE) as refused:
                assert refused.status == 503
                assert "Retry-After" in refused.headers
            status, _ = await app.post("orders", {"small": True})
            assert status == 200
            monkeypatch.setattr(handler, "MEMORY_WAIT_S", 30.0)
            waiting = asyncio.create_task(app.post("orders", LARGE))
            await eventually(lambda: memory.waiting)
        assert (await waiting)[0] == 200
        statuses = await asyncio.gather(*(app.post("orders", LARGE) for _ in range(12)))
        assert {status for status, _ in statuses} <= {200, 503}
        assert memory.held == 0


async def test_calls_of_the_api_wait_for_memory(redis_url: str, postgres_dsn: str) -> None:
    """Lists and large bodies wait; the doctor and small writes do not."""
    async with api_serving(redis_url, postgres_dsn) as api:
        memory = api.context.memory
        async with memory.hold(memory.max_bytes):
            listing = asyncio.create_task(api.get("/events"))
            await eventually(lambda: memory.waiting)
            assert (await api.get("/doctor")).status == 200
            assert not listing.done()
        assert (await listing).status == 200
        assert memory.held == 0
