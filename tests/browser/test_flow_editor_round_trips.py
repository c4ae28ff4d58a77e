"""The editor saves the flow that was drawn: every node type, unknown fields, 300 nodes, and two people at once."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from filas.flows.definition.node_types import NODE_TYPES
from tests.browser.clinic import Clinic
from tests.browser.flow_editor import FlowEditor, open_editor
from tests.browser.test_flow_editor import DRAFT, PUBLISHED, stored
from tests.browser.visitors import Visitors
from tests.flow_runner.harness import flow, node
from tests.long_form import LONG

pytestmark = pytest.mark.skipif(not LONG, reason="the long form")

EXAMPLES: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parents[2] / "deploy/examples/flows").glob("*.json"))
}

NODES: dict[str, dict[str, Any]] = {
    "message": {"text": "Olá {{ conversation.contact }}", "label": "Saudação"},
    "condition": {
        "rules": [{"variable": "{{ webhook.body.n }}", "operator": "greater-than", "value": 9007199254740991}]
    },
    "switch": {"cases": [{"id": "vip", "rules": [{"variable": "{{ webhook.body.vip }}", "operator": "is-set"}]}]},
    "api": {"url": "https://crm.example/{{ webhook.body.id }}", "body": {"deep": [{"a": None, "b": 1.5}]}},
    "delay": {"ms": 1000},
    "webhook": {"mode": "send", "url": "https://crm.example/hook", "body": {"x": "{{ vars.n }}"}},
    "input": {"prompt": "Qual?", "kind": "choice", "choices": [{"id": "a", "title": "A"}, {"id": "b", "title": "B"}]},
    "set-variable": {"assignments": [{"variable": "n", "value": 1}]},
    "loop": {"items": "{{ webhook.body.items }}"},
    "notify": {"channel": "equipe", "to": "x", "text": "Olá"},
    "subflow": {"flowId": "marcar-consulta"},
    "end": {"status": "succeeded", "output": {"ok": True}},
}


def chain(*types: str) -> dict[str, Any]:
    """A flow with a node of each type, one after the other, and with fields that only another editor knows."""
    nodes = [node("start", "webhook", mode="trigger")]
    edges, leaves = [], ("start", "out")
    for number, node_type in enumerate(types):
        name = f"{node_type}-{number}"
        extra = {
            "position": {"x": 260 * number, "y": 40, "z": 3},
            "measured": {"width": 200.5},
            "ünknown": ["\u202e", None],
        }
        nodes.append({**node(name, node_type, **NODES[node_type]), **extra})
        edge = {"id": f"e{number}", "source": leaves[0], "target": name, "animated": True, "data": {"note": "<b>"}}
        edges.append(edge if leaves[1] == "out" else edge | {"sourceHandle": leaves[1]})
        handle = {"condition": "true", "switch": "vip", "input": "a", "loop": "done"}.get(node_type, "out")
        leaves = (name, handle)
    drawn = {"schemaVersion": 1, "name": "Chain", "nodes": nodes, "edges": edges, "viewport": {"x": 1, "zoom": 0.5}}
    return drawn | {"variables": [{"name": "n", "type": "number", "default": 0}], "description": {"free": "form"}}


async def put(clinic: Clinic, flow_id: str, definition: dict[str, Any]) -> dict[str, Any]:
    """Stores and publishes a flow by the API; returns it as it is stored."""
    await clinic.pipeline.api("PUT", f"/api/flows/{flow_id}", definition)
    return await stored(clinic, PUBLISHED, flow_id, 1)


def moved(definition: dict[str, Any], node_id: str, x: float) -> dict[str, Any]:
    """The definition with one node further to the right."""
    nodes = [
        {**each, "position": {**each["position"], "x": each["position"]["x"] + x}} if each["id"] == node_id else each
        for each in definition["nodes"]
    ]
    return {**definition, "nodes": nodes}


async def move_right(editor: FlowEditor, node_id: str) -> None:
    """Moves a node by one step of the grid."""
    await editor.focus_canvas(node_id)
    await editor.page.keyboard.press("ArrowRight")


async def test_there_is_a_case_of_every_node_type() -> None:
    """A new type needs one."""
    assert NODES.keys() == NODE_TYPES.keys()


@pytest.mark.parametrize("node_type", NODES)
async def test_a_node_of_each_type(visitors: Visitors, clinic: Clinic, node_type: str) -> None:
    """A node is moved, and nothing else changes: no field is lost, added or written in another way."""
    flow_id = f"round-trip-{node_type}"
    before = await put(clinic, flow_id, chain(node_type))
    async with visitors.visitor("operator") as visitor:
        editor = await open_editor(visitor, flow_id)
        assert await editor.flow() == before
        await move_right(editor, f"{node_type}-0")
        await editor.publish()
        after = await stored(clinic, PUBLISHED, flow_id, 2)
    expected = moved(before, f"{node_type}-0", 20)
    start = after["nodes"][0].pop("position")
    assert start.keys() == {"x", "y"}
    assert after == expected
    assert list(after) == list(before)


async def test_a_flow_of_300_nodes(visitors: Visitors, clinic: Clinic) -> None:
    """It is drawn, edited, laid out, and saved with all of its nodes and edges in their order."""
    types = [name for name in NODES if name not in ("end", "subflow", "notify")]
    definition = chain(*(types[number % len(types)] for number in range(298)), "end")
    definition["nodes"][0]["position"] = {"x": -260, "y": 40}
    before = await put(clinic, "three-hundred", definition)
    async with visitors.visitor("operator") as visitor:
        editor = await open_editor(visitor, "three-hundred")
        await expect(editor.page.locator(".react-flow__node")).to_have_count(300)
        await expect(editor.page.locator(".react-flow__edge")).to_have_count(299)
        await move_right(editor, "end-298")
        await editor.publish()
        after = await stored(clinic, PUBLISHED, "three-hundred", 2)
        assert after == moved(before, "end-298", 20)
        await editor.page.locator("[data-tool=lay-out]").click()
        await editor.page.wait_for_function("filasEditor.store.get().nodes[0].position.x === 0")
        laid_out = await editor.flow()
        places = [(each["position"]["x"], each["position"]["y"]) for each in laid_out["nodes"]]
        assert len(set(places)) == 300
        await editor.focus_canvas("start")
        await editor.page.keyboard.press("Control+z")
        assert await editor.flow() == after


@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_of_the_gallery(visitors: Visitors, clinic: Clinic, name: str) -> None:
    """Its draft is the example itself, whatever was done and undone."""
    example = {**EXAMPLES[name], "name": f"Gallery {name}"}
    async with visitors.visitor("operator") as visitor:
        editor = await open_editor(visitor, "new")
        await editor.set_flow(example)
        first = example["nodes"][0]["id"]
        await move_right(editor, first)
        await editor.page.keyboard.press("Delete")
        await expect(editor.node(first)).to_have_count(0)
        for _ in range(2):
            await editor.page.locator("[data-tool=undo]").click()
        await editor.saved()
        assert await stored(clinic, DRAFT, f"gallery-{name}") == example


async def test_two_people_save_the_same_draft(visitors: Visitors, clinic: Clinic) -> None:
    """The second sees who saved, and loads that draft or keeps the own one."""
    await put(clinic, "shared", flow(node("end", "end"), edges="start>end"))
    saved = "select 1 from flow_drafts where flow_id = 'shared' and definition ->> 'name' = $1"
    async with visitors.visitor("admin") as one, visitors.visitor("operator") as two:
        for each in (one, two):
            each.watch.expect("409 (")
        first, second = await open_editor(one, "shared"), await open_editor(two, "shared")
        await first.name("Of the first")
        await clinic.until(saved, "Of the first")
        await second.name("Of the second")
        conflict = second.page.locator(".conflict-dialog[open]")
        await expect(conflict).to_contain_text("admin")
        await conflict.locator("[data-choice=mine]").click()
        await clinic.until(saved, "Of the second")
        await first.name("Again of the first")
        conflict = first.page.locator(".conflict-dialog[open]")
        await expect(conflict).to_contain_text("tests-operator")
        await conflict.locator("[data-choice=theirs]").click()
        await expect(first.page.locator("#flow-name")).to_have_value("Of the second")


async def test_another_version_is_published_meanwhile(visitors: Visitors, clinic: Clinic) -> None:
    """Publishing states it, and shows the differences from that version before it replaces it."""
    definition = flow(node("end", "end"), edges="start>end")
    await put(clinic, "raced", definition)
    async with visitors.visitor("operator") as visitor:
        visitor.watch.expect("409 (")
        editor = await open_editor(visitor, "raced")
        await editor.name("Drawn")
        await clinic.pipeline.api("PUT", "/api/flows/raced", {**definition, "name": "By the API"})
        await editor.page.locator("#publish").click()
        dialog = editor.page.locator("dialog[open]")
        await dialog.locator("button.primary").click()
        await editor.page.locator(".conflict-dialog[open] [data-choice=mine]").click()
        await expect(editor.page.locator(".publish-content del")).to_contain_text("By the API")
        await dialog.locator("button.primary").click()
        assert (await stored(clinic, PUBLISHED, "raced", 3))["name"] == "Drawn"
