"""live.js: the page follows the stream, and the reader loses nothing of what they do: focus, selection, typed text."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Page

from tests.browser.live_page import SCRIPTS, LivePage
from tests.waiting import eventually

WITHOUT_IDIOMORPH = tuple(name for name in SCRIPTS if "idiomorph" not in name)
STATE = "[data-live-state]"


@pytest.fixture(params=[SCRIPTS, WITHOUT_IDIOMORPH], ids=["idiomorph", "without-idiomorph"])
def live(request: pytest.FixtureRequest) -> LivePage:
    """A page with the region `state`, with and without the vendor's file."""
    page = LivePage(scripts=request.param)
    page.regions = {"state": "<p>first</p>"}
    return page


@asynccontextmanager
async def watching(live: LivePage, browser: Browser) -> AsyncIterator[Page]:
    """The page, once it has received its regions."""
    async with live.opened(browser) as page:
        await eventually(lambda: live.hub.viewers == 1)
        await follows(live, page, "live")
        yield page


async def follows(live: LivePage, page: Page, state: str) -> None:
    """Ticks until the page shows this state of the stream."""

    async def shown() -> bool:
        await live.show()
        return await page.locator(STATE).get_attribute("data-state") == state

    await eventually(shown)


async def shows(live: LivePage, page: Page, selector: str, text: str) -> None:
    """Ticks until the element has this text."""

    async def shown() -> bool:
        await live.show()
        found = await page.evaluate("selector => document.querySelector(selector)?.innerText.trim()", selector)
        return bool(found == text)

    await eventually(shown)


def rows(ids: Iterable[int], state: str = "active") -> str:
    """Rows of a list."""
    return "".join(
        f'<li id="row-{number}" data-row><input type="checkbox" id="box-{number}" aria-label="select {number}">'
        f'<a href="#{number}" id="link-{number}">execution {number}</a> <span>{state}</span></li>'
        for number in ids
    )


async def test_a_region_follows_the_stream(live: LivePage, browser: Browser) -> None:
    async with watching(live, browser) as page:
        live.regions["state"] = "<p>second <svg><circle r='3' class='dot'></circle></svg></p>"
        await shows(live, page, "#state", "second")
        assert await page.evaluate("document.querySelector('.dot').namespaceURI") == "http://www.w3.org/2000/svg"


async def test_the_reader_keeps_focus_typed_text_ticked_boxes_and_opened_details(
    live: LivePage, browser: Browser
) -> None:
    content = (
        '<p id="count">{n}</p><input id="name" value="given" aria-label="name">'
        '<input type="checkbox" id="box" aria-label="box"><details id="more"><summary>More</summary>text</details>'
        '<a href="#x" id="link">link</a>'
    )
    live.regions["state"] = content.format(n=1)
    async with watching(live, browser) as page:
        await page.fill("#name", "typed")
        await page.check("#box")
        await page.click("#more summary")
        await page.focus("#link")
        live.regions["state"] = content.format(n=2)
        await shows(live, page, "#count", "2")
        assert await page.evaluate("document.activeElement.id") == "link"
        assert await page.input_value("#name") == "typed"
        assert await page.is_checked("#box")
        assert await page.locator("#more").get_attribute("open") is not None


async def test_the_page_stays_where_it_was_scrolled_to(live: LivePage, browser: Browser) -> None:
    content = '<p id="count">{n}</p>' + "".join(f"<p>line {number}</p>" for number in range(300))
    live.regions["state"] = content.format(n=1)
    async with watching(live, browser) as page:
        await page.evaluate("window.scrollTo(0, 2000)")
        live.regions["state"] = content.format(n=2)
        await shows(live, page, "#count", "2")
        assert await page.evaluate("window.scrollY") == 2000


async def test_text_that_is_being_selected_changes_later(live: LivePage, browser: Browser) -> None:
    live.regions["other"] = "<p>1</p>"
    async with watching(live, browser) as page:
        await page.evaluate("document.getSelection().selectAllChildren(document.querySelector('#state p'))")
        live.regions = {"state": "<p>second</p>", "other": "<p>2</p>"}
        await shows(live, page, "#other", "2")
        assert await page.inner_text("#state") == "first"
        await page.evaluate("document.getSelection().removeAllRanges()")
        live.regions["other"] = "<p>3</p>"
        await shows(live, page, "#other", "3")
        assert await page.inner_text("#state") == "second"


async def test_rows_change_where_they_are_and_new_ones_wait_for_the_reader(live: LivePage, browser: Browser) -> None:
    live.regions, live.rows = {"list": rows([3, 2, 1])}, {"list"}
    async with watching(live, browser) as page:
        await page.check("#box-2")
        await page.focus("#link-2")
        live.regions["list"] = rows([5, 4, 3, 2, 1], "completed")
        await shows(live, page, "#row-2 span", "completed")
        assert await page.locator("[data-row]").count() == 3
        button = page.locator("[data-new-for]")
        assert await button.inner_text() == "2 new"
        assert await page.evaluate("document.activeElement.id") == "link-2"
        assert await page.is_checked("#box-2")
        await button.click()
        assert [await row.get_attribute("id") for row in await page.locator("[data-row]").all()] == [
            "row-5", "row-4", "row-3", "row-2", "row-1",
        ]  # fmt: skip
        assert await button.is_hidden()
        assert await page.is_checked("#box-2")
        assert await page.evaluate("document.activeElement.id") == "link-5"


