"""`filas analytics`: what the commands print, and which arguments they refuse."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest_asyncio

from filas.repository.analytics.rollup_builder import RollupBuilder
from filas.repository.analytics.rollup_store import RollupStore
from tests.ingest.api.serving import Api, serving
from tests.shared.cli.test_commands import asked
from tests.shared.repository.rollup_rows import Rows


@pytest_asyncio.fixture
async def api(redis_url: str, postgres_dsn: str) -> AsyncIterator[Api]:
    """A running API."""
    async with serving(redis_url, postgres_dsn) as running:
        yield running


async def test_figures_over_time_are_shown(api: Api) -> None:
    """With the totals, by subject, and over a period that is named or has a beginning."""
    added = Rows()
    added.chain(random.Random(1), datetime.now(UTC))
    await Rows().write(api.database, added)
    await RollupBuilder(RollupStore(api.database, "worker-1", pause_share=0)).build(datetime.now(UTC), budget_s=60)
    overview = (await asked(api, "analytics", "summary")).out.splitlines()
    assert overview[0].split() == ["FIGURE", "COUNT", "BEFORE", "OUTCOMES", "P50", "P95", "P99"]
    assert [line.split()[:3] for line in overview if line.startswith("received")] == [["received", "1", "0"]]
    webhook = added.tables["events"][0]["webhook"]
    groups = (await asked(api, "analytics", "groups", "received", "--period", "90d")).out
    assert groups.splitlines()[1].split()[:3] == [webhook, "-", "1"]
    since = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    shown = await asked(api, "analytics", "show", "queue-total", "--queue", "webhook", "--since", since)
    assert shown.out.splitlines()[-1].split()[:2] == ["total", "1"]
    as_json = await asked(api, "analytics", "show", "received", "--webhook", webhook, "--period", "2h", "--json")
    assert as_json.json["total"]["count"] == 1
    assert (await asked(api, "analytics", "groups", "nodes", "--flow", "none")).out == "No figures in this period\n"
    for wrong in (["--period", "1w"], ["--period", "1h", "--since", "2026-11-22T12:00:00Z"]):
        assert (await asked(api, "analytics", "summary", *wrong)).code == 2
    assert (await asked(api, "analytics", "summary", "--period", "1h", "--until", "noon")).code == 2
