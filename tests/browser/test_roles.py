"""A viewer sees every page and has no button that acts. That requests are refused, too, is tested without a browser."""

from playwright.async_api import Page

from tests.browser.clinic import Clinic
from tests.browser.pages import PAGES
from tests.browser.visitors import Visitors

OWN_ACTIONS = {
    "/dashboard/preferences", "/dashboard/sign-out", "/dashboard/live/moments", "/dashboard/_components/form"
}  # fmt: skip
"""What is everyone's: they change nothing but what the visitor sees."""
ACTIONS_OF = "forms => forms.map(form => new URL(form.action).pathname)"


async def forms(page: Page) -> set[str]:
    """The addresses of the forms of a page that act."""
    found: list[str] = await page.locator("form[method=post]").evaluate_all(ACTIONS_OF)
    return set(found) - OWN_ACTIONS


async def test_a_viewer_has_no_button_that_acts(visitors: Visitors, clinic: Clinic) -> None:
    """On no page, and no page that is a form for an action. An operator has some."""
    of_viewer: dict[str, set[str]] = {}
    of_operator: set[str] = set()
    async with visitors.visitor("viewer") as viewer, visitors.visitor("operator") as operator:
        for shown in PAGES:
            address = await shown.address(clinic)
            is_refused = shown.acting or shown.admin
            of_viewer[shown.name] = await forms(await viewer.open(address, status=403 if is_refused else 200))
            of_operator |= await forms(await operator.open(address, status=403 if shown.admin else 200))
    assert {name: found for name, found in of_viewer.items() if found} == {}
    assert of_operator
