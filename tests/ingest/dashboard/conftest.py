"""A signed-in browser over a running API."""

from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from tests.ingest.api.conftest import api
from tests.ingest.api.serving import Api
from tests.ingest.dashboard.browsing import Browser, sign_in

__all__ = ["api", "browser", "viewer"]


@pytest_asyncio.fixture
async def browser(api: Api) -> AsyncIterator[Browser]:
    """A browser of the admin."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield await sign_in(api, session)


@pytest_asyncio.fixture
async def viewer(api: Api) -> AsyncIterator[Browser]:
    """A browser of a viewer."""
    key = (await api.post("/keys", {"name": "viewer", "role": "viewer"})).data["key"]
    await api.context.access.keys.refresh()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield await sign_in(api, session, key)
