"""A viewer sees every page and can act on none: by no button, and by no request."""

import re

from playwright.async_api import Page

from ingest.dashboard.application import PAGES as ROUTES
from tests.browser.clinic import Clinic
from tests.browser.pages import ASKING, LETTER, PAGES, WAITING_CONVERSATION
from tests.browser.visitors import Visitors

OWN_ACTIONS = {
    "/dashboard/preferences", "/dashboard/sign-out", "/dashboard/live/moments", "/dashboard/_components/form"
}  # fmt: skip
"""What is everyone's: they change nothing but what the visitor sees."""
SUBJECTS = {"dead-letters": LETTER, "executions": ASKING, "conversations": WAITING_CONVERSATION}
"""Finds what an action acts on, by the first part of its path. For other actions any id is enough."""
ACTIONS_OF = "forms => forms.map(form => new URL(form.action).pathname)"
POST = """
async ([path, csrf]) => {
  const body = new URLSearchParams({csrf, return: "/dashboard/"});
  const answer = await fetch(path, {method: "POST", body, redirect: "manual"});
  return [answer.status, await answer.text()];
}"""


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


async def test_a_viewer_is_refused_every_action(visitors: Visitors, clinic: Clinic) -> None:
    """Also without a button: the server answers 403 and names the role that is needed."""
    own = {path.removeprefix("/dashboard") for path in OWN_ACTIONS}
    actions = [route.path for route in ROUTES if route.method == "POST" and route.path not in own]
    assert actions
    ids = {section: str(await clinic.until(query)) for section, query in SUBJECTS.items()}
    allowed: dict[str, object] = {}
    async with visitors.visitor("viewer") as viewer:
        viewer.watch.expect("403 (")
        page = await viewer.open("/")
        csrf = await page.locator("input[name=csrf]").first.input_value()
        for path in actions:
            subject = ids.get(path.split("/")[1], ids["executions"])
            address = "/dashboard" + re.sub(r"{\w+}", subject, path.replace("{queue}", "notifications"))
            status, text = await page.evaluate(POST, [address, csrf])
            if status != 403 or "role" not in text:
                allowed[path] = (status, text[:500])
    assert allowed == {}
