"""The form of a node: what it writes, what it keeps, and how it shows problems and names."""

from typing import Any

from playwright.async_api import Locator, expect

from tests.browser import accessibility
from tests.browser.editor_lab import EditorLab

FLOW: dict[str, Any] = {
    "name": "Menu",
    "variables": [{"name": "city", "type": "string"}],
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {
            "id": "hello",
            "type": "message",
            "position": {"x": 1, "y": 2},
            "data": {"text": "Hi", "buttons": [{"id": "a", "title": "Yes"}, {"id": "b", "title": "No"}], "extra": 1},
        },
        {
            "id": "which",
            "type": "switch",
            "data": {
                "cases": [
                    {"id": "vip", "rules": [{"variable": "{{ nodes.hello.output }}", "operator": "is-set"}]},
                    {"id": "new", "expression": 'nodes.hello.output == "x"'},
                ]
            },
        },
        {"id": "call", "type": "api", "data": {"url": "https://example.com", "body": {"n": 0}}},
    ],
    "edges": [
        {"id": "e1", "source": "start", "target": "hello"},
        {"id": "e2", "source": "hello", "target": "which"},
        {"id": "e3", "source": "which", "sourceHandle": "vip", "target": "call"},
    ],
}
FIRST_OPTION = ".completion:not([hidden]) [role=option]"


def at(lab: EditorLab, key: str) -> Locator:
    """The control of a field, or an element with a role there."""
    return lab.form.locator(f'[data-key="{lab.prefix}-{key}"]')


async def data(lab: EditorLab, node_id: str) -> Any:
    """The data of a node in the store."""
    return (await lab.node(node_id))["data"]


async def test_an_edit_changes_one_field_and_keeps_what_the_form_does_not_know(lab: EditorLab) -> None:
    """Defaults are shown and not written, an emptied field leaves the JSON, a long number keeps its digits."""
    text = '{"nodes": [{"id": "call", "type": "api", "mine": 1, "data": {"url": "u", "more": 12345678901234567890}}]}'
    await lab.start(text, "call")
    await expect(at(lab, "timeoutMs")).to_have_attribute("placeholder", "10")
    await expect(at(lab, "method").locator("option:checked")).to_have_text("Default: GET")
    await at(lab, "url").fill("https://example.com")
    await at(lab, "timeoutMs").fill("1.5")
    assert '"more": 12345678901234567890' in await lab.page.evaluate("lab.text()")
    wanted = {"url": "https://example.com", "more": 12345678901234567890, "timeoutMs": 1500}
    assert await lab.node("call") == {"id": "call", "type": "api", "mine": 1, "data": wanted}
    await at(lab, "timeoutMs-unit").select_option("min")
    assert (await data(lab, "call"))["timeoutMs"] == 90_000
    await at(lab, "timeoutMs").fill("")
    assert "timeoutMs" not in await data(lab, "call")


async def test_a_text_that_is_no_value_is_shown_with_its_error_and_not_written(lab: EditorLab) -> None:
    """A number and JSON. The field keeps the text, also when the form is drawn again."""
    await lab.start(FLOW, "call")
    await at(lab, "body").fill('{"n": 12345678901234567890,\n}')
    await expect(lab.form.get_by_text("No valid JSON at line 2, column 1")).to_be_visible()
    await expect(at(lab, "body")).to_have_attribute("aria-invalid", "true")
    assert (await data(lab, "call"))["body"] == {"n": 0}
    await at(lab, "headers-add").click()
    await expect(at(lab, "body")).to_have_value('{"n": 12345678901234567890,\n}')
    await expect(at(lab, "body")).to_have_attribute("aria-invalid", "true")
    await at(lab, "body").fill('{"n": 12345678901234567890}')
    await expect(at(lab, "body")).not_to_have_attribute("aria-invalid", "true")
    assert '"n": 12345678901234567890' in await lab.page.evaluate("lab.text()")
    await at(lab, "timeoutMs").fill("soon")
    await expect(lab.form.get_by_text("This is not a number.")).to_be_visible()
    assert "timeoutMs" not in await data(lab, "call")


