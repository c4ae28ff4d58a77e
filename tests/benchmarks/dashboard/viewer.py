"""A reader of the dashboard without a browser: opens pages, and keeps streams open."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import quote

import aiohttp


@asynccontextmanager
async def signed_in(url: str, token: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A session of a signed-in reader. The cookie is for browsers on a secure connection, so it is sent as a header."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        form = {"token": token, "next": "/dashboard/"}
        async with session.post(f"{url}/dashboard/sign-in", data=form, allow_redirects=False) as answer:
            if answer.status != 303:
                raise SystemExit(f"the sign-in was answered {answer.status}")
            cookie = "; ".join(f"{name}={value.value}" for name, value in answer.cookies.items())
    headers = {"Cookie": cookie}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), headers=headers, connector=connector
    ) as session:
        yield session


@asynccontextmanager
async def watching(
    sessions: Sequence[aiohttp.ClientSession], url: str, page: str, count: int
) -> AsyncIterator[list[int]]:
    """Keeps `count` streams of a page open while the block runs, in turn of the sessions. Yields the bytes that each of
    them has received."""
    received = [0] * count

    async def read(number: int) -> None:
        address = f"{url}/dashboard/live?page={quote(page, safe='')}"
        timeout = aiohttp.ClientTimeout(total=None)
        async with sessions[number % len(sessions)].get(
            address, headers={"Accept": "text/event-stream"}, timeout=timeout
        ) as answer:
            if answer.status != 200:
                raise SystemExit(f"the stream was answered {answer.status}: {await answer.text()}")
            async for chunk in answer.content.iter_any():
                received[number] += len(chunk)

    tasks = [asyncio.create_task(read(number)) for number in range(count)]
    try:
        until = asyncio.get_running_loop().time() + 30
        while not all(received):
            if asyncio.get_running_loop().time() > until:
                raise SystemExit(f"{received.count(0)} of {count} streams have received nothing")
            await asyncio.sleep(0.1)
        yield received
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
