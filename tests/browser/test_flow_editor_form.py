"""The form in the flow editor, with what the server finds in the flow."""

from playwright.async_api import expect

from tests.browser.clinic import Clinic
from tests.browser.flow_editor import open_editor
from tests.browser.visitors import Visitors


async def test_an_error_is_shown_at_its_field_until_it_is_corrected(visitors: Visitors, clinic: Clinic) -> None:
    """Its entry in the list of problems leads to the field, and the names that are offered are those in scope."""
    async with visitors.visitor("operator") as visitor:
        editor = await open_editor(visitor, "new")
        page = editor.page
        await editor.name("With fields")
        node_id = await editor.add("message", (500, 200))
        await editor.connect("start", node_id)
        await editor.select(node_id)
        text = page.locator(".node-form [data-key$='-text']:is(textarea)")
        await text.fill("Hi {{ vars.nix }}")
        await expect(text).to_have_attribute("aria-invalid", "true")
        await expect(page.locator(".node-form .form-field .problem-error")).to_contain_text("nix")
        await page.locator("#tab-json").click()
        await expect(page.locator(".cm-lintRange-error").first).to_contain_text("vars.nix")
        await page.locator("#tab-problems").click()
        await page.locator("#panel-problems .findings li", has_text="nix").locator("button").click()
        await expect(text).to_be_focused()
        await text.fill("")
        await text.press_sequentially("Hi {{ webhook.meth")
        await expect(page.locator(".completion:not([hidden]) [role=option]")).to_have_count(1)
        await text.press("Enter")
        await expect(text).to_have_value("Hi {{ webhook.method }}")
        await expect(text).not_to_have_attribute("aria-invalid", "true")
        await editor.saved()
        assert (await editor.flow())["nodes"][-1]["data"]["text"] == "Hi {{ webhook.method }}"
