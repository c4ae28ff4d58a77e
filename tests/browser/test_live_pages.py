"""The live pages in a browser: they change by themselves, keep what the reader does, and can be frozen and sent on."""

import re

from filas.contract.policies import FLOWS
from tests.browser.clinic import PHONES, Clinic
from tests.browser.visitors import Visitor, Visitors
from tests.browser.watched import settled
from tests.waiting import eventually

STATE = "[data-live-state]"


async def is_paused(clinic: Clinic) -> bool:
    """Whether the queue `flow-processing` is paused, as Postgres has it."""
    return bool(await clinic.database.fetchval("select count(*) from queue_pauses where queue = $1", FLOWS.name))


async def opened(visitor: Visitor, path: str) -> Visitor:
    """The visitor on a page that is live."""
    await visitor.open(path)
    await visitor.page.wait_for_selector(f"{STATE}[data-state=live]")
    return visitor


async def test_a_queue_is_paused_by_mouse_and_resumed_by_keyboard(visitors: Visitors, clinic: Clinic) -> None:
    """A second reader sees it without loading the page. Its form works too, although the stream has drawn it."""
    async with visitors.visitor("operator") as first, visitors.visitor("admin") as second:
        await opened(second, "/queues")
        page = (await opened(first, "/queues")).page
        await page.click("form[action='/dashboard/queues/flow/pause'] button")
        await page.wait_for_selector(".notice.completed")
        assert await is_paused(clinic)
        resume = "form[action='/dashboard/queues/flow/resume'] button"
        await second.page.wait_for_selector(resume)
        await second.page.focus(resume)
        await second.page.keyboard.press("Enter")
        await second.page.wait_for_selector(".notice.completed")

        async def is_resumed() -> bool:
            return not await is_paused(clinic)

        await eventually(is_resumed)


async def test_a_frozen_moment_is_sent_to_a_colleague(visitors: Visitors) -> None:
    """It shows the same figures, in the colleague's own language, and does not change."""
    async with visitors.visitor("admin") as first, visitors.visitor("viewer") as second:
        page = (await opened(first, "/")).page
        await page.keyboard.press(".")
        await page.wait_for_url(re.compile(r"\?at=\d+$"))
        assert await page.get_attribute(STATE, "data-state") == "frozen"
        there = await second.open(page.url.partition("/dashboard")[2])
        assert await there.get_attribute(STATE, "data-state") == "frozen"
        assert await there.get_attribute("body", "data-live") is None
        await there.keyboard.press(".")
        await there.wait_for_selector(f"{STATE}[data-state=live]")
        assert "at=" not in there.url


async def test_a_new_event_waits_until_its_reader_asks_for_it(visitors: Visitors, clinic: Clinic) -> None:
    async with visitors.visitor("viewer") as visitor:
        page = (await opened(visitor, "/events")).page
        first = await page.locator("[data-row-href]").first.get_attribute("data-row-href")
        event_id = await clinic.say(PHONES[0], "uma pergunta nova")
        button = page.locator("[data-new-for]")
        await button.wait_for(state="visible")
        assert await page.locator("[data-row-href]").first.get_attribute("data-row-href") == first
        await button.click()
        await page.wait_for_selector(f"[data-row-href='/dashboard/events/{event_id}']")
        assert await button.is_hidden()


async def test_a_mark_in_the_picture_leads_to_its_finding(visitors: Visitors) -> None:
    async with visitors.visitor("viewer") as visitor:
        page = (await opened(visitor, "/")).page
        mark = page.locator(".pipeline-wide .mark").first
        target = await mark.get_attribute("href")
        assert target is not None
        await mark.focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/dashboard/{target}")
        assert await page.locator(f"[id='{target[1:]}']").is_visible()


async def test_pages_are_reached_and_explained_by_keyboard(visitors: Visitors) -> None:
    async with visitors.visitor("viewer") as visitor:
        page = await visitor.open("/doctor")
        await page.keyboard.type("gq")
        await page.wait_for_url("**/dashboard/queues")
        await settled(page)
        await page.keyboard.press("j")
        assert await page.evaluate("document.activeElement.textContent") == "webhook-processing"
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/dashboard/queues/webhook")
        await settled(page)
        await page.keyboard.press("?")
        await page.wait_for_selector("dialog#shortcuts[open]")
        await page.keyboard.press("Escape")
        await page.wait_for_selector("dialog#shortcuts", state="hidden")


async def test_the_pages_work_without_javascript(visitors: Visitors, clinic: Clinic) -> None:
    async with visitors.visitor("operator", javascript=False) as visitor:
        page = visitor.page
        for path in ("/", "/queues", "/queues/webhook?state=completed", "/doctor"):
            await page.goto(f"{visitor.url}/dashboard{path}")
            assert await page.locator("h1").is_visible()
        await page.goto(f"{visitor.url}/dashboard/queues")
        await page.click("form[action='/dashboard/queues/flow/pause'] button")
        assert await is_paused(clinic)
        await page.click("form[action='/dashboard/queues/flow/resume'] button")
        assert not await is_paused(clinic)
        await page.goto(f"{visitor.url}/dashboard/")
        await page.click("form[data-freeze] button")
        assert re.search(r"/dashboard/\?at=\d+$", page.url)
