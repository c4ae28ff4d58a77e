"""`make screenshots`: every page of the table as a picture, and a sheet with all of them."""

import html
import itertools
import os
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.browser.clinic import Clinic
from tests.browser.looks import NARROW, THEMES, WIDE, Look
from tests.browser.pages import PAGES, DashboardPage
from tests.browser.visitors import Visitors

TARGET = os.environ.get("FILAS_SCREENSHOTS", "")
LOOKS = [Look(theme, "en", width) for theme, width in itertools.product(THEMES, (WIDE, NARROW))]
LOOKS += [Look("light", "pt-BR", WIDE)]
MAX_HEIGHT = 6000

pytestmark = pytest.mark.skipif(not TARGET, reason="writes files: run `make screenshots`")


def picture(shown: DashboardPage, look: Look) -> Path:
    """The file of a page in a look."""
    return Path(TARGET) / f"{shown.name}-{look}.png"


@pytest.mark.parametrize("shown", PAGES, ids=lambda page: page.name)
async def test_a_page_is_photographed(visitors: Visitors, clinic: Clinic, shown: DashboardPage) -> None:
    """In each theme and width, whole."""
    for look in LOOKS:
        async with visitors.visitor("admin", look) as visitor:
            page = await visitor.open(await shown.address(clinic))
            await page.locator("[data-live-state][data-state=connecting]").wait_for(state="detached")
            height = int(await page.evaluate("document.documentElement.scrollHeight"))
            await page.set_viewport_size({"width": look.width, "height": max(look.height, min(height, MAX_HEIGHT))})
            await page.screenshot(path=picture(shown, look), animations="disabled", caret="hide")


async def test_the_sheet_shows_all_pictures(browser: Browser) -> None:
    """As a page for people, and as one picture."""
    rows = []
    for shown in PAGES:
        cells = "".join(_cell(picture(shown, look)) for look in LOOKS if picture(shown, look).exists())
        rows.append(f"<h2>{html.escape(shown.name)}</h2><p>{cells}</p>")
    style = "body{font:14px system-ui;margin:16px;background:#888}a{display:inline-block;vertical-align:top;margin:4px}"
    sheet = Path(TARGET) / "index.html"
    head = f"<!doctype html><meta charset=utf-8><title>Pages</title><style>{style}</style>"
    sheet.write_text(head + "".join(rows), encoding="utf-8")
    async with await browser.new_context(viewport={"width": 1800, "height": 1000}) as context:
        page = await context.new_page()
        await page.goto(sheet.resolve().as_uri())
        await page.screenshot(path=Path(TARGET) / "index.png", full_page=True)


def _cell(path: Path) -> str:
    width = 100 if f"-{NARROW}" in path.stem else 400
    return f'<a href="{path.name}"><img src="{path.name}" alt="{path.stem}" width="{width}"></a>'
