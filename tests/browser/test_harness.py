"""The harness finds the faults that it is to find, on pages that have them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page

from tests.browser import accessibility
from tests.browser.clinic import Clinic
from tests.browser.watched import Watch
from tests.ports import free_port
from tests.waiting import eventually

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'"
TITLE = '<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="/ok">'
GOOD = f"{TITLE}<main><h1>A page</h1><p>Text</p></main>"
OTHER = free_port()

FAULTS = {
    "inline script": (f"{GOOD}<script>alert(1)</script>", "script-src"),
    "inline style": (f'{GOOD}<p style="color:red">x</p>', "style-src"),
    "file that is missing": (f'{GOOD}<img alt="x" src="/missing">', "404"),
    "error of a script": (f'{GOOD}<script src="/throws.js"></script>', "uncaught"),
    "dialog": (f'{GOOD}<script src="/asks.js"></script>', "dialog"),
    "another host": (
        f'{GOOD}<a href="http://127.0.0.1:{OTHER}/">x</a><script src="/follow.js"></script>',
        "another host",
    ),
}
SCRIPTS = {
    "/asks.js": "alert('hello')",
    "/throws.js": "throw new Error('broken')",
    "/follow.js": "document.querySelector('a').click()",
}


@asynccontextmanager
async def watched(browser: Browser, html: str) -> AsyncIterator[tuple[Page, Watch]]:
    """A page with this HTML, open and watched."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/":
            headers = {"Content-Security-Policy": POLICY}
            return web.Response(text=html, content_type="text/html", headers=headers)
        if request.path in SCRIPTS:
            return web.Response(text=SCRIPTS[request.path], content_type="text/javascript")
        return web.Response(status=200 if request.path == "/ok" else 404)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        watch = Watch(f"http://127.0.0.1:{port}")
        async with await browser.new_context() as context:
            await watch.over(context)
            page = await context.new_page()
            await page.goto(f"http://127.0.0.1:{port}/", wait_until="load")
            yield page, watch
    finally:
        await runner.cleanup()


async def test_the_clinic_has_something_of_everything(clinic: Clinic) -> None:
    """Executions of each status that pages distinguish, dead letters of two kinds, refusals, and a paused channel."""
    statuses = {row["status"] for row in await clinic.database.fetch("select distinct status from executions")}
    assert statuses >= {"succeeded", "failed", "waiting-input", "waiting-timer", "waiting-callback"}
    messages = {row["status"] for row in await clinic.database.fetch("select distinct status from notifications")}
    assert messages >= {"sent", "delivered", "read", "failed"}
    assert await clinic.database.fetchval("select count(distinct error->>'message') from dead_letters") == 2
    assert await clinic.database.fetchval("select count(distinct reason) from refusals") == 4
    assert (await clinic.pipeline.api("GET", "/api/channels/sms"))["circuit"]["state"] == "open"


async def test_a_page_without_faults_passes(browser: Browser) -> None:
    """Nothing is found where there is nothing."""
    async with watched(browser, GOOD) as (page, watch):
        await accessibility.check(page)
        await accessibility.fits(page)
        watch.check()


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_of_a_page_fails_the_test(browser: Browser, name: str) -> None:
    """Each kind, with a message that names it."""
    html, named = FAULTS[name]
    async with watched(browser, html) as (_, watch):
        await eventually(lambda: any(named in fault for fault in watch.faults), 30, message=f"{named}: {watch.faults}")
        with pytest.raises(AssertionError, match=named):
            watch.check()


async def test_what_a_screen_reader_cannot_read_fails_the_test(browser: Browser) -> None:
    """A picture and a field without names."""
    async with watched(browser, f'{GOOD}<img src="/ok"><input>') as (page, _):
        with pytest.raises(AssertionError, match="image-alt"):
            await accessibility.check(page)


async def test_a_page_that_is_too_wide_fails_the_test(browser: Browser) -> None:
    """The message names the element."""
    async with watched(browser, f'{GOOD}<svg class="too-wide" width="5000"></svg>') as (page, _):
        with pytest.raises(AssertionError, match="too-wide"):
            await accessibility.fits(page)
