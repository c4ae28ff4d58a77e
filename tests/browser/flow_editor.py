"""How a person uses the flow editor: with a mouse, or with the keyboard alone."""

import json
from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.browser.hands import HAS_FOCUS, Hands, How
from tests.browser.visitors import Visitor
from tests.waiting import PATIENCE_S

READY = "#editor:not([aria-busy])"
CENTER = """element => {
  const box = element.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
}"""

expect.set_options(timeout=PATIENCE_S * 1000)


class FlowEditor:
    """An open editor."""

    def __init__(self, page: Page, how: How) -> None:
        self.page = page
        self.hands = Hands(page, how)
        self._how = how

    @property
    def canvas(self) -> Locator:
        """The region with the drawing."""
        return self.page.locator("#editor-canvas .react-flow")

    def node(self, node_id: str) -> Locator:
        """A node on the canvas."""
        return self.page.locator(f'.react-flow__node[data-id="{node_id}"]')

    async def flow(self) -> dict[str, Any]:
        """The flow that is drawn."""
        flow: dict[str, Any] = await self.page.evaluate("filasEditor.store.get()")
        return flow

    async def node_ids(self) -> list[str]:
        """The ids of the nodes, in the order of the definition."""
        return [node["id"] for node in (await self.flow())["nodes"]]

    async def name(self, text: str) -> None:
        """Gives the flow its name. A new flow gets an id made of it."""
        field = self.page.locator("#flow-name")
        await self.hands.write(field, text)
        await field.press("Tab")

    async def add(self, node_type: str, at: tuple[int, int] = (300, 200)) -> str:
        """Adds a node: dropped at a place of the canvas, or by its key after the selected node. Returns its id."""
        before = set(await self.node_ids())
        item = self.page.locator(f'[data-type="{node_type}"]')
        if self._how == "mouse":
            await item.drag_to(self.canvas, target_position={"x": at[0], "y": at[1]})
        else:
            await self.hands.press(item)
        (added,) = set(await self.node_ids()) - before
        await expect(self.node(added)).to_be_visible()
        return added

    async def select(self, node_id: str) -> None:
        """Selects a node."""
        await self.hands.press(self.node(node_id))
        await self.page.wait_for_function("id => filasEditor.store.selection().join() === id", arg=node_id)

    async def connect(self, source: str, target: str, handle: str = "out") -> None:
        """Connects a handle of a node with another node."""
        if self._how == "mouse":
            output = self.node(source).locator(f'.react-flow__handle.source[data-handleid="{handle}"]')
            await self.drag(output, self.node(target).locator(".react-flow__handle.target"))
        else:
            await self.select(source)
            await self.page.keyboard.press("c")
            assert await self.page.locator("#connect-from").evaluate(HAS_FOCUS)
            await self.hands.choose(self.page.locator("#connect-from"), handle)
            await self.hands.choose(self.page.locator("#connect-to"), target)
            await self.hands.press(self.page.locator(".connect-form button"))
        await self.page.wait_for_function(
            """([source, target, handle]) => filasEditor.store.get().edges.some(edge =>
            edge.source === source && edge.target === target && (edge.sourceHandle ?? handle) === handle)""",
            arg=[source, target, handle],
        )

    async def drag(self, start: Locator, end: Locator) -> None:
        """Drags from the middle of an element to that of another one."""
        x, y = await start.evaluate(CENTER)
        await self.page.mouse.move(x, y)
        await self.page.mouse.down()
        x, y = await end.evaluate(CENTER)
        await self.page.mouse.move(x - 4, y - 4, steps=8)
        await self.page.mouse.move(x, y, steps=2)
        await self.page.mouse.up()

    async def focus_canvas(self, node_id: str) -> None:
        """Moves the focus to a node, so that the keys of the canvas work."""
        await self.node(node_id).focus()

    async def saved(self) -> None:
        """Waits until the draft is saved."""
        await expect(self.page.locator(".editor-status.completed")).to_be_visible()

    async def publish(self) -> None:
        """Publishes what the dialog shows, and closes it."""
        await self.hands.press(self.page.locator("#publish"))
        dialog = self.page.locator("dialog[open]")
        button = dialog.locator("button.primary")
        await expect(button).to_be_enabled()
        await self.hands.press(button)
        await expect(dialog.locator(".notice.completed")).to_be_visible()
        await self.page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)

    async def set_flow(self, flow: dict[str, Any]) -> None:
        """Replaces the flow, as the panel with the JSON does."""
        await self.page.evaluate("flow => filasEditor.store.set(flow, { origin: 'json' })", flow)

    async def copied(self) -> dict[str, Any]:
        """What the clipboard contains."""
        text: str = await self.page.evaluate("navigator.clipboard.readText()")
        found: dict[str, Any] = json.loads(text)
        return found


async def open_editor(visitor: Visitor, path: str, how: How = "mouse") -> FlowEditor:
    """Opens the editor of a flow (`new`, `menu`), and waits for its canvas."""
    page = await visitor.open(f"/flows/{path}/edit")
    await page.locator(READY).wait_for()
    return FlowEditor(page, how)
