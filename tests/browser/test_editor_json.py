"""The JSON of a flow beside its canvas: both directions, with CodeMirror and without it."""

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.browser import accessibility, editor_lab
from tests.browser.editor_lab import EditorLab
from tests.long_form import by_form

FLOW = """{"nodes": [
   {"type": "message", "id": "hello", "data": {"text": "Hi",   "big": 12345678901234567890, "price": 1.50}},
   {"id": "end", "type": "end", "data": {}}
 ],
 "zulu": 1, "edges": [{"source": "hello", "target": "end"}]}"""
EDITORS = by_form((True,), (True, False))
CHANGE_TEXT = """
lab.store.set({...lab.store.get(), nodes: lab.store.get().nodes.map(node => node.id === "hello" ?
  {...node, data: {...node.data, text: "Hello"}} : node)}, {origin: "form"})
"""
FUZZ = """
async count => {
  const { applyChanges, changesTo, formatJson, isObject, isSame, parseJson } = await import("editor/json_text");
  let seed = 7;
  const random = limit => (seed = (seed * 1103515245 + 12345) % 2147483648) % limit;
  const made = depth => {
    const kind = random(depth > 3 ? 4 : 7);
    if (kind < 4) return [random(100), "s" + random(5), random(2) === 1, null][kind];
    if (kind < 5) return Array.from({ length: random(5) }, () => made(depth + 1));
    return Object.fromEntries(Array.from({ length: random(5) }, () => ["k" + random(6), made(depth + 1)]));
  };
  const changed = value => {
    if (random(6) === 0) return made(2);
    if (Array.isArray(value)) {
      const list = value.map(item => random(3) ? item : changed(item));
      if (random(3) === 0) list.splice(random(list.length + 1), random(3), made(2));
      return list;
    }
    if (!isObject(value)) return random(2) ? value : made(2);
    const kept = Object.entries(value).filter(() => random(4))
      .map(([name, item]) => [name, random(2) ? item : changed(item)]);
    return Object.fromEntries([...kept, ...(random(2) ? [["n" + random(9), made(2)]] : [])]);
  };
  for (let index = 0; index < count; index += 1) {
    const before = made(0);
    const text = random(2) ? JSON.stringify(before, null, random(2) * 2) : formatJson(before);
    const after = changed(before);
    if (!isSame(parseJson(applyChanges(text, changesTo(text, after))), after)) return [text, JSON.stringify(after)];
  }
  return null;
}
"""


def content(lab: EditorLab) -> Locator:
    """The text field of the editor."""
    return lab.page.locator("#json .cm-content, #json textarea").first


async def text_of(lab: EditorLab) -> str:
    """The text in the editor."""
    script = "root => root.querySelector('textarea')?.value ?? lab.json.text()"
    return str(await lab.page.locator("#json").evaluate(script))


async def write(lab: EditorLab, text: str) -> None:
    """Replaces the text."""
    await content(lab).click()
    await lab.page.keyboard.press("Control+A")
    await lab.page.keyboard.insert_text(text)
    await lab.page.wait_for_function("text => lab.json.text() === text", arg=text)


async def written(lab: EditorLab, part: str) -> None:
    """Waits until a part of the text has reached the editor: it reads what was typed from the document."""
    await lab.page.wait_for_function("part => lab.json.text().includes(part)", arg=part)


async def caret_after(lab: EditorLab, part: str) -> None:
    """Moves the caret behind a part of the text."""
    await content(lab).focus()
    await lab.page.evaluate("part => lab.json.select(lab.json.text().indexOf(part) + part.length)", part)


@pytest.mark.parametrize("vendor", EDITORS, ids=lambda vendor: "codemirror" if vendor else "textarea")
async def test_both_sides_change_each_other(browser: Browser, vendor: bool) -> None:
    """What was not changed stays as it was written: spaces, the order of names, long numbers, zeros at the end."""
    async with editor_lab.opened(browser, vendor=vendor) as lab:
        if not vendor:
            lab.watch.expect("json_editor")
            lab.watch.expect("@codemirror")
        await lab.start(FLOW, json=True)
        await expect(content(lab)).to_be_visible()
        await write(lab, FLOW)
        assert (await lab.node("hello"))["data"]["big"] == 12345678901234567890
        await lab.page.evaluate(CHANGE_TEXT)
        assert await text_of(lab) == FLOW.replace('"Hi"', '"Hello"')
        await lab.page.evaluate("lab.store.undo()")
        assert await text_of(lab) == FLOW
        await lab.page.evaluate("document.getElementById('json').hidden = true")
        await lab.page.evaluate(CHANGE_TEXT)
        await lab.page.evaluate("document.getElementById('json').hidden = false")
        await written(lab, '"Hello"')
        await lab.page.evaluate("lab.store.undo()")
        assert await text_of(lab) == FLOW
        await write(lab, FLOW.replace('"zulu": 1', '"zulu": '))
        assert (await lab.flow())["zulu"] == 1
        await expect(lab.page.locator("#json").get_by_text("a value is expected here").first).to_have_count(
            0 if vendor else 1
        )
        await write(lab, '{"nodes": [5]}')
        assert (await lab.flow())["zulu"] == 1
        await write(lab, '{"nodes": [], "edges": []}')
        assert await lab.flow() == {"nodes": [], "edges": []}


