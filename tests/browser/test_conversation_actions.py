"""What people do with conversations: find one, and cancel what waits in it."""

import itertools

import pytest

from tests.browser.clinic import Clinic
from tests.browser.visitors import Visitors

_numbers = itertools.count(1)


async def waiting(clinic: Clinic) -> tuple[str, str]:
    """A new contact whose flow waits for a reply: its number, and the execution."""
    phone = f"55859{next(_numbers):08}"
    execution_id = await clinic.talk(phone, "oi")
    await clinic.until_asked(execution_id, 1)
    return phone, execution_id


async def until_cancelled(clinic: Clinic, execution_id: str) -> None:
    """Waits until the flow-runner has ended the execution."""
    await clinic.until("select status = 'cancelled' from executions where id = $1::uuid", execution_id)


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_a_wait_is_cancelled_by_mouse(visitors: Visitors, clinic: Clinic, javascript: bool) -> None:
    """The number is typed in another form than the provider's."""
    phone, execution_id = await waiting(clinic)
    async with visitors.visitor("operator", javascript=javascript) as visitor:
        page = await visitor.open("/conversations")
        await page.fill("main input[name=q]", f"+{phone[:2]} ({phone[2:4]}) {phone[4:9]}-{phone[9:]}")
        await page.click("main .filters button")
        await page.wait_for_url("**/dashboard/conversations/*-*")
        assert await page.inner_text("h1") == phone
        await page.click(".confirm summary")
        await page.click(".confirm button.danger")
        await page.locator("[role=status]").filter(has_text="1 execution is being cancelled.").wait_for()
        await until_cancelled(clinic, execution_id)
        await page.reload()
        # Another test may have replayed the event, so that another execution waits.
        assert await page.locator(f".confirm input[name=execution][value='{execution_id}']").count() == 0


async def test_a_wait_is_cancelled_by_the_keyboard_alone(visitors: Visitors, clinic: Clinic) -> None:
    """From the search box of the page to the effect."""
    phone, execution_id = await waiting(clinic)
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open("/")
        await page.keyboard.press("/")
        await page.keyboard.type(phone[2:])
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/dashboard/conversations/*-*")
        for _ in range(80):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.matches('.confirm summary')"):
                break
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.matches('.confirm button.danger')")
        await page.keyboard.press("Enter")
        await page.locator("[role=status]").filter(has_text="1 execution is being cancelled.").wait_for()
        await until_cancelled(clinic, execution_id)


async def test_a_viewer_has_no_button(visitors: Visitors, clinic: Clinic) -> None:
    """The page states why."""
    phone, _ = await waiting(clinic)
    async with visitors.visitor("viewer") as visitor:
        page = await visitor.open(f"/conversations?q={phone}")
        assert await page.locator("main form:not(.filters) button").count() == 0
        assert "your role is viewer" in await page.inner_text("main")
