"""The test run in the flow editor: a chat with the flow, its path on the canvas, and saved tests."""

from typing import Any

from playwright.async_api import Page, expect

from tests.browser.clinic import Clinic
from tests.browser.flow_editor import FlowEditor, open_editor
from tests.browser.hands import HOWS, Hands, How
from tests.browser.visitors import Visitors
from tests.long_form import LONG

CHOICES = [{"id": "hours", "title": "Horário"}, {"id": "person", "title": "Atendente"}]
MENU: dict[str, Any] = {
    "schemaVersion": 1,
    "name": "Menu under test",
    "variables": [{"name": "price", "type": "any"}],
    "nodes": [
        {"id": "start", "type": "webhook", "position": {"x": 0, "y": 0}, "data": {"mode": "trigger"}},
        {"id": "menu", "type": "input", "position": {"x": 260, "y": 0}, "data": {
            "prompt": "Como ajudar?", "kind": "choice", "choices": CHOICES, "timeoutMs": 900_000}},
        {"id": "hours", "type": "message", "position": {"x": 520, "y": -120}, "data": {"text": "Das 9h às 18h."}},
        {"id": "price", "type": "api", "position": {"x": 520, "y": 0}, "data": {
            "url": "https://prices.example/today", "responseMapping": [{"variable": "price", "path": "body.price"}]}},
        {"id": "person", "type": "message", "position": {"x": 780, "y": 0}, "data": {
            "text": "Custa {{ vars.price }}."}},
        {"id": "silent", "type": "message", "position": {"x": 520, "y": 120}, "data": {"text": "Até logo!"}},
    ],
    "edges": [
        {"id": "e1", "source": "start", "target": "menu"},
        {"id": "e2", "source": "menu", "sourceHandle": "hours", "target": "hours"},
        {"id": "e3", "source": "menu", "sourceHandle": "person", "target": "price"},
        {"id": "e4", "source": "menu", "sourceHandle": "timeout", "target": "silent"},
        {"id": "e5", "source": "price", "target": "person"},
    ],
}  # fmt: skip


class TestPanel:
    """The panel of the test run of an open editor."""

    __test__ = False

    def __init__(self, editor: FlowEditor, how: How) -> None:
        self.editor = editor
        self.page: Page = editor.page
        self.hands = Hands(editor.page, how)
        self.panel = editor.page.locator("#panel-test")
        self.lines = self.panel.locator(".chat > *")
        self.state = self.panel.locator(".test-state")

    async def say(self, text: str) -> None:
        """Writes as the contact."""
        await self.hands.write(self.panel.locator("[name=message]"), text)
        await self.page.keyboard.press("Enter")

    async def press(self, selector: str) -> None:
        """Presses a button of the panel."""
        await self.hands.press(self.panel.locator(selector))

    async def path(self) -> list[str]:
        """The nodes that light up on the canvas."""
        cards = self.page.locator(".react-flow__node:has(.card-taken)")
        ids = [await card.get_attribute("data-id") for card in await cards.all()]
        return sorted(node_id for node_id in ids if node_id)


async def open_panel(visitor: Any, flow_id: str, how: How) -> TestPanel:
    """Opens the editor of the flow with the panel of the test run."""
    editor = await open_editor(visitor, flow_id, how)
    panel = TestPanel(editor, how)
    if how == "mouse":
        await editor.page.locator("#tab-test").click()
    else:
        await panel.hands.press(editor.page.locator("#tab-node"))
        await editor.page.keyboard.press("ArrowRight")
        await editor.page.keyboard.press("ArrowRight")
    await expect(panel.panel.locator("[name=message]")).to_be_visible()
    return panel


async def test_a_test_is_saved_from_the_chat_and_refuses_what_breaks_it(visitors: Visitors, clinic: Clinic) -> None:
    """The chat with the menu, its path and its steps; then the saved test, which passes, and which refuses the
    publication of a flow that answers something else."""
    for how in HOWS:
        await chat_and_save(visitors, clinic, how)


