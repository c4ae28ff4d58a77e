"""A flow of the gallery is built on the canvas alone, published, and run: by mouse, and with the keyboard alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, expect

from tests.browser.clinic import Clinic
from tests.browser.clinic_flows import webhooks
from tests.browser.flow_editor import READY, FlowEditor, open_editor
from tests.browser.form_filling import Filling, data_part, fields
from tests.browser.hands import How
from tests.browser.test_flow_editor import PUBLISHED, stored
from tests.browser.visitors import Visitors
from tests.long_form import LONG

pytestmark = pytest.mark.skipif(not LONG, reason="the long form")

MENU: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "deploy/examples/flows/support-menu.json").read_text(encoding="utf-8")
)
PLACES = {
    "menu": (100, 40),
    "hours": (335, 40),
    "bill": (335, 160),
    "more": (570, 40),
    "notify-team": (335, 470),
    "person": (570, 470),
    "closing": (100, 470),
}
"""Where the nodes are dropped on the canvas: not at its edges, where a drag moves the canvas. The trigger is in the
middle."""

CONTACTS: dict[How, str] = {"mouse": "5511900001111", "keyboard": "5511900002222"}
"""People who have no open question."""

SENT = (
    "select count(*) from notifications where execution_id = $1::uuid and payload::text like $2 having count(*) >= $3"
)


class NodeForm:
    """The form of the selected node, filled in one way."""

    def __init__(self, editor: FlowEditor, how: How) -> None:
        self._editor = editor
        self._how = how
        self._form = editor.page.locator(".node-form")

    async def fill(self, part: str, data: dict[str, Any]) -> None:
        """Sets the fields of a part of the schema."""
        filling = Filling(self._form, await self._form.get_attribute("data-form") or "")
        if self._how == "mouse":
            await filling.part(part, data, {})
            return
        for name, value in data.items():
            if fields(part)[name].get("x-editor", {}).get("advanced"):
                summary = filling.at((), "more")
                if not await summary.evaluate("summary => summary.parentElement.open"):
                    await self._editor.hands.press(summary)
            await self._write(filling, fields(part)[name], value, (name,))

    async def _write(self, filling: Filling, field: dict[str, Any], value: Any, path: tuple[str | int, ...]) -> None:
        hands, control = self._editor.hands, filling.at(path)
        if isinstance(value, list):
            for index, item in enumerate(value):
                if not await filling.at((*path, index), "remove").count():
                    await hands.press(filling.at(path, "add"))
                for name, text in item.items():
                    await self._write(filling, {}, text, (*path, index, name))
        elif await control.evaluate("control => control.tagName") == "SELECT":
            await hands.choose(control, str(value))
        else:
            if field.get("x-editor", {}).get("format") == "duration-ms":
                await hands.choose(filling.at(path, "unit"), "min")
                value //= 60_000
            await hands.write(control, str(value))
            await self._editor.page.keyboard.press("Escape")  # closes the list of names
            await self._editor.page.keyboard.press("Tab")

    async def rename(self, node_id: str) -> None:
        """Gives the node its id."""
        field: Locator = self._form.get_by_label("Id required").first
        await self._editor.hands.write(field, node_id)
        await self._editor.page.keyboard.press("Tab")
        await expect(self._editor.node(node_id)).to_be_visible()


async def build(editor: FlowEditor, how: How, name: str) -> None:
    """Draws the example on an empty canvas."""
    form = NodeForm(editor, how)
    await editor.name(name)
    await form.fill("Flow", {"variables": MENU["variables"]})
    for node in MENU["nodes"][1:]:
        if how == "keyboard":
            await editor.select("start")
        added = await editor.add(node["type"], PLACES[node["id"]])
        await editor.select(added)
        await form.rename(node["id"])
        await form.fill(data_part(node["type"]), node["data"])
    drawn = {
        (edge["source"], edge.get("sourceHandle", "out"), edge["target"]) for edge in (await editor.flow())["edges"]
    }
    for edge in MENU["edges"]:
        wanted = (edge["source"], edge.get("sourceHandle", "out"), edge["target"])
        if wanted not in drawn:
            await editor.connect(wanted[0], wanted[2], wanted[1])


def meaning(flow: dict[str, Any]) -> tuple[Any, ...]:
    """What an execution sees of a flow: not the places, the ids of the edges and a handle that is the only one."""
    data = {node["id"]: (node["type"], node["data"]) for node in flow["nodes"]}
    edges = sorted((edge["source"], edge.get("sourceHandle", "out"), edge["target"]) for edge in flow["edges"])
    return data, edges, flow["variables"]


async def run(clinic: Clinic, flow_id: str, phone: str) -> None:
    """A contact starts the flow by a webhook, asks for the opening hours, and then for a person."""
    await clinic.pipeline.api("PUT", f"/api/webhooks/{flow_id}", {**webhooks()["marcar-consulta"], "flowId": flow_id})
    texts = ("oi", "1", "3")
    event_id = await clinic.post(flow_id, {"telefone": phone, "texto": texts[0]})
    execution_id = await clinic.execution(event_id)
    for count, text in enumerate(texts[1:]):
        await clinic.until_asked(execution_id, 1 + 2 * count)
        await clinic.post(flow_id, {"telefone": phone, "texto": text})
    for text in ("%Como podemos ajudar%", "%das 9h%", "%Mais alguma coisa%", "%vai responder em instantes%"):
        await clinic.until(SENT, execution_id, text, 1)
    await clinic.execution(event_id, "succeeded")


@pytest.mark.parametrize("how", ["mouse", "keyboard"])
async def test_the_support_menu_is_built_published_and_run(visitors: Visitors, clinic: Clinic, how: How) -> None:
    """The published version has the nodes, the connections and the variables of the example, and answers a contact."""
    async with visitors.visitor("operator") as visitor:
        editor = await open_editor(visitor, "new", how)
        await build(editor, how, f"Menu by {how}")
        await editor.publish()
    published = await stored(clinic, PUBLISHED, f"menu-by-{how}", 1)
    assert meaning(published) == meaning(MENU)
    await run(clinic, f"menu-by-{how}", CONTACTS[how])


@pytest.mark.parametrize(("path", "flow_id"), [("new", "support-menu"), ("my-menu", "my-menu")])
async def test_an_example_of_the_gallery_is_published_as_it_is(
    visitors: Visitors, clinic: Clinic, path: str, flow_id: str
) -> None:
    """It has a name, so it needs no other step: with an id made of the name, or with the id of the gallery's link."""
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open(f"/flows/{path}/edit?from=support-menu")
        await page.locator(READY).wait_for()
        await FlowEditor(page, "mouse").publish()
        assert await stored(clinic, PUBLISHED, flow_id, 1) == MENU
