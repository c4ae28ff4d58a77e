"""One connected database for each test."""

from collections.abc import AsyncIterator

import pytest

from filas.repository.definitions.flows import FlowRepository
from filas.repository.postgres.database import Database
from tests.waiting import PATIENCE_S


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    """Returns the test's own database, connected."""
    database = Database(postgres_dsn, application_name="test", max_size=8)
    database.start()
    await database.wait_ready(PATIENCE_S)
    yield database
    await database.close()


@pytest.fixture
async def published(database: Database) -> str:
    """Returns the id of a flow with a published version."""
    await FlowRepository(database).store("welcome", {"nodes": [], "settings": {"timeoutMs": 60_000}}, "Welcome", True)
    return "welcome"
