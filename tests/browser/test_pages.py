"""Every page of the table: without faults in the browser, accessible, in each theme, language and width."""

import itertools

import pytest

from tests.browser import accessibility
from tests.browser.clinic import Clinic
from tests.browser.looks import EVERY, Look
from tests.browser.pages import PAGES, DashboardPage
from tests.browser.visitors import Visitors
from tests.long_form import LONG

# The short form opens each page in one look, another one for each page, so that each look is seen.
SHORT = [(page, EVERY[number % len(EVERY)]) for number, page in enumerate(PAGES)]
SHOWN = list(itertools.product(PAGES, EVERY)) if LONG else SHORT
BACKGROUND = {"light": "rgb(250, 250, 248)", "dark": "rgb(17, 20, 19)"}


@pytest.mark.parametrize(("shown", "look"), SHOWN, ids=lambda each: each.name if hasattr(each, "name") else str(each))
async def test_a_page_opens(visitors: Visitors, clinic: Clinic, shown: DashboardPage, look: Look) -> None:
    """It has its language, its theme and one heading, fits its window, and axe finds nothing serious."""
    async with visitors.visitor("admin", look) as visitor:
        page = await visitor.open(await shown.address(clinic))
        assert await page.get_attribute("html", "lang") == look.language
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == BACKGROUND[look.theme]
        assert await page.locator("h1").count() == 1
        assert (await page.title()).strip()
        assert await page.locator("nav.rail li a").count() > 10
        await accessibility.fits(page)
        await accessibility.check(page)
