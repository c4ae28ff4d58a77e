"""Debian's Chromium, started without a window and without requests of its own."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
)
REQUIRED = bool(os.environ.get("FILAS_TEST_BROWSER"))
"""Whether a missing Chromium is a failure."""


def find() -> str | None:
    """The program, or None. The program itself comes before the shell script that Debian starts it with."""
    names = (os.environ.get("FILAS_CHROMIUM", ""), "/usr/lib/chromium/chromium", "chromium", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


@asynccontextmanager
async def running(program: str) -> AsyncIterator[Browser]:
    """A browser with a fresh profile, without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, headless=True, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()