async def test_a_row_that_no_longer_matches_stays_and_looks_outdated(live: LivePage, browser: Browser) -> None:
    live.regions, live.rows = {"list": rows([4, 3, 2, 1])}, {"list"}
    async with watching(live, browser) as page:
        live.regions["list"] = rows([5, 4, 2], "changed")
        await shows(live, page, "#row-2 span", "changed")
        outdated = await page.locator(".row-outdated").all()
        # Row 1 is on the next page now: row 5 is before it.
        assert [await row.get_attribute("id") for row in outdated] == ["row-3"]


async def test_an_empty_list_gets_its_first_rows_at_once(live: LivePage, browser: Browser) -> None:
    live.regions, live.rows = {"list": "<li>Nothing yet</li>"}, {"list"}
    async with watching(live, browser) as page:
        live.regions["list"] = rows([1])
        await shows(live, page, "#row-1 span", "active")


async def test_a_frozen_page_changes_no_more_and_its_address_has_the_moment(live: LivePage, browser: Browser) -> None:
    async with watching(live, browser) as page:
        await page.keyboard.press(".")
        await eventually(lambda: live.stored)
        await page.wait_for_url(f"**/?at={live.stored[0]}")
        assert (await page.inner_text(STATE)).startswith("frozen at ")
        assert await page.get_attribute("form button", "aria-pressed") == "true"
        assert await page.inner_text("form button") == "Continue"
        await eventually(lambda: live.hub.viewers == 0)
        live.regions["state"] = "<p>later</p>"
        await page.click("form button")
        await shows(live, page, "#state", "later")
        assert "at=" not in page.url


async def test_a_page_that_cannot_store_the_moment_is_frozen_all_the_same(live: LivePage, browser: Browser) -> None:
    async with watching(live, browser) as page:
        await page.route("**/moments", lambda route: route.fulfill(status=503))
        await page.click("form button")
        await page.wait_for_selector(f"{STATE}[data-state=held]")
        assert "at=" not in page.url


async def test_only_a_visible_page_holds_a_stream(live: LivePage, browser: Browser) -> None:
    hide = """hidden => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    async with watching(live, browser) as page:
        await page.evaluate(hide, True)
        await eventually(lambda: live.hub.viewers == 0)
        live.regions["state"] = "<p>meanwhile</p>"
        await page.evaluate(hide, False)
        await shows(live, page, "#state", "meanwhile")


async def test_a_lost_stream_is_opened_again_and_again(live: LivePage, browser: Browser) -> None:
    async with watching(live, browser) as page:
        live.refuses = True
        opened = live.streams
        live.end_streams()
        await eventually(lambda: live.streams >= opened + 2)
        await page.wait_for_selector(f"{STATE}[data-state=lost]")
        live.refuses = False
        live.regions["state"] = "<p>again</p>"
        await shows(live, page, "#state", "again")
        await follows(live, page, "live")


async def test_a_session_that_ends_ends_the_stream_for_good(live: LivePage, browser: Browser) -> None:
    async with watching(live, browser) as page:
        live.is_allowed = False
        live.regions["state"] = "<p>secret</p>"
        await follows(live, page, "ended")
        assert await page.inner_text("#state") == "first"


async def test_a_session_that_ended_while_the_stream_was_lost_is_noticed(live: LivePage, browser: Browser) -> None:
    async with watching(live, browser) as page:
        live.refusal, live.refuses = 401, True
        live.end_streams()
        await page.wait_for_selector(f"{STATE}[data-state=ended]")


async def test_shortcuts_do_nothing_in_a_field_and_can_be_switched_off(browser: Browser) -> None:
    live = LivePage()
    live.regions = {"list": rows([2, 1])}
    live.extra = (
        '<input id="search" data-shortcut="/" aria-label="search"><a href="#queues" data-shortcut="g q">Queues</a>'
        '<dialog id="shortcuts"><h2>Keys</h2><label><input type="checkbox" data-shortcuts-switch> on</label></dialog>'
    )
    async with live.opened(browser) as page:
        focused = "document.activeElement.id"
        await page.keyboard.press("/")
        assert await page.evaluate(focused) == "search"
        await page.keyboard.type("g q . j ?")
        assert await page.input_value("#search") == "g q . j ?"
        assert "#queues" not in page.url
        await page.keyboard.press("Escape")

        async def is_at_the_queues() -> bool:
            await page.keyboard.type("gq")  # again, where more than the time for a second key lay between the two
            return "#queues" in page.url

        await eventually(is_at_the_queues)
        await page.keyboard.press("j")
        assert await page.evaluate(focused) == "link-2"
        await page.keyboard.press("j")
        await page.keyboard.press("x")
        assert await page.is_checked("#box-1")
        await page.keyboard.press("k")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/#2")
        await page.keyboard.press("?")
        await page.uncheck("[data-shortcuts-switch]")
        await page.keyboard.press("Escape")
        await page.evaluate("document.activeElement.blur()")
        await page.keyboard.type("/gq")
        assert await page.evaluate(focused) != "search"
        assert not await page.locator("#shortcuts").evaluate("dialog => dialog.open")
