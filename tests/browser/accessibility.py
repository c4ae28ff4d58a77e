"""What axe finds, and what it does not look at: words that are cut, and pages that are wider than their window."""

from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

GRAVE = ("serious", "critical")
OVERFLOWING = """
() => {
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide <= 0) return [];
  const edge = document.documentElement.clientWidth;
  const scrolls = element => { for (let up = element.parentElement; up && up !== document.body; up = up.parentElement) {
    if (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(up).overflowX)) return true; } return false; };
  return [...document.body.querySelectorAll("*")]
    .filter(each => each.getBoundingClientRect().right > edge + 1 && !scrolls(each))
    .slice(0, 5).map(each => `${each.tagName.toLowerCase()}.${each.className?.baseVal ?? each.className}`)
    .concat(`${wide} px wider than the window`);
}
"""
_axe: Any = Axe()


async def check(page: Page) -> None:
    """Fails with each serious or critical violation, its elements, and what the rule asks for."""
    found = await _axe.run(page, options={"resultTypes": ["violations"]})
    grave = [each for each in found.response["violations"] if each["impact"] in GRAVE]
    lines = [f"{page.url}: {each['impact']} {each['id']}: {each['help']}" + _elements(each) for each in grave]
    assert not grave, "\n".join(lines)


def _elements(violation: dict[str, Any]) -> str:
    shown = violation["nodes"][:4]
    return "".join(f"\n    {node['html'][:200]}\n      {node['failureSummary'][:300]}" for node in shown)


async def fits(page: Page) -> None:
    """Fails where the page scrolls sideways as a whole, with the elements that make it so wide."""
    wide = await page.evaluate(OVERFLOWING)
    assert not wide, f"{page.url}: {wide}"
