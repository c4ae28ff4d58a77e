"""The flow editor: a flow is drawn by mouse and by keyboard, saved as a draft, and published."""

import json
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.clinic import Clinic
from tests.browser.flow_editor import FlowEditor, open_editor
from tests.browser.hands import How
from tests.browser.visitors import Visitors
from tests.long_form import LONG

PUBLISHED = """
select definition from flow_versions v join flows f on f.id = v.flow_id and f.published_version = v.version
where f.id = $1 and v.version >= $2"""
DRAFT = "select definition from flow_drafts where flow_id = $1"


async def stored(clinic: Clinic, query: str, flow_id: str, *arguments: object) -> dict[str, Any]:
    """A definition as the database has it, once it has it."""
    found = await clinic.until(query, flow_id, *arguments)
    definition: dict[str, Any] = json.loads(found) if isinstance(found, str) else found
    return definition


def shape(flow: dict[str, Any]) -> list[tuple[str, str]]:
    """Which nodes lead to which."""
    return [(edge["source"], edge["target"]) for edge in flow["edges"]]


async def build(editor: FlowEditor, name: str) -> str:
    """Names a new flow, and lets its trigger lead to an end."""
    await editor.name(name)
    await editor.add("end", (500, 200))
    if not (await editor.flow())["edges"]:
        await editor.connect("start", "end")
    await editor.saved()
    return name.lower().replace(" ", "-")


async def test_a_flow_of_two_nodes_by_mouse(visitors: Visitors, clinic: Clinic) -> None:
    """The draft and the published version are what was drawn, and the address is that of the flow."""
    await two_nodes(visitors, clinic, "mouse")


async def test_a_flow_of_two_nodes_by_keyboard(visitors: Visitors, clinic: Clinic) -> None:
    """The same, with the keyboard alone."""
    await two_nodes(visitors, clinic, "keyboard")


async def two_nodes(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """Draws a flow, checks the draft, publishes it, and checks the version."""
    async with visitors.visitor("operator") as visitor:
        editor = await open_editor(visitor, "new", how)
        if how == "keyboard":
            await editor.select("start")
        flow_id = await build(editor, f"Drawn by {how}")
        drawn = await editor.flow()
        assert shape(drawn) == [("start", "end")]
        assert await stored(clinic, DRAFT, flow_id) == drawn
        await editor.publish()
        assert await stored(clinic, PUBLISHED, flow_id, 1) == drawn
        assert await clinic.database.fetchval("select count(*) from flow_drafts where flow_id = $1", flow_id) == 0
        assert editor.page.url.endswith(f"/flows/{flow_id}/edit")
        assert await editor.page.locator("h1").inner_text() == f"Edit the flow Drawn by {how}"


async def test_errors_are_shown_at_the_node_while_it_is_edited(visitors: Visitors, clinic: Clinic) -> None:
    """With a shape and a word. They prevent publication, and end when the flow is corrected."""
    async with visitors.visitor("operator") as visitor:
        editor = await open_editor(visitor, "new")
        await editor.name("With an error")
        await editor.add("loop", (500, 200))
        await expect(editor.node("loop").locator(".card-problems")).to_contain_text("✕")
        await editor.page.locator("#publish").click()
        dialog = editor.page.locator("dialog[open]")
        await expect(dialog.locator(".findings")).to_be_visible()
        await expect(dialog.locator("button.primary")).to_be_disabled()
        await editor.page.keyboard.press("Escape")
        await editor.select("loop")
        await editor.page.keyboard.press("Delete")
        await expect(editor.node("loop")).to_have_count(0)
        await expect(editor.page.locator("#tab-problems")).to_have_text("Problems")


@pytest.mark.skipif(not LONG, reason="the long form")
async def test_a_viewer_sees_the_flow_and_changes_nothing(visitors: Visitors, clinic: Clinic) -> None:
    """The nodes cannot be moved, deleted or connected, and nothing is saved."""
    async with visitors.visitor("viewer") as visitor:
        editor = await open_editor(visitor, "marcar-consulta")
        before = await editor.flow()
        await editor.select("menu")
        await editor.page.keyboard.press("Delete")
        await editor.page.keyboard.press("ArrowRight")
        await editor.page.locator('[data-type="end"]').click()
        await editor.drag(editor.node("menu"), editor.canvas)
        assert await editor.flow() == before
        assert await editor.page.locator("#publish").count() == 0
        assert "viewer" in await editor.page.locator(".editor-status").inner_text()
