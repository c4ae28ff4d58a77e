"""What the editor does to a flow: undo and redo, copy and paste, search, notes, and the text of the JSON."""

from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.clinic import Clinic
from tests.browser.flow_editor import FlowEditor, open_editor
from tests.browser.visitors import Visitors
from tests.long_form import LONG

HELLO = {
    "id": "hello",
    "type": "message",
    "data": {"text": "{{ nodes.ask.output.text }}, {{ nodes['ask'].output }}", "expression": "nodes.ask.output == 1"},
}
ASK = {"id": "ask", "type": "input", "position": {"x": 40, "y": 60, "z": 1}, "data": {"prompt": "nodes.ask is no path"}}
EDGE = {"id": "e1", "source": "ask", "target": "hello", "sourceHandle": "out", "animated": True}


async def evaluated(editor: FlowEditor, script: str, argument: Any = None) -> Any:
    """The result of a function of the page, which may import modules of the editor."""
    return await editor.page.evaluate(script, argument)


async def test_pasted_nodes_get_free_ids_and_their_references_follow(visitors: Visitors, clinic: Clinic) -> None:
    """Edges between them are pasted too. Unknown fields stay, and what is no reference is not changed."""
    async with visitors.visitor("operator") as visitor:
        editor = await open_editor(visitor, "new")
        flow = {"name": "x", "nodes": [ASK, HELLO], "edges": [EDGE], "viewport": {"zoom": 1}}
        await editor.set_flow(flow)
        await editor.focus_canvas("ask")
        for key in ("Control+a", "Control+c"):
            await editor.page.keyboard.press(key)
        copied = await editor.copied()
        assert [node["id"] for node in copied["nodes"]] == ["ask", "hello"]
        assert copied["edges"] == [EDGE]
        await editor.page.keyboard.press("Control+v")
        await expect(editor.node("hello-2")).to_be_visible()
        after = await editor.flow()
        assert after["nodes"][0] == ASK
        ask, hello = after["nodes"][2:]
        assert (ask["id"], ask["position"]["z"], ask["data"]) == ("ask-2", 1, ASK["data"])
        assert hello["data"]["text"] == "{{ nodes.ask-2.output.text }}, {{ nodes['ask-2'].output }}"
        assert hello["data"]["expression"] == 'nodes["ask-2"].output == 1'
        assert after["edges"][1] == {**EDGE, "id": after["edges"][1]["id"], "source": "ask-2", "target": "hello-2"}
        assert after["viewport"] == {"zoom": 1}
        await editor.page.keyboard.press("Control+z")
        await expect(editor.node("hello-2")).to_have_count(0)
        await editor.page.keyboard.press("Control+Shift+z")
        assert await editor.flow() == after
        await editor.page.evaluate("navigator.clipboard.writeText('no flow')")
        await editor.page.keyboard.press("Control+v")
        await expect(editor.page.locator("#announcements")).to_have_text("The clipboard has no nodes of a flow.")
        assert await editor.flow() == after


async def test_typing_is_one_step_of_undo(visitors: Visitors, clinic: Clinic) -> None:
    """Not each letter. Two fields are two steps, and so are two times. A new edit ends what could be redone."""
    async with visitors.visitor("operator") as visitor:
        editor = await open_editor(visitor, "new")
        found = await evaluated(
            editor,
            """async () => {
              const { createStore, MERGE_MS } = await import("editor/store");
              let time = 0;
              const store = createStore({ n: 0, nodes: [{ id: "a" }, { id: "b" }] }, { now: () => time });
              const write = (n, options) => store.set({ ...store.get(), n }, options);
              const origins = [];
              store.subscribe((flow, origin) => origins.push([flow.n, origin]));
              write(1, { origin: "form" }); time += MERGE_MS - 1;
              write(2, { origin: "form" }); time += MERGE_MS;
              write(3, { origin: "form" });
              store.select(["a"]);
              write(4, { origin: "form" });
              write(5, { origin: "canvas" });
              write(6, { origin: "canvas" });
              write(7, { undoable: false });
              const back = [];
              while (store.undo()) back.push(store.get().n);
              store.redo();
              write(9, { origin: "canvas" });
              return { back, canRedo: store.canRedo(), selection: store.selection(), origins: origins.slice(0, 2) };
            }""",
        )
        assert found["back"] == [5, 4, 3, 2, 0]
        assert (found["canRedo"], found["selection"]) == (False, ["a"])
        assert found["origins"] == [[1, "form"], [2, "form"]]


