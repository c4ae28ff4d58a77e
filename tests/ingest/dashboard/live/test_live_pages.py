"""A live page through the whole dashboard: sessions, roles, the regions of each page, and moments."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp

from ingest.dashboard.application import PAGES
from ingest.dashboard.live_pages import regions_of
from ingest.dashboard.sessions.middlewares import CONTENT_SECURITY_POLICY
from tests.ingest.api.seeding import delayed_job
from tests.ingest.api.serving import Api
from tests.ingest.dashboard.browsing import Browser, signed_in
from tests.waiting import PATIENCE_S, eventually

PATHS = {
    "/": "/",
    "/queues": "/queues",
    "/queues/{queue}": "/queues/webhook?state=delayed",
    "/jobs/{id}": "/jobs/later",
    "/doctor": "/doctor",
}
"""An address of each live page of queues, jobs and the doctor."""


@asynccontextmanager
async def streaming(browser: Browser, page: str) -> AsyncIterator[tuple[aiohttp.ClientResponse, AsyncIterator[Any]]]:
    """The stream of a page: its answer, and its messages."""
    address = f"{browser.api.url}/dashboard/live?page={quote('/dashboard' + page, safe='')}"
    headers = {"Accept": "text/event-stream", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    async with browser.session.get(address, headers=headers) as response:
        yield response, _messages(response)


async def _messages(response: aiohttp.ClientResponse) -> AsyncIterator[Any]:
    event = ""
    while True:
        async with asyncio.timeout(PATIENCE_S):
            line = (await response.content.readline()).decode().strip()
        if line.startswith("event:"):
            event = line.removeprefix("event:").strip()
        elif line.startswith("data:") and event == "regions":
            yield json.loads(line.removeprefix("data:"))
        elif line.startswith("data:") and event == "end":
            yield line.removeprefix("data:").strip()
            return


async def test_each_page_streams_the_regions_that_it_has(browser: Browser) -> None:
    """They have the content of the page itself, without a token."""
    await delayed_job(browser.api, "later")
    for path in PATHS.values():
        page = await browser.open(path)
        shown = set(re.findall(r'id="([a-z-]+)" data-region', page.html))
        assert shown
        assert shown == set(regions_of(page.html))
        async with streaming(browser, path) as (response, messages):
            assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
            message = await anext(messages)
            assert set(message["regions"]) == shown, path
            assert all(token == "" for token in re.findall(r'name="csrf" value="(.*?)"', str(message["regions"])))


def test_each_live_page_of_this_family_has_an_address_here() -> None:
    mine = {
        page.path
        for page in PAGES
        if page.live is not None and page.path.split("/")[1] in ("", "queues", "jobs", "doctor")
    }
    assert mine == PATHS.keys()


async def test_a_change_reaches_the_page(browser: Browser) -> None:
    async with streaming(browser, "/queues/webhook?state=delayed") as (_, messages):
        first = await anext(messages)
        assert "No job is delayed" in first["regions"]["jobs"]
        await delayed_job(browser.api, "later")
        while "/dashboard/jobs/later" not in (message := await anext(messages))["regions"].get("jobs", ""):
            assert message["regions"]


async def test_what_a_viewer_gets_has_no_actions(browser: Browser, viewer: Browser) -> None:
    for reader, may_act in ((browser, True), (viewer, False)):
        async with streaming(reader, "/queues") as (_, messages):
            html = (await anext(messages))["regions"]["queue-list"]
            assert ("/dashboard/queues/flow/pause" in html) is may_act


async def test_a_page_that_is_not_live_and_a_foreign_address_are_refused(browser: Browser) -> None:
    for page in ("/nothing", "/_components", "/live"):
        async with streaming(browser, page) as (response, _):
            assert response.status == 404
    async with browser.session.get(f"{browser.api.url}/dashboard/live?page=https://example.org/queues") as response:
        assert response.headers["Content-Type"] == "text/event-stream", "a foreign address counts as the overview"


async def test_without_a_session_there_is_no_stream(api: Api) -> None:
    async with aiohttp.ClientSession() as session:
        headers = {"Accept": "text/event-stream"}
        async with session.get(f"{api.url}/dashboard/live?page=/dashboard/", headers=headers) as response:
            assert response.status == 401


async def test_a_revoked_key_ends_its_streams(api: Api) -> None:
    made = (await api.post("/keys", {"name": "ana", "role": "viewer"})).data
    await api.context.access.keys.refresh()
    async with signed_in(api, made["key"]) as browser, streaming(browser, "/queues") as (_, messages):
        await anext(messages)
        assert (await api.delete(f"/keys/{made['id']}")).status == 200
        await api.context.access.keys.refresh()
        async with asyncio.timeout(PATIENCE_S):
            assert [message async for message in messages if isinstance(message, str)] == ["signed-out"]


async def test_a_script_freezes_the_moment_that_its_page_shows(browser: Browser) -> None:
    async with streaming(browser, "/") as (_, messages):
        at = (await anext(messages))["at"]
        page = await browser.open("/")
        form = page.form("/dashboard/live/moments")
        headers = {"Accept": "application/json", "Origin": browser.api.url}
        fields = form.fields | {"at": str(at)}
        address = f"{browser.api.url}/dashboard/live/moments"
        async with browser.session.post(address, data=fields, headers=headers) as answer:
            assert await answer.json() == {"at": at}

    async def is_shown() -> bool:
        return "figures of a stored moment" in (await browser.open(f"/?at={at}")).text

    await eventually(is_shown)


async def test_a_page_that_stays_open_renews_its_session(browser: Browser, api: Api) -> None:
    """Its script asks once an hour, and when a stream has ended."""
    address = f"{browser.api.url}/dashboard/live?page=/dashboard/"
    async with browser.session.head(address) as answer:
        assert answer.status == 204
    async with aiohttp.ClientSession() as session, session.head(address, headers={"Sec-Fetch-Mode": "cors"}) as answer:
        assert answer.status == 401
