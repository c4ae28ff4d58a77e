"""The worker builds figures over time, as the user of Postgres that the processes have."""

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from filas.repository.postgres.database import Database
from tests.e2e.pipeline import Pipeline
from tests.shared.repository.rollup_rows import Rows
from tests.waiting import PATIENCE_S, eventually


@pytest.mark.starts_processes
async def test_the_worker_builds_the_figures_of_rows_that_exist(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """In its first round, also for rows from before it started."""
    added = Rows()
    added.chain(random.Random(1), datetime.now(UTC))
    database = Database(postgres_dsn, application_name="test", max_size=1)
    database.start()
    await database.wait_ready(PATIENCE_S)
    await Rows().write(database, added)
    await database.close()
    async with Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:

        async def is_built() -> bool:
            figures = (await pipeline.api("GET", "/api/analytics"))["figures"]
            return all(one["total"]["count"] > 0 for name, one in figures.items() if name != "latency")

        await eventually(is_built, 60)
