"""How a person acts on a page: with a mouse, or with the keyboard alone."""

import asyncio
from contextlib import suppress
from typing import Literal

from playwright.async_api import Locator, Page

from tests.long_form import by_form

How = Literal["mouse", "keyboard"]
HOWS: tuple[How, ...] = by_form(("mouse",), ("mouse", "keyboard"))
"""Actions are tested by each of these. The short form uses the mouse."""

MAX_TABS = 300
UNANSWERED_S = 10.0
HAS_FOCUS = "element => element === document.activeElement"


class Hands:
    """Acts on the elements of a page in one way."""

    def __init__(self, page: Page, how: How) -> None:
        self._page = page
        self._how = how

    async def press(self, element: Locator) -> None:
        """Presses a button, a link, or the summary of what can be opened."""
        await element.wait_for(state="visible")
        if self._how == "mouse":
            await element.click()
            return
        await self._move_to(element)
        await self._strike("Enter")

    async def write(self, element: Locator, text: str) -> None:
        """Replaces the text of a field."""
        await element.wait_for(state="visible")
        if self._how == "mouse":
            await element.click()
        else:
            await self._move_to(element)
        await self._page.keyboard.press("Control+A")
        await self._page.keyboard.insert_text(text)

    async def choose(self, element: Locator, value: str) -> None:
        """Chooses an option of a list by its value."""
        if self._how == "mouse":
            await element.select_option(value)
            return
        await self._move_to(element)
        for _ in range(await element.locator("option").count()):
            if await element.input_value() == value:
                return
            await self._page.keyboard.press("ArrowDown")
        assert await element.input_value() == value

    async def _strike(self, key: str) -> None:
        """Presses a key that may lead to another page. Then nothing answers that the key was released."""
        for action in (self._page.keyboard.down, self._page.keyboard.up):
            with suppress(TimeoutError):
                await asyncio.wait_for(action(key), UNANSWERED_S)

    async def _move_to(self, element: Locator) -> None:
        """Presses Tab until the element has the focus, and checks that the focus can be seen."""
        for _ in range(MAX_TABS):
            if await element.evaluate(HAS_FOCUS):
                break
            await self._page.keyboard.press("Tab")
        assert await element.evaluate(HAS_FOCUS), f"Tab does not reach {element}"
        outline = await element.evaluate("element => getComputedStyle(element).outlineStyle")
        assert outline != "none", f"the focus of {element} cannot be seen"
