"""The pages of analytics: their figures are those of the API, which are those of the rows."""

import csv
import io
import random
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest_asyncio

from filas.repository.analytics.rollup_builder import RollupBuilder
from filas.repository.analytics.rollup_store import RollupStore
from ingest.dashboard.pages.analytics.changes import change_of_count, change_of_share, change_of_time
from ingest.dashboard.pages.analytics.periods import LENGTHS
from ingest.dashboard.pages.analytics.views import VIEWS
from ingest.dashboard.presentation.plots import nice_count, nice_ms, plot
from ingest.dashboard.presentation.texts import Reader
from tests.ingest.api.serving import Api
from tests.ingest.api.test_analytics import total
from tests.ingest.dashboard.browsing import MAX_HTML_BYTES, Browser, Page
from tests.shared.repository.rollup_rows import Rows

READER = Reader("en", UTC, "UTC")
HOSTILE = '<script>alert(1)</script>"'


def minute() -> datetime:
    """The beginning of the present minute: the run may have begun hours ago."""
    return datetime.now(UTC).replace(second=0, microsecond=0)


@pytest_asyncio.fixture
async def rows(api: Api) -> AsyncIterator[Rows]:
    """Chains of rows of the last minutes, with their rollups."""
    chance, rows, added, now = random.Random(3), Rows(), Rows(), minute()
    for number in range(12):
        added.chain(chance, now - timedelta(seconds=number * 5))
    await rows.write(api.database, added)
    store = RollupStore(api.database, "worker-1", pause_share=0.0)
    assert await RollupBuilder(store).build(now, budget_s=60)
    yield rows


def value_of(page: Page, chart: str) -> str:
    """The value of a chart, as the page writes it."""
    found = re.search(rf'<h2 id="chart-{chart}">.*?<span class="figure">(.*?)</span>', page.html, re.DOTALL)
    assert found is not None, chart
    return found[1]


async def test_the_overview_shows_the_figures_of_the_rows(browser: Browser, rows: Rows) -> None:
    page = await browser.open("/analytics?period=1h")
    assert value_of(page, "received") == str(total(rows, "received")[0])
    retries = total(rows, "flow-retries")[0] + total(rows, "channel-retries")[0]
    assert value_of(page, "retries") == str(retries)
    count, outcomes = total(rows, "executions")
    failed = outcomes.get("failed", 0) + outcomes.get("timed-out", 0)
    assert f"{failed} of {count} have failed" in page.text
    for text in ("Nodes that fail most", "Slowest channels", "node-1", "crm", "none before"):
        assert text in page.text
    assert page.html.count('<svg class="plot"') == 4
    assert page.html.count('class="before"') >= 6, "the key of each chart, and the lines of the period before"
    assert page.html.count("<caption") == 8, "a table beside each chart, and the lists"
    assert len(page.html.encode()) <= MAX_HTML_BYTES
    portuguese = await browser.open("/analytics?period=1h", headers={"Accept-Language": "pt-BR"})
    assert "Nós que mais falham" in portuguese.text


async def test_every_list_and_every_entry_has_the_figures_of_the_rows(browser: Browser, rows: Rows) -> None:
    """By webhook, flow, node, channel and queue; each entry leads to its charts."""
    for by, view in VIEWS.items():
        page = await browser.open(f"/analytics?period=1h&by={by}")
        answer = (await browser.api.get(f"/analytics/{view.listed}/groups")).data["groups"]
        assert page.html.count("<tr data-row") == len(answer) > 0, by
        assert len(page.html.encode()) <= MAX_HTML_BYTES
        links = [link for link in page.links if f"by={by}" in link and "&id=" in link]
        assert len(set(links)) == len(answer), by
        for link, group in zip(dict.fromkeys(links), answer, strict=True):
            shown = await browser.open(link.removeprefix("/dashboard"))
            assert group["subject"] in shown.text
            assert value_of(shown, view.charts[0].name) == str(group["count"]), link
            found = total(rows, view.retries, group["subject"], group["nodeId"] or "")[0]
            assert value_of(shown, "retries") == str(found), link
            assert len(shown.html.encode()) <= MAX_HTML_BYTES


async def test_every_period_is_shown(browser: Browser, rows: Rows) -> None:
    """A page is not too large, whatever the number of its points."""
    for period in [*LENGTHS, "", "other"]:
        page = await browser.open(f"/analytics?period={period}")
        assert value_of(page, "received") == str(total(rows, "received")[0]), period
        assert len(page.html.encode()) <= MAX_HTML_BYTES, period
        tables = re.findall(r"<tbody>(.*?)</tbody>", page.html, re.DOTALL)
        assert max(table.count("<tr>") for table in tables) <= 25, period


async def test_a_given_period_is_that_of_the_page(browser: Browser, rows: Rows) -> None:
    """Its times are in the zone of the reader; the period before is the one with the same length."""
    since = minute() + timedelta(minutes=2)
    until = since + timedelta(hours=1)
    page = await browser.open(f"/analytics?since={since:%Y-%m-%dT%H:%M}&until={until:%Y-%m-%dT%H:%M}")
    assert value_of(page, "received") == "0"
    assert "100 % less than before" in page.text
    assert f'value="{since:%Y-%m-%dT%H:%M}"' in page.html