async def chat_and_save(visitors: Visitors, clinic: Clinic, how: How) -> None:
    flow_id = f"menu-tested-by-{how}"
    await clinic.pipeline.api("PUT", f"/api/flows/{flow_id}?skipTests=true", MENU)
    async with visitors.visitor("operator") as visitor:
        panel = await open_panel(visitor, flow_id, how)
        await panel.say("oi")
        await expect(panel.lines).to_have_count(2)
        await expect(panel.lines.nth(1)).to_contain_text("Como ajudar?")
        await expect(panel.state).to_contain_text("waits for a reply")
        await panel.press("[data-choice-id=hours]")
        await expect(panel.lines).to_have_count(4)
        await expect(panel.lines.nth(2)).to_contain_text("Horário")
        await expect(panel.lines.nth(3)).to_contain_text("Das 9h às 18h.")
        await expect(panel.state).to_contain_text("has ended")
        assert await panel.path() == ["hours", "menu", "start"]
        await panel.press(".chat-steps > summary")
        await panel.press(".chat-step-list li:nth-child(2) summary")
        await expect(panel.panel.locator(".chat-step-list li:nth-child(2) pre").last).to_contain_text('"hours"')

        await panel.press("#save-test")
        await panel.hands.write(panel.panel.locator("[name=test-name]"), "opening hours")
        await panel.page.keyboard.press("Enter")
        await expect(panel.panel.locator('[data-test="opening hours"]')).to_be_visible()
        saved = (await clinic.pipeline.api("GET", f"/api/flows/{flow_id}/tests/opening%20hours"))["expect"]
        assert (saved["status"], saved["chat"][-1]) == ("succeeded", "Das 9h às 18h.")
        await panel.press("#run-tests")
        await expect(panel.panel.locator('[data-test="opening hours"]')).to_contain_text("passed")

        flow = await panel.editor.flow()
        flow["nodes"][2]["data"]["text"] = "Das 10h às 17h."
        await panel.editor.set_flow(flow)
        await panel.press("#run-tests")
        await expect(panel.panel.locator(".test-differences")).to_contain_text('found "Das 10h às 17h."')
        await panel.editor.saved()
        visitor.watch.expect("422 (")
        await panel.hands.press(panel.page.locator("#publish"))
        dialog = panel.page.locator("dialog[open]")
        await expect(dialog.locator("button.primary")).to_be_enabled()
        await panel.hands.press(dialog.locator("button.primary"))
        await expect(dialog.locator(".findings")).to_contain_text("opening hours")
        await expect(dialog.locator(".findings")).to_contain_text("Das 10h às 17h.")
        assert (await clinic.pipeline.api("GET", f"/api/flows/{flow_id}"))["version"] == 1
        await panel.hands.press(dialog.locator("button.danger"))
        await expect(dialog.locator(".completed")).to_be_visible()
        assert (await clinic.pipeline.api("GET", f"/api/flows/{flow_id}"))["version"] == 2


async def test_waits_answers_and_events(visitors: Visitors, clinic: Clinic) -> None:
    """A wait times out at once, the call of an API gets the answer of the panel, and an event starts a flow. The run
    is repeated when the flow has changed, and what cannot be run is named."""
    if not LONG:
        return
    await clinic.pipeline.api("PUT", "/api/flows/menu-answers?skipTests=true", MENU)
    async with visitors.visitor("operator") as visitor:
        panel = await open_panel(visitor, "menu-answers", "mouse")
        await panel.say("oi")
        await panel.press("#wait-times-out")
        await expect(panel.lines.last).to_contain_text("Até logo!")
        await panel.press("#restart-test")
        await expect(panel.lines).to_have_count(0)

        await panel.press(".test-event > summary")
        await panel.hands.write(panel.panel.locator("[name=event-body]"), "{")
        await panel.press(".test-event form button")
        await expect(panel.panel.locator(".test-event [role=alert]")).to_contain_text("not JSON")
        await panel.hands.write(panel.panel.locator("[name=event-body]"), '{"order": 7}')
        await panel.press(".test-event form button")
        await expect(panel.lines.first).to_contain_text('{"order":7}')

        await panel.say("2")
        await expect(panel.lines.last).to_contain_text("Custa")
        await panel.press(".test-answers > summary")
        await panel.hands.write(panel.panel.locator('[data-answer-body="price"]'), '{"price": 40}')
        await panel.page.keyboard.press("Tab")
        await expect(panel.lines.last).to_contain_text("Custa 40.")

        flow = await panel.editor.flow()
        flow["nodes"][4]["data"]["text"] = "Agora {{ vars.price }}."
        await panel.editor.set_flow(flow)
        await panel.press("#repeat-test")
        await expect(panel.lines.last).to_contain_text("Agora 40.")
        visitor.watch.expect("422 (")
        await panel.editor.set_flow(flow | {"edges": flow["edges"][:-1]})
        await panel.press("#repeat-test")
        await expect(panel.panel.locator(".test-problems")).to_contain_text("person")
