"""What *Copy as…* gives is the same thing again: an execution as a test runs the same nodes."""

import json
from pathlib import Path
from typing import Any

from tests.browser.clinic import PHONES, Clinic
from tests.browser.pages import BOOKED
from tests.browser.visitors import Visitor, Visitors


async def downloaded(visitor: Visitor, path: str) -> dict[str, dict[str, Any]]:
    """The file of the test in the menu of a page."""
    page = await visitor.open(path)
    menu = page.locator("details.copies", has=page.locator("a[download]"))
    await menu.locator("summary").click()
    async with page.expect_download() as download:
        await menu.locator("a[download]").click()
    return case_of(await (await download.value).path())


def case_of(file: Path) -> dict[str, dict[str, Any]]:
    """The content of a downloaded file."""
    found: dict[str, dict[str, Any]] = json.loads(file.read_text("utf-8"))
    return found


async def test_an_execution_as_a_test(visitors: Visitors, clinic: Clinic) -> None:
    """With its event, its replies and the responses to its calls, the test runs as the execution did."""
    execution_id = str(await clinic.until(BOOKED))
    execution = await clinic.pipeline.api("GET", f"/api/executions/{execution_id}")
    async with visitors.visitor("viewer") as visitor:
        case = await downloaded(visitor, f"/executions/{execution_id}")
    run = await clinic.pipeline.api("POST", f"/api/flows/{execution['flowId']}/test", case["request"])
    assert run["status"] == execution["status"] == case["expect"]["status"]
    assert [one["nodeId"] for one in run["steps"]] == [one["nodeId"] for one in execution["steps"]]
    assert case["request"]["replies"]


async def test_an_event_as_a_test(visitors: Visitors, clinic: Clinic) -> None:
    """The webhook finds the contact in it, and numbers keep their digits."""
    event_id = await clinic.pay(PHONES[1], 9007199254740993)
    async with visitors.visitor("viewer") as visitor:
        case = await downloaded(visitor, f"/events/{event_id}")
    assert case["request"]["webhook"]["body"]["valor"] == 9007199254740993
    run = await clinic.pipeline.api("POST", "/api/flows/pagamento/test", case["request"])
    assert run["status"] == "succeeded"