async def test_a_wrong_period_is_explained(browser: Browser) -> None:
    """The page and its form stay."""
    for query in ("since=yesterday", "since=2026-02-02T00:00&until=2026-01-01T00:00", "since=1990-01-01T00:00"):
        page = await browser.open(f"/analytics?{query}")
        assert "This part cannot be shown" in page.text


async def test_entries_are_ordered(browser: Browser, rows: Rows) -> None:
    """The same order as that of the API, and the command for it."""
    for order in ("failures", "slowest"):
        page = await browser.open(f"/analytics?period=1h&by=node&order={order}")
        answer = (await browser.api.get("/analytics/nodes/groups", params={"order": order})).data["groups"]
        shown = re.findall(r'<tr data-row><td><a class="mono" href="[^"]*"><bdi dir="auto">(.*?)</bdi>', page.html)
        assert shown == [group["nodeId"] for group in answer]
        assert f"filas analytics groups nodes --order {order} --period 1h" in page.text
    assert "most failures" not in (await browser.open("/analytics?by=queue")).text


async def test_each_chart_has_its_csv(browser: Browser, rows: Rows) -> None:
    """It has the rows of the chart, and its name."""
    page = await browser.open("/analytics?period=1h&by=flow&id=welcome")
    [link, *_] = [link for link in page.links if "csv?figure=executions" in link]
    answer = await browser.open(link.removeprefix("/dashboard"))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="executions.csv"'
    table = list(csv.DictReader(io.StringIO(answer.html)))
    assert sum(int(row["count"]) for row in table) == total(rows, "executions", "welcome")[0]
    groups = await browser.open("/analytics/csv?period=1h&by=node&figure=nodes&groups=1")
    assert {row["node"] for row in csv.DictReader(io.StringIO(groups.html))} == {"node-1", "node-2"}
    await browser.open("/analytics/csv?figure=speed", status=404)
    await browser.open("/analytics/csv?figure=nodes", status=422)


async def test_hostile_names_are_text(api: Api, browser: Browser) -> None:
    """Of nodes and of subjects, in the lists and in their addresses."""
    statement = """
    insert into rollups (resolution, figure, at, subject, part, outcome, count, sum_ms)
    values ('minute', 'nodes', $1, $2, $2, 'failed', 1, 0)"""
    await api.database.fetch(statement, minute() - timedelta(minutes=1), HOSTILE)
    page = await browser.open("/analytics?period=1h&by=node")
    assert HOSTILE in page.text
    shown = await browser.open(f"/analytics?period=1h&by=node&id={quote(HOSTILE)}&node={quote(HOSTILE)}")
    assert value_of(shown, "steps") == "1"
    assert HOSTILE in shown.text


async def test_without_figures_the_pages_state_so(browser: Browser) -> None:
    assert "Nothing in this period." in (await browser.open("/analytics")).text
    for by in VIEWS:
        assert "Choose a longer period" in (await browser.open(f"/analytics?by={by}")).text
    await browser.open("/analytics?by=flow&id=no-such-flow")
    await browser.open("/analytics?by=node&id=welcome", status=422)


async def test_a_viewer_sees_the_same(viewer: Browser, rows: Rows) -> None:
    """There is nothing to do."""
    for path in ("/analytics?period=1h", "/analytics?by=flow", "/analytics?by=flow&id=welcome"):
        await viewer.open(path)
    await viewer.open("/analytics/csv?figure=received")


def test_a_change_has_a_shape_words_and_a_colour_where_it_is_good_or_bad() -> None:
    cases = [
        (change_of_count(READER, 112, 100), "▲", "12 % more than before", "muted"),
        (change_of_count(READER, 88, 100, more_is_bad=True), "▼", "12 % less than before", "completed"),
        (change_of_count(READER, 0, 0), "=", "as before", "muted"),
        (change_of_count(READER, 3, 0, more_is_bad=True), "▲", "none before", "failed"),
        (change_of_count(READER, 3000, 100), "▲", "30 times as many as before", "muted"),
        (change_of_time(READER, 90.0, 100.0), "▼", "10 % faster than before", "completed"),
        (change_of_time(READER, 250.0, 100.0), "▲", "150 % slower than before", "failed"),
        (change_of_time(READER, None, 100.0), "=", "nothing to compare with", "muted"),
        (change_of_share(READER, 0.99, 0.97), "▲", "2 points more than before", "completed"),
        (change_of_share(READER, 0.95, 0.97), "▼", "2 points less than before", "failed"),
    ]
    for change, shape, text, css in cases:
        assert (change.shape, change.text, change.css) == (shape, text, css)


def test_a_chart_has_gaps_and_its_axis_is_round() -> None:
    assert [nice_count(value) for value in (0, 2, 3, 11, 450)] == [2, 2, 4, 20, 1000]
    assert [nice_ms(value) for value in (0.5, 130, 61_000)] == [1, 200, 120_000]
    drawn = plot([("strong", [1, None, 2, 3])], "a chart", top=4, write=str)
    assert str(drawn.svg).count("<polyline") == 2
    assert drawn.y_labels == ("4", "2.0", "0")
    assert 'points="400,60.0 600,30.0"' in str(drawn.svg)