async def test_an_alternative_is_kept_until_another_node_is_selected(lab: EditorLab) -> None:
    """The JSON has the fields of one alternative only."""
    await lab.start(FLOW, "hello")
    before = await data(lab, "hello")
    await lab.form.get_by_label("Template", exact=True).check()
    assert await data(lab, "hello") == {"extra": 1}
    await at(lab, "template.name").fill("welcome")
    assert await data(lab, "hello") == {"extra": 1, "template": {"name": "welcome"}}
    await expect(at(lab, "text")).to_have_count(0)
    await lab.form.get_by_label("Text", exact=True).first.check()
    assert await data(lab, "hello") == before
    await lab.form.get_by_label("Template", exact=True).check()
    await expect(at(lab, "template.name")).to_have_value("welcome")
    await lab.page.evaluate("lab.store.select(['call'])")
    await lab.page.evaluate("lab.store.select(['hello'])")
    await lab.form.get_by_label("Text", exact=True).first.check()
    await expect(at(lab, "text")).to_have_value("")


async def test_rows_are_added_moved_and_removed_by_keyboard(lab: EditorLab) -> None:
    """The focus follows the row."""
    await lab.start(FLOW, "hello")
    await at(lab, "buttons-add").focus()
    await lab.page.keyboard.press("Enter")
    await expect(at(lab, "buttons[2]-row")).to_be_focused()
    await at(lab, "buttons[2].title").fill("Maybe")
    await at(lab, "buttons[2]-up").focus()
    await lab.page.keyboard.press("Enter")
    await expect(at(lab, "buttons[1]-up")).to_be_focused()
    await lab.page.keyboard.press("Enter")
    await expect(at(lab, "buttons[0]-down")).to_be_focused()
    buttons = (await data(lab, "hello"))["buttons"]
    assert [button["title"] for button in buttons] == ["Maybe", "Yes", "No"]
    assert buttons[0]["id"] not in ("a", "b", "")
    await at(lab, "buttons[1]-remove").focus()
    await lab.page.keyboard.press("Enter")
    assert [button["title"] for button in (await data(lab, "hello"))["buttons"]] == ["Maybe", "No"]


async def test_edges_follow_the_id_of_a_case_and_leave_with_it_after_a_question(lab: EditorLab) -> None:
    """A case without an edge is removed at once."""
    await lab.start(FLOW, "which")
    await at(lab, "cases[0].id").fill("gold")
    await at(lab, "cases[0].id").blur()
    assert (await lab.flow())["edges"][2]["sourceHandle"] == "gold"
    await at(lab, "cases[0]-remove").click()
    await expect(lab.form.get_by_role("alert")).to_contain_text("An edge leads from case 1 to call.")
    await lab.form.get_by_role("button", name="Keep").click()
    assert len((await data(lab, "which"))["cases"]) == 2
    await at(lab, "cases[0]-remove").click()
    await lab.form.get_by_role("button", name="Remove both").click()
    assert [case["id"] for case in (await data(lab, "which"))["cases"]] == ["new"]
    assert [edge["id"] for edge in (await lab.flow())["edges"]] == ["e1", "e2"]
    await at(lab, "cases[0]-remove").click()
    assert (await data(lab, "which"))["cases"] == []


async def test_references_and_edges_follow_the_id_of_a_node(lab: EditorLab) -> None:
    """In templates and in expressions, where a hyphen is a minus. A taken id is refused at the field."""
    await lab.start(FLOW, "hello")
    await at(lab, "id").fill("call")
    await at(lab, "id").blur()
    await expect(lab.form.get_by_text("Another node has the id call.")).to_be_visible()
    await at(lab, "id").fill("say-hi")
    await at(lab, "id").press("Tab")
    flow = await lab.flow()
    assert [(edge["source"], edge["target"]) for edge in flow["edges"]][:2] == [
        ("start", "say-hi"),
        ("say-hi", "which"),
    ]
    cases = (await data(lab, "which"))["cases"]
    assert cases[0]["rules"][0]["variable"] == "{{ nodes.say-hi.output }}"
    assert cases[1]["expression"] == 'nodes["say-hi"].output == "x"'
    assert await lab.page.evaluate("lab.store.selection()") == ["say-hi"]
    await at(lab, "text").fill("Still the same node")
    assert (await data(lab, "say-hi"))["text"] == "Still the same node"


