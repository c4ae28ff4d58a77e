"""search_more.js: a search whose time was over continues by itself, in the same page."""

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from playwright.async_api import Browser, expect

from filas.service.private_listener import serve_app
from ingest.dashboard import assets
from tests.browser.watched import Watch

MORE = '<p role="status"><span data-busy="busy">not all</span> <a data-search-more href="/search?page={}">on</a></p>'
PAGE = """<!doctype html><html lang="en"><title>search</title><link rel="icon" href="data:,">
<script src="/search_more.js" defer></script>
<main><div data-search-part>{rows}<div data-search-end>{end}</div></div></main></html>"""
PATIENCE_MS = 30_000


def page_of(rows: list[int], following: int | None) -> str:
    """A page of a search. Without rows it has no table."""
    table = "".join(f"<tr><td>{number}</td></tr>" for number in rows)
    shown = f"<table><tbody>{table}</tbody></table>" if rows else ""
    return PAGE.format(rows=shown, end="complete" if following is None else MORE.format(following))


def search_of(pages: list[tuple[list[int], int | None]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Answers the pages of a search. A page that does not exist is answered with 503."""

    async def answer(request: web.Request) -> web.Response:
        number = int(request.query.get("page", "0"))
        if number >= len(pages):
            return web.Response(status=503)
        return web.Response(text=page_of(*pages[number]), content_type="text/html")

    return answer


async def script(_request: web.Request) -> web.Response:
    """The script of the page."""
    return web.Response(body=assets.content_of("search_more.js"), content_type="text/javascript")


@pytest.mark.parametrize(
    ("pages", "rows", "end"),
    [
        ([([1, 2], 1), ([], 2), ([3], None)], ["1", "2", "3"], "complete"),
        ([([], 1), ([1], 2), ([2], None)], ["1", "2"], "complete"),
        ([([], 1), ([], None)], [], "complete"),
        ([(list(range(30)), 1), (list(range(30, 60)), 2)], [str(number) for number in range(60)], "not all on"),
        ([([1], 1), ([2], 7)], ["1", "2"], "not all on"),
    ],
    ids=["to-the-end", "from-an-empty-page", "nothing", "until-the-page-is-full", "until-a-failure"],
)
async def test_a_short_page_becomes_longer(
    browser: Browser, pages: list[tuple[list[int], int | None]], rows: list[str], end: str
) -> None:
    """Rows are added in their order. The link remains when the page is full, and when a request fails."""
    app = web.Application()
    app.add_routes([web.get("/search", search_of(pages)), web.get("/search_more.js", script)])
    async with serve_app(app, "127.0.0.1", 0) as port, await browser.new_context() as context:
        url = f"http://127.0.0.1:{port}"
        watch = Watch(url)
        watch.expect("503 (")
        await watch.over(context)
        page = await context.new_page()
        await page.goto(f"{url}/search")
        await expect(page.locator("[data-search-end]")).to_have_text(end, timeout=PATIENCE_MS)
        await expect(page.locator("td")).to_have_text(rows, timeout=PATIENCE_MS)
        watch.check()
