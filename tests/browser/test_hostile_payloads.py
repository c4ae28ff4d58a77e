"""Hostile payloads are text on every page that shows them: nothing runs and nothing changes."""

import gzip

import pytest

from tests.browser import accessibility, hostile_payloads
from tests.browser.clinic import Clinic
from tests.browser.hostile_payloads import PAYLOADS
from tests.browser.visitors import Visitors

PLACES = {
    "event": "/events/{event}",
    "events": "/events",
    "execution": "/executions/{execution}",
    "executions": "/executions?flowId=marcar-consulta",
    "conversation": "/conversations/{conversation}",
    "conversations": "/conversations",
}
WHOLE = ("event",)
"""The pages that show the body of the request."""
MAX_PAGE_BYTES = 40_000
"""Compressed, as dashboard.md limits it. A payload of 1 MiB is shown in part."""


@pytest.mark.parametrize("name", PAYLOADS)
async def test_a_hostile_payload_is_text(visitors: Visitors, clinic: Clinic, name: str) -> None:
    """In lists, as an event, as an execution and in its conversation."""
    event_id = await hostile_payloads.post(clinic, name)
    execution_id = await clinic.execution(event_id)
    query = "select conversation_id::text from executions where id = $1::uuid"
    ids = {
        "event": event_id,
        "execution": execution_id,
        "conversation": await clinic.until(query, execution_id),
    }
    async with visitors.visitor("admin") as visitor:
        for place, path in PLACES.items():
            page = await visitor.open(path.format(**ids))
            html = (await page.content()).encode("utf-8", "surrogatepass")
            assert len(gzip.compress(html)) <= MAX_PAGE_BYTES, place
            assert await page.locator("h1").count() == 1
            assert await page.evaluate("document.scripts.length") == await page.locator("head script[src]").count()
            assert await page.locator("[onerror], [onload], [href^='javascript:']").count() == 0
            await accessibility.fits(page)
            if place in WHOLE:
                text = await page.locator("main").inner_text()
                assert [part for part in PAYLOADS[name].shown if part not in text] == []