async def test_problems_are_shown_at_their_fields(lab: EditorLab) -> None:
    """An unknown field of the node is shown at the nearest known one, or above the form."""
    problem = {"severity": "error", "nodeId": "which", "code": "invalid"}
    await lab.start(FLOW, "which")
    await lab.problems(
        problem | {"field": "cases[0].rules[0].variable", "message": "names no variable"},
        problem | {"field": "cases[1].expression", "message": "is doubtful", "severity": "warning"},
        problem | {"field": "cases[1].other.field", "message": "is unknown"},
        problem | {"field": "", "message": "no path leads here"},
        problem | {"nodeId": "call", "field": "url", "message": "of another node"},
    )
    field = at(lab, "cases[0].rules[0].variable")
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_have_accessible_description("A template: the value on the left. ✕ names no variable")
    await expect(at(lab, "cases[1].expression")).not_to_have_attribute("aria-invalid", "true")
    await expect(lab.form.locator(".form-summary")).to_have_text("no path leads here")
    await expect(at(lab, "cases[1]-row")).to_contain_text("is unknown")
    await expect(lab.form.get_by_text("of another node")).to_have_count(0)
    await accessibility.check(lab.page)
    await lab.problems()
    await expect(field).not_to_have_attribute("aria-invalid", "true")
    await expect(lab.form.locator(".problem")).to_have_count(0)


async def test_names_and_filters_are_completed_in_templates(lab: EditorLab) -> None:
    """In a text of several lines and in one of one line, by arrows, Enter and Escape."""
    await lab.start(FLOW, "hello")
    await lab.scope("hello", ["vars.city", "vars.count", "webhook.body"])
    text = at(lab, "text")
    await text.fill("")
    await text.press_sequentially("Hi {{ vars.c")
    options = lab.form.locator(FIRST_OPTION)
    await expect(options).to_have_count(2)
    await accessibility.check(lab.page)
    await text.press("ArrowDown")
    await text.press("Enter")
    await expect(text).to_have_value("Hi {{ vars.count }}")
    await text.press_sequentially(" | upc")
    await expect(options.first).to_contain_text("upcase")
    await text.press("Escape")
    await expect(options).to_have_count(0)
    await text.press("Control+Space")
    await text.press("Tab")
    await expect(text).to_have_value("Hi {{ vars.count | upcase }}")
    assert (await data(lab, "hello"))["text"] == "Hi {{ vars.count | upcase }}"
    title = at(lab, "buttons[0].title")
    await title.fill("")
    await title.press_sequentially("{{")
    await expect(title).to_have_attribute("aria-expanded", "true")
    await options.nth(2).click()
    await expect(title).to_have_value("{{ webhook.body }}")
    await expect(title).to_have_attribute("aria-expanded", "false")
    await title.press_sequentially(" and more")
    await expect(options).to_have_count(0)


async def test_variables_and_channels_are_completed_by_their_names(lab: EditorLab) -> None:
    """And the names in scope in an expression, without braces."""
    flow = {**FLOW, "nodes": [*FLOW["nodes"], {"id": "mail", "type": "notify", "data": {"channel": ""}}]}
    await lab.start(flow, "mail", names={"channels": ["mail", "whatsapp"]})
    await at(lab, "channel").press("ArrowDown")
    await lab.form.locator(FIRST_OPTION).nth(1).click()
    assert (await data(lab, "mail"))["channel"] == "whatsapp"
    await lab.page.evaluate("lab.store.select(['which'])")
    await lab.scope("which", ["vars.city"])
    expression = at(lab, "cases[1].expression")
    await expression.fill("")
    await expression.press_sequentially("size(vars")
    await expression.press("Enter")
    await expect(expression).to_have_value("size(vars.city")


async def test_the_form_follows_changes_from_elsewhere_and_keeps_the_focus(lab: EditorLab) -> None:
    """Undo, and an edit of the JSON. Without a selection it shows the flow, and for viewers it is disabled."""
    await lab.start(FLOW, "hello")
    await at(lab, "text").fill("Hello")
    await lab.page.evaluate("lab.store.undo()")
    await expect(at(lab, "text")).to_have_value("Hi")
    await expect(at(lab, "text")).to_be_focused()
    await lab.page.evaluate("lab.store.select([])")
    await at(lab, "name").fill("Other")
    await at(lab, "-more").click()
    await at(lab, "settings.maxSteps").fill("7")
    assert ((await lab.flow())["name"], (await lab.flow())["settings"]) == ("Other", {"maxSteps": 7})
    await at(lab, "settings.maxSteps").fill("")
    assert "settings" not in await lab.flow()
    await lab.page.evaluate("lab.store.select(['hello', 'call'])")
    await expect(lab.form.get_by_text("2 nodes are selected.")).to_be_visible()
    await lab.start(FLOW, "hello", isReadOnly=True)
    await expect(lab.form.get_by_label("Id required").first).to_be_disabled()
