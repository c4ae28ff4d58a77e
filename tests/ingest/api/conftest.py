"""A running API for each test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.ingest.api.serving import Api, serving


@pytest_asyncio.fixture
async def api(redis_url: str, postgres_dsn: str) -> AsyncIterator[Api]:
    """The API over the Redis and the Postgres database of the test."""
    async with serving(redis_url, postgres_dsn) as running:
        yield running
