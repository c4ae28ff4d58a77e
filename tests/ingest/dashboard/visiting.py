"""A signed-in browser of a role."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.ingest.api.serving import Api
from tests.ingest.dashboard.browsing import Browser, signed_in


@asynccontextmanager
async def visited(api: Api, role: str) -> AsyncIterator[Browser]:
    """A browser of a new key with the role."""
    key = (await api.post("/keys", {"name": f"a {role}", "role": role})).data["key"]
    await api.context.access.keys.refresh()
    async with signed_in(api, key) as browser:
        yield browser
