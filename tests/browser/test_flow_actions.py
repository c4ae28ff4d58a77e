"""What is done on the pages of flows, by mouse and by keyboard, with its effect in the database."""

import pytest
from playwright.async_api import expect

from tests.browser.clinic import Clinic
from tests.browser.hands import HOWS, Hands, How
from tests.browser.visitors import Visitors
from tests.flow_runner.harness import flow, node
from tests.waiting import PATIENCE_S

PATIENCE_MS = PATIENCE_S * 1000
PUBLISHED = "select published_version from flows where id = $1 and published_version = $2"

by = pytest.mark.parametrize("how", HOWS)


def greeting(text: str) -> dict[str, object]:
    """A flow that sends this text."""
    return flow(node("ola", "message", channel="whatsapp", to="1", text=text), edges="start>ola", name="Olá")


@by
async def test_roll_back(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """The page shows what changes; then the earlier version is published again, as a new one."""
    flow_id = f"ola-{how}"
    for text in ("Bom dia!", "Boa tarde!"):
        await clinic.pipeline.api("PUT", f"/api/flows/{flow_id}", greeting(text))
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(f"/flows/{flow_id}?tab=versions")
        hands = Hands(page, how)
        await hands.press(page.locator("a[href$='/versions/1/roll-back']"))
        await expect(page.locator("pre.value", has_text="Bom dia!")).to_be_visible(timeout=PATIENCE_MS)
        await expect(page.locator("pre.value", has_text="Boa tarde!")).to_be_visible(timeout=PATIENCE_MS)
        await hands.press(page.locator("form button.primary"))
        await page.wait_for_url(f"**/dashboard/flows/{flow_id}?tab=versions")
        await clinic.until(PUBLISHED, flow_id, 3)
        await expect(page.locator("[role=status]", has_text="Version 3")).to_be_visible(timeout=PATIENCE_MS)


@by
async def test_a_node_leads_to_its_figures_and_executions(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """A click on a node of the heat map selects it; the link in its panel lists the executions that failed there."""
    async with visitors.visitor("viewer") as visitor:
        page = await visitor.open("/flows/marcar-consulta")
        hands = Hands(page, how)
        await hands.press(page.locator("a.node", has_text="reserva"))
        panel = page.locator("#node")
        await expect(panel.locator("h2")).to_contain_text("reserva", timeout=PATIENCE_MS)
        await hands.press(panel.locator("a[href*='stepStatus=failed']"))
        await page.wait_for_url("**/dashboard/executions?*nodeId=reserva*")
        await expect(page.locator("h1")).to_be_visible(timeout=PATIENCE_MS)
        await expect(page.locator("main")).to_contain_text("With a step of the node", timeout=PATIENCE_MS)


async def test_an_edge_leads_to_the_executions_that_took_it(visitors: Visitors) -> None:
    """By mouse; the table below has the same link for the keyboard. `g f` opens the list of flows."""
    async with visitors.visitor("viewer") as visitor:
        page = await visitor.open("/flows/marcar-consulta")
        # A curved one: the box of a straight line has no width, so that it counts as invisible.
        edge = page.locator(".edges a[href*='handle=invalid']").locator(".edge-hit")
        await edge.click(timeout=PATIENCE_MS)
        await page.wait_for_url("**/dashboard/executions?*nodeId=menu*handle=invalid*")
        await page.keyboard.press("g")
        await page.keyboard.press("f")
        await page.wait_for_url("**/dashboard/flows")
