"""A typebot is imported in a browser: a file is chosen, the report is read, the flow is opened in the editor."""

import os
from pathlib import Path

from playwright.async_api import Page

from tests.browser import accessibility
from tests.browser.clinic import Clinic
from tests.browser.looks import EVERY, Look
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
            await photograph(page, look)
            await accessibility.check(page)
            await accessibility.fits(page)
            flow_id = f"imported-{number}"
            await page.locator("form#store input[name=id]").fill(flow_id)
            await page.locator("form#store button[name=open]").click()
            await page.wait_for_url(f"**/dashboard/flows/{flow_id}/edit")
            await clinic.until("select 1 from flow_drafts where flow_id = $1", flow_id)


async def photograph(page: Page, look: Look) -> None:
    """Into the folder of `make screenshots`."""
    if TARGET:
        await page.screenshot(path=Path(TARGET) / f"flow-import-report-{look}.png", full_page=True)