async def test_the_caret_stays_at_its_text_while_the_flow_changes_elsewhere(lab: EditorLab) -> None:
    """An edit of one's own does not come back either."""
    await lab.start(FLOW, json=True)
    await expect(content(lab)).to_be_visible()
    await caret_after(lab, '"zulu": 1')
    await lab.page.evaluate(CHANGE_TEXT)
    await lab.page.keyboard.type("23")
    await written(lab, '"zulu": 123')
    assert (await lab.flow())["zulu"] == 123
    assert (await lab.node("hello"))["data"]["text"] == "Hello"


async def test_an_edit_of_the_text_keeps_the_objects_of_all_other_nodes(lab: EditorLab) -> None:
    """So the canvas draws one node again. The selected node is in view."""
    nodes = [{"id": f"n{index}", "type": "end", "data": {"output": {"a": index}}} for index in range(300)]
    await lab.start({"nodes": nodes, "edges": []}, json=True)
    await expect(content(lab)).to_be_visible()
    await lab.page.evaluate("lab.before = lab.store.get().nodes")
    await lab.page.evaluate("lab.store.select(['n250'])")
    await expect(lab.page.locator("#json .cm-line", has_text='"n250"')).to_be_in_viewport()
    await caret_after(lab, '"a": 250')
    await lab.page.keyboard.type("7")
    await written(lab, "2507")
    changed = (
        "lab.store.get().nodes.map((node, index) => node === lab.before[index] ? -1 : index).filter(at => at >= 0)"
    )
    assert await lab.page.evaluate(changed) == [250]
    assert (await lab.node("n250"))["data"] == {"output": {"a": 2507}}


async def test_problems_and_errors_are_marked_in_the_text(lab: EditorLab) -> None:
    """At the field of the node, or at the place where the text stops being JSON."""
    await lab.start(FLOW, json=True)
    await expect(content(lab)).to_be_visible()
    problem = {"severity": "error", "nodeId": "hello", "code": "invalid"}
    await lab.problems(
        problem | {"field": "text", "message": "is too short"},
        problem | {"nodeId": None, "field": "edges[0].target", "message": "is doubtful", "severity": "warning"},
    )
    await expect(lab.page.locator("#json .cm-lintRange-error")).to_have_text('"Hi"')
    await expect(lab.page.locator("#json .cm-lintRange-warning")).to_have_text('"end"')
    await accessibility.check(lab.page)
    await write(lab, '{"nodes": [],')
    await expect(lab.page.locator("#json .cm-lint-marker-error")).to_be_visible()
    await lab.page.locator("#json .cm-lint-marker-error").hover()
    await expect(lab.page.locator("#json .cm-tooltip")).to_contain_text("the text ends too early")


async def test_names_and_values_are_completed_from_the_schema(lab: EditorLab) -> None:
    """In the data of a node: the fields of its type, and the values of a field."""
    await lab.start(FLOW, json=True)
    await expect(content(lab)).to_be_visible()
    await write(lab, '{"nodes": [{"id": "call", "type": "api", "data": {"url": "x"}}], "edges": []}')
    await caret_after(lab, '"url": "x"')
    await lab.page.keyboard.type(', "meth')
    option = lab.page.locator("#json .cm-tooltip-autocomplete li[aria-selected]")
    await expect(option).to_contain_text("method")
    await expect(option).to_contain_text("Method")
    # By mouse: CodeMirror ignores Enter for a moment after the list has opened.
    await option.click()
    await lab.page.keyboard.press("Control+Space")
    options = lab.page.locator("#json .cm-tooltip-autocomplete li")
    await expect(options.filter(has_text="OPTIONS")).to_have_count(1)
    await lab.page.keyboard.type("PU")
    await expect(option).to_contain_text("PUT")
    await option.click()
    await written(lab, '"PUT"')
    assert (await lab.node("call"))["data"] == {"url": "x", "method": "PUT"}


async def test_the_text_is_searched_and_cannot_be_changed_by_viewers(lab: EditorLab) -> None:
    """By the keys of CodeMirror. Escape closes the search, then leaves the field."""
    await lab.start(FLOW, json=True, isReadOnly=True)
    await content(lab).focus()
    await lab.page.keyboard.press("Control+f")
    await lab.page.keyboard.type("zulu")
    await expect(lab.page.locator("#json .cm-searchMatch")).to_have_text("zulu")
    await accessibility.check(lab.page)
    await lab.page.keyboard.press("Escape")
    await expect(lab.page.locator("#json .cm-search")).to_have_count(0)
    before = await text_of(lab)
    await content(lab).focus()
    await lab.page.keyboard.type("x")
    assert await text_of(lab) == before


async def test_the_smallest_changes_of_a_text_give_the_wanted_value(lab: EditorLab) -> None:
    """For many pairs of values."""
    assert await lab.page.evaluate(FUZZ, by_form(3_000, 100_000)) is None
