"""The API, running, for each test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.ingest.api.serving import Api, serving


@pytest_asyncio.fixture
async def api(redis_url: str, postgres_dsn: str) -> AsyncIterator[Api]:
    """The API over a Redis and a Postgres of the test's own."""
    async with serving(redis_url, postgres_dsn) as running:
        yield running