@pytest.mark.skipif(not LONG, reason="the long form")
async def test_a_node_is_found_by_its_text_and_centred(visitors: Visitors, clinic: Clinic) -> None:
    """Whatever case and accents are typed. Enter goes to the next match."""
    async with visitors.visitor("viewer") as visitor:
        editor = await open_editor(visitor, "marcar-consulta")
        await editor.focus_canvas("start")
        await editor.page.keyboard.press("Control+f")
        await editor.page.keyboard.type("ESTA MARCADA")
        await expect(editor.page.locator(".editor-find [role=status]")).to_have_text("1 of 1")
        assert await editor.page.evaluate("filasEditor.store.selection()") == ["confirmacao"]
        box, frame = await editor.node("confirmacao").bounding_box(), await editor.canvas.bounding_box()
        assert box is not None
        assert frame is not None
        middle = box["x"] + box["width"] / 2 - frame["x"] - frame["width"] / 2
        assert abs(middle) < 30
        await editor.page.keyboard.press("Control+a")
        await editor.page.keyboard.type("nothing like it")
        await expect(editor.page.locator(".editor-find [role=status]")).to_have_text("No node contains this.")


@pytest.mark.skipif(not LONG, reason="the long form")
async def test_notes_are_kept_with_the_flow(visitors: Visitors, clinic: Clinic) -> None:
    """A note is written on the canvas, and published with the flow."""
    async with visitors.visitor("operator") as visitor:
        editor = await open_editor(visitor, "new")
        await editor.name("With a note")
        await editor.add("end", (500, 300))
        await editor.connect("start", "end")
        await editor.page.locator("[data-tool=add-note]").click()
        await editor.page.locator(".react-flow__node-note textarea").fill("Ask the team before changing this")
        await editor.publish()
        await clinic.until(
            "select 1 from flow_versions where flow_id = 'with-a-note' and definition #>> '{notes,0,text}' like 'Ask%'"
        )
        await editor.page.reload()
        await expect(editor.page.locator(".react-flow__node-note textarea")).to_have_value(
            "Ask the team before changing this"
        )


async def test_the_json_and_the_canvas_are_one_flow(visitors: Visitors, clinic: Clinic) -> None:
    """What other parts of the editor set is drawn, also while it is unfinished. Nothing is added to it."""
    async with visitors.visitor("operator") as visitor:
        editor = await open_editor(visitor, "new")
        strange: dict[str, Any] = {
            "nodes": [
                {"id": "a", "type": "of a newer version", "data": None, "extra": [1]},
                {"id": "a", "type": "end"},
                {"type": "end"},
                "text",
                {"id": "b", "type": "switch", "data": {"cases": [{"id": "one"}, 5]}},
            ],
            "edges": [{"source": "a", "target": "b"}, {"source": "b", "target": "gone", "sourceHandle": "old"}, None],
        }
        await editor.set_flow(strange)
        await expect(editor.page.locator(".react-flow__node")).to_have_count(2)
        await expect(editor.node("b").locator(".card-output")).to_have_text(["one", "otherwise", "old"])
        assert await editor.flow() == strange
        for broken in ({}, {"nodes": 5, "edges": "x", "notes": 7}):
            await editor.set_flow(broken)
            await expect(editor.page.locator(".react-flow__node")).to_have_count(0)
