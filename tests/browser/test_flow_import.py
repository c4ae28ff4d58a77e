"""Flows that begin elsewhere, in a browser: a typebot is imported, and an example of the gallery is published."""

import os
from pathlib import Path

from playwright.async_api import Page, expect

from tests.browser import accessibility
from tests.browser.clinic import Clinic
from tests.browser.flow_editor import READY, FlowEditor
from tests.browser.looks import EVERY
from tests.browser.visitors import Visitors
from tests.shared.flows.imports.typebots import FIXTURES

REPORT_LOOKS = (EVERY[0], EVERY[-1])
TARGET = os.environ.get("FILAS_SCREENSHOTS", "")


async def test_a_file_is_imported(visitors: Visitors, clinic: Clinic) -> None:
    """The script reads the file into the field. The report has no finding of axe, wide and narrow."""
    for number, look in enumerate(REPORT_LOOKS):
        async with visitors.visitor("operator", look) as visitor:
            page = await visitor.open("/flows/import")
            await page.locator("input[type=file]").set_input_files(FIXTURES / "typebot-v6.json")
            await page.wait_for_function("document.getElementById('document').value.length > 1000")
            await page.locator("form#import button.primary").click()
            await page.locator("form#store").wait_for()
            await photograph(page, f"flow-import-report-{look}")
            await accessibility.check(page)
            await accessibility.fits(page)
            flow_id = f"imported-{number}"
            await page.locator("form#store input[name=id]").fill(flow_id)
            await page.locator("form#store button[name=open]").click()
            await page.wait_for_url(f"**/dashboard/flows/{flow_id}/edit")
            await clinic.until("select 1 from flow_drafts where flow_id = $1", flow_id)
            await photograph(page, f"flow-import-editor-{look}")


async def test_an_example_is_published(visitors: Visitors, clinic: Clinic) -> None:
    """From the gallery to the published menu: choose, open, publish."""
    async with visitors.visitor("operator") as visitor:
        page = await visitor.open("/flows/new")
        await page.locator("#example-support-menu a.primary").click()
        await page.wait_for_url("**/edit?from=support-menu")
        await page.locator(READY).wait_for()
        editor = FlowEditor(page, "mouse")
        await expect(editor.node("menu")).to_be_visible()
        await photograph(page, "gallery-editor")
        await editor.publish()
        flow_id = page.url.partition("/flows/")[2].partition("/")[0]
        await clinic.until("select 1 from flows where id = $1 and published_version = 1", flow_id)


async def photograph(page: Page, name: str) -> None:
    """Into the folder of `make screenshots`."""
    if TARGET:
        await page.screenshot(path=Path(TARGET) / f"{name}.png", full_page=True)
