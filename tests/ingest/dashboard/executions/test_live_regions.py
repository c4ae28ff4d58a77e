"""The streams of the pages of executions: their regions arrive, and pages without regions have no stream."""

import asyncio
import json
from urllib.parse import quote

import pytest

from tests.ingest.api.serving import Api
from tests.ingest.dashboard.browsing import Browser
from tests.ingest.dashboard.executions.recorded import record, record_waiting, store_flow

BOUND_S = 45


async def regions(api: Api, browser: Browser, path: str) -> dict[str, str]:
    """The regions that the stream of a page sends first."""
    address = f"{api.url}/dashboard/live?page={quote('/dashboard' + path)}"
    async with asyncio.timeout(BOUND_S), browser.session.get(address) as answer:
        async for line in answer.content:
            if line.startswith(b"data: {"):
                found: dict[str, str] = json.loads(line.removeprefix(b"data: "))["regions"]
                return found
    raise AssertionError("the stream ended")


async def test_the_page_of_an_execution_is_streamed(api: Api, browser: Browser) -> None:
    """Its state with its actions, and everything below them."""
    await store_flow(api)
    execution = await record_waiting(api)
    found = await regions(api, browser, f"/executions/{execution}")
    assert found.keys() == {"actions", "execution"}
    assert "waits for a reply" in found["actions"]
    assert "edge-taken" in found["execution"]


@pytest.mark.parametrize(("path", "region"), [("/executions", "newest"), ("/waiting", "waits")])
async def test_lists_are_streamed(api: Api, browser: Browser, path: str, region: str) -> None:
    """Their first pages."""
    await store_flow(api)
    execution = await record_waiting(api)
    assert str(execution) in (await regions(api, browser, path))[region]


async def test_a_graph_with_all_nodes_is_not_streamed(api: Api, browser: Browser) -> None:
    """It is too large to be drawn again every few seconds. Nor is an execution that ended long ago."""
    await store_flow(api)
    execution = await record(api)
    assert "data-live=" in (await browser.open(f"/executions/{execution}")).html
    assert "data-live=" not in (await browser.open(f"/executions/{execution}?graph=all")).html
    query = "update executions set ended_at = now() - interval '1 hour' where id = $1"
    await api.database.fetch(query, execution)
    assert "data-live=" not in (await browser.open(f"/executions/{execution}")).html
