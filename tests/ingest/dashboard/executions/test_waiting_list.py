"""The list of executions that wait."""

from datetime import UTC, datetime, timedelta

from tests.ingest.api.serving import Api
from tests.ingest.dashboard.browsing import Browser
from tests.ingest.dashboard.executions.recorded import record, record_waiting, steps, store_flow


async def test_waits_are_sorted_by_due_time(api: Api, browser: Browser) -> None:
    """The wait that ends first comes first; one that is overdue is marked."""
    await store_flow(api)
    later = await record_waiting(api, "5511999990000", hours=2)
    sooner = await record_waiting(api, "5521988887777", minutes=5)
    overdue = await record(
        api,
        "waiting-timer",
        steps=steps(("start", "webhook", "out"), ("pause", "delay", None), status="waiting", ended_at=None),
        wake_at=datetime.now(UTC) - timedelta(minutes=1),
    )
    page = await browser.open("/waiting")
    places = [page.html.index(str(one)) for one in (overdue, sooner, later)]
    assert places == sorted(places)
    assert page.text.count("overdue") == 1
    assert "a reply" in page.text
    only = await browser.open("/waiting?waitsFor=time")
    assert str(overdue) in only.html
    assert str(sooner) not in only.html
    of_contact = await browser.open("/waiting?contact=21+98888-7777", headers={"Accept-Language": "pt-BR"})
    assert str(sooner) in of_contact.html
    assert str(later) not in of_contact.html


async def test_nothing_waits(browser: Browser) -> None:
    """The page explains what would be there."""
    assert "Nothing waits" in (await browser.open("/waiting")).text
    assert "Nothing matches" in (await browser.open("/waiting?flowId=gone")).text
