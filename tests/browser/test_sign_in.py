"""Sign-in and sign-out in a real browser: the cookie that it accepts, the way back, and the link."""

import pytest
from playwright.async_api import Browser, Page

from tests.browser import accessibility
from tests.browser.clinic import Clinic
from tests.browser.looks import DEFAULT, EVERY, NARROW, Look
from tests.browser.visitors import Visitors
from tests.browser.watched import settled
from tests.e2e.pipeline import ADMIN_TOKEN
from tests.long_form import LONG

LOOKS = EVERY if LONG else (Look("dark", "pt-BR", NARROW),)


def is_form(address: str) -> bool:
    """Whether the page is the sign-in form."""
    return "/dashboard/sign-in" in address


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_the_keyboard_signs_in_and_out(visitors: Visitors, javascript: bool) -> None:
    """The browser keeps the protected cookie of its own machine, and goes back to the page that was asked for."""
    async with visitors.visitor(None, DEFAULT, javascript=javascript) as visitor:
        page = await visitor.open("/conversations?channel=sms")
        assert is_form(page.url)
        assert await page.evaluate("document.activeElement.name") == "token"
        await page.keyboard.type(ADMIN_TOKEN)
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/dashboard/conversations?channel=sms")
        [cookie] = [one for one in await page.context.cookies() if one["name"].endswith("filas")]
        assert cookie["name"] == "__Host-filas"
        assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["path"]) == (True, True, "Lax", "/")
        await page.locator('form[action="/dashboard/sign-out"] button').focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url(is_form)
        assert not [one for one in await page.context.cookies() if one["name"].endswith("filas")]
        assert is_form((await visitor.open("/")).url)
        await page.go_back()
        assert "5531991234567" not in await page.content()


async def test_a_wrong_key_is_refused_on_the_form(visitors: Visitors) -> None:
    async with visitors.visitor(None) as visitor:
        page = await visitor.open("/refusals")
        visitor.watch.expect("401 (")
        await page.fill("input[name=token]", "not-a-key")
        await page.click("form button")
        await page.locator("[role=alert]").wait_for()
        assert "not a valid API key" in await page.inner_text("main")
        await page.fill("input[name=token]", ADMIN_TOKEN)
        await page.click("form button")
        await page.wait_for_url("**/dashboard/refusals")


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_the_form_is_accessible(visitors: Visitors, look: Look) -> None:
    async with visitors.visitor(None, look) as visitor:
        page = await visitor.open("/sign-in")
        assert await page.get_attribute("html", "lang") == look.language
        assert await page.locator("h1").count() == 1
        await accessibility.fits(page)
        await accessibility.check(page)


async def new_link(clinic: Clinic) -> str:
    """A new sign-in link: its path below `/dashboard`."""
    made = await clinic.pipeline.api("POST", "/api/sign-in-links")
    path: str = made["path"]
    return path.removeprefix("/dashboard")


async def test_a_link_that_is_opened_signs_in_at_once(visitors: Visitors, clinic: Clinic) -> None:
    """Once: another browser is refused. The first one has its session, and loads the address again without harm."""
    path = await new_link(clinic)
    async with visitors.visitor(None) as visitor, visitors.visitor(None) as other:
        page = await visitor.open(path)
        assert not is_form(page.url)
        assert "admin token" in await page.inner_text("nav")
        again = await visitor.open(path)
        assert not is_form(again.url)
        refused = await other.open(path, status=403)
        assert "was used" in await refused.inner_text("[role=alert]")


async def test_a_link_in_another_page_needs_a_click(browser: Browser, visitors: Visitors, clinic: Clinic) -> None:
    """And so a page that the browser loads in advance does not use it."""
    path = await new_link(clinic)
    async with visitors.visitor(None) as visitor:
        page: Page = visitor.page
        await page.set_content(f'<a href="{visitor.url}/dashboard{path}">open</a>')
        await page.click("a")
        await page.wait_for_url(is_form)
        await settled(page)
        assert "signs you in as admin token" in await page.inner_text("main")
        await page.keyboard.press("Enter")  # the button has the focus
        await page.wait_for_url(lambda address: not is_form(address))
        assert "admin token" in await page.inner_text("nav")
