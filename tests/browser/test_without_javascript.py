"""The dashboard without JavaScript: every page is complete, and actions work."""

from tests.browser.clinic import Clinic
from tests.browser.looks import DEFAULT
from tests.browser.pages import PAGES
from tests.browser.visitors import Visitors


async def test_every_page_is_complete(visitors: Visitors, clinic: Clinic) -> None:
    """It has its heading and its navigation, no part waits for a script, and no button needs one."""
    async with visitors.visitor("admin", DEFAULT, javascript=False) as visitor:
        for shown in PAGES:
            page = await visitor.open(await shown.address(clinic))
            assert await page.locator("h1").count() == 1, shown.name
            assert await page.locator("nav a").count() > 5, shown.name
            if shown.name == "components":
                continue  # its examples of buttons do nothing
            for button in await page.locator("button:visible").all():
                acts = await button.evaluate("button => button.form !== null && button.type === 'submit'")
                assert acts, f"{shown.name}: {await button.inner_text()} needs a script"
