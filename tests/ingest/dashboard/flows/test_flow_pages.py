"""The pages of flows without a browser: each page, each action, and each role."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from filas.contract.identity import new_id
from filas.models.traffic import EdgeTraffic
from filas.repository.analytics.rollup_builder import RollupBuilder
from filas.repository.analytics.rollup_store import RollupStore
from ingest.dashboard.graph.graph_types import GraphEdge
from ingest.dashboard.pages.flows.heat_map import edges_in_order, width_class
from ingest.dashboard.pages.flows.version_comparison import united
from tests.ingest.api.serving import Api
from tests.ingest.dashboard.browsing import MAX_HTML_BYTES, Browser

FLOW: dict[str, Any] = {
    "schemaVersion": 1,
    "name": "Orders & <b>co</b>",
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {
            "id": "look-up",
            "type": "api",
            "data": {"url": "https://example.com/o", "onError": "branch", "label": "Look up"},
        },
        {"id": "answer", "type": "message", "data": {"text": "On its way"}},
        {"id": "sorry", "type": "message", "data": {"text": "Sorry"}},
    ],
    "edges": [
        {"source": "start", "target": "look-up"},
        {"source": "look-up", "sourceHandle": "out", "target": "answer"},
        {"source": "look-up", "sourceHandle": "error", "target": "sorry"},
    ],
}

SECOND = {
    **FLOW,
    "nodes": [
        FLOW["nodes"][0],
        {"id": "look-up", "type": "api", "data": {"url": "https://example.com/v2", "label": "Look up"}},
        FLOW["nodes"][2],
        {"id": "thanks", "type": "message", "data": {"text": "Thanks"}},
    ],
    "edges": [
        {"source": "start", "target": "look-up"},
        {"source": "look-up", "sourceHandle": "out", "target": "answer"},
        {"source": "answer", "target": "thanks"},
    ],
}


async def stored(api: Api, *versions: dict[str, Any], flow_id: str = "orders") -> None:
    """Stores and publishes the versions, one after the other."""
    for version in versions:
        answer = await api.put(f"/flows/{flow_id}", version)
        assert answer.status == 200, answer.text


async def ran(api: Api, status: str, *steps: tuple[str, str, str | None]) -> str:
    """Inserts an execution with steps (node, status, handle), and builds the figures."""
    row_id, now = new_id(), datetime.now(UTC)
    ended = None if "waiting" in status else now
    await api.database.fetch(
        "insert into executions (id, flow_id, version, node_id, trigger, status, queued_at, started_at, ended_at) "
        "values ($1, 'orders', 1, 'start', '{}', $2, $3, $3, $4)", row_id, status, now - timedelta(seconds=5), ended,
    )  # fmt: skip
    for seq, (node, step_status, handle) in enumerate(steps, 1):
        await api.database.fetch(
            "insert into steps (execution_id, seq, node_id, type, status, attempt, handle, started_at, ended_at) "
            "values ($1, $2, $3, 'api', $4, 1, $5, $6, $7)",
            row_id, seq, node, step_status, handle, now - timedelta(seconds=2), now,
        )  # fmt: skip
    assert await RollupBuilder(RollupStore(api.database, "w", pause_share=0.0)).build(datetime.now(UTC), budget_s=60)
    return str(row_id)


PASSED = (("start", "succeeded", "out"), ("look-up", "succeeded", "out"), ("answer", "succeeded", "out"))
FAILED = (("start", "succeeded", "out"), ("look-up", "failed", None))


async def test_without_flows_the_list_leads_to_the_gallery_and_the_import(browser: Browser, viewer: Browser) -> None:
    page = await browser.open("/flows")
    assert "No flows yet" in page.text
    assert {"/dashboard/flows/new", "/dashboard/flows/import"} <= set(page.links)
    seen = await viewer.open("/flows")
    assert "/dashboard/flows/new" not in seen.links
    assert "your role is viewer" in seen.text


async def test_the_list_shows_what_each_flow_did(browser: Browser, api: Api) -> None:
    """Its version, its last change, its executions, and what starts it; a search for its name or id."""
    await stored(api, FLOW, SECOND)
    await stored(api, {**FLOW, "name": "Other"}, flow_id="other")
    assert (await api.put("/webhooks/shop", {"flowId": "orders"})).status == 200
    await ran(api, "succeeded", *PASSED)
    await ran(api, "failed", *FAILED)
    page = await browser.open("/flows")
    assert "Orders & <b>co</b>" in page.text
    assert "v2" in page.text
    assert "admin token" in page.text
    assert "2 executions in the last 24 hours, 1 failed" in page.html
    assert "/dashboard/webhooks/shop" in page.links
    assert "/dashboard/executions?flowId=orders&status=failed%2Ctimed-out" in page.links
    found = await browser.open("/flows?text=OTH")
    assert ("Other" in found.text, "Orders" in found.text) == (True, False)
    assert "No flow has this" in (await browser.open("/flows?text=nothing")).text


async def test_the_heat_map_shows_traffic_failures_and_endings(browser: Browser, api: Api) -> None:
    """In the picture and in the tables; a node leads to its figures, and those to the executions behind them."""
    await stored(api, FLOW)
    for _ in range(3):
        await ran(api, "succeeded", *PASSED)
    failed = await ran(api, "failed", *FAILED)
    await ran(api, "waiting-input", ("start", "succeeded", "out"), ("answer", "waiting", None))
    page = await browser.open("/flows/orders")
    assert 'class="node node-dead"' in page.html
    assert 'class="edge edge-taken edge-w5"' in page.html
    assert "Look up (API call): 4 visits; 1 failure; 95 % took less than" in page.html
    assert '<g class="pill pill-dead">' in page.html
    assert "3 succeeded" in page.text
    assert "1 failed" in page.text
    chosen = await browser.open("/flows/orders?node=look-up")
    assert "node node-dead node-selected" in chosen.html
    assert "Continues by" in chosen.text
    [link] = {link for link in chosen.links if "stepStatus=failed" in link}
    executions = await browser.open(link.removeprefix("/dashboard"))
    assert {link for link in executions.links if link.startswith("/dashboard/executions/0")} == {
        f"/dashboard/executions/{failed}"
    }
    edge = next(link for link in page.links if "handle=out" in link and "nodeId=look-up" in link)
    passed = await browser.open(edge.removeprefix("/dashboard"))
    assert failed[-8:] not in passed.html
    assert passed.html.count("data-row") >= 3


async def test_the_period_of_the_heat_map_is_chosen(browser: Browser, api: Api) -> None:
    """One that ends now, or the given times."""
    await stored(api, FLOW)
    await ran(api, "succeeded", *PASSED)
    for period in ("1h", "24h", "7d", "30d"):
        assert "1 succeeded" in (await browser.open(f"/flows/orders?period={period}")).text, period
    earlier = "since=2026-01-01T00:00&until=2026-01-02T00:00"
    assert "No execution of this flow ended" in (await browser.open(f"/flows/orders?{earlier}")).text


async def test_the_versions_have_their_author_and_their_changes(browser: Browser, api: Api) -> None:
    """In a few words, and each pair of versions on one layout."""
    await stored(api, FLOW, SECOND)
    page = await browser.open("/flows/orders?tab=versions")
    assert "admin token" in page.text
    assert "the first version" in page.text
    assert "/dashboard/flows/orders/versions/1..2" in page.links
    chosen = await browser.open("/flows/orders/versions/1..2?from=2&to=1")
    assert chosen.url == "/dashboard/flows/orders/versions/2..1"
    exported = await browser.open("/flows/orders/versions/1/export")
    assert json.loads(exported.html)["nodes"] == FLOW["nodes"]
    assert exported.headers["Content-Disposition"] == 'attachment; filename="orders-v1.json"'


async def test_two_versions_are_shown_on_one_layout(browser: Browser, api: Api) -> None:
    """Added, removed and changed nodes and edges have a mark, a word and a colour, and the list has both values."""
    await stored(api, FLOW, SECOND)
    page = await browser.open("/flows/orders/versions/1..2")
    for state, title in (("completed", "thanks (message): added"), ("dead", "sorry (message): removed")):
        assert f'class="node node-{state}"' in page.html
        assert title in page.html
    assert "Look up (API call): changed" in page.html
    assert "edge edge-taken edge-added" in page.html
    assert "edge edge-taken edge-removed" in page.html
    assert "https://example.com/o" in page.text
    assert "https://example.com/v2" in page.text
    for wrong in ("1..9", "0..1", "a..b", "1"):
        await browser.open(f"/flows/orders/versions/{wrong}", status=404)


async def test_rolling_back_publishes_an_earlier_version_again(browser: Browser, api: Api) -> None:
    """After its differences were shown, as a new version."""
    await stored(api, FLOW, SECOND)
    page = await browser.open("/flows/orders/versions/1/roll-back")
    assert "https://example.com/v2" in page.text
    done = await browser.submit(page, "/dashboard/flows/orders/versions/1/roll-back")
    assert done.url == "/dashboard/flows/orders"
    assert "Version 3 is published. It equals version 1." in done.text
    present = (await api.get("/flows/orders")).data
    assert (present["version"], present["published"], present["definition"]) == (3, True, FLOW)


async def test_a_roll_back_does_not_undo_what_another_one_published(browser: Browser, api: Api) -> None:
    await stored(api, FLOW, SECOND)
    page = await browser.open("/flows/orders/versions/1/roll-back")
    await stored(api, {**SECOND, "name": "Third"})
    refused = await browser.submit(page, "/dashboard/flows/orders/versions/1/roll-back")
    assert "This did not work" in refused.text
    assert (await api.get("/flows/orders")).data["version"] == 3


async def test_a_version_with_an_error_of_the_whole_flow_is_refused(browser: Browser, api: Api) -> None:
    """Such an error has no node. An earlier version of Filas may have published the flow."""
    await stored(api, FLOW, SECOND)
    statement = "update flow_versions set definition = $1 where flow_id = 'orders' and version = 1"
    await api.database.fetch(statement, json.dumps({"name": "First", "nodes": [], "edges": []}))
    page = await browser.open("/flows/orders/versions/1/roll-back")
    refused = await browser.submit(page, "/dashboard/flows/orders/versions/1/roll-back", status=422)
    assert "expected a list of at least 1 entry" in refused.text


async def test_a_version_that_fails_todays_checks_is_published_if_only_a_use_is_missing(
    browser: Browser, api: Api
) -> None:
    """The page names each error, and offers to publish it nevertheless."""
    assert (await api.put("/channels/team", {"type": "console"})).status == 200
    nodes = [FLOW["nodes"][0], {"id": "look-up", "type": "message", "data": {"text": "a", "channel": "team"}}]
    await stored(api, {**FLOW, "nodes": nodes, "edges": FLOW["edges"][:1]}, SECOND)
    assert (await api.delete("/channels/team")).status == 200
    page = await browser.open("/flows/orders/versions/1/roll-back")
    refused = await browser.submit(page, "/dashboard/flows/orders/versions/1/roll-back", status=422)
    assert "team" in refused.text
    done = await browser.submit(refused, "/dashboard/flows/orders/versions/1/roll-back")
    assert "Version 3 is published" in done.text


async def test_what_uses_the_flow_is_shown_and_prevents_its_deletion(browser: Browser, api: Api) -> None:
    """Unless the operator forces it."""
    await stored(api, FLOW)
    assert (await api.put("/webhooks/shop", {"flowId": "orders"})).status == 200
    assert "/dashboard/webhooks/shop" in (await browser.open("/flows/orders?tab=uses")).links
    page = await browser.open("/flows/orders/delete")
    assert "/dashboard/webhooks/shop" in page.links
    refused = await browser.submit(page, "/dashboard/flows/orders/delete")
    assert "is used by webhook" in refused.text
    done = await browser.submit(page, "/dashboard/flows/orders/delete", {"force": "1"})
    assert done.url == "/dashboard/flows"
    assert "The flow orders is deleted." in done.text
    assert (await api.get("/flows/orders")).status == 404


async def test_the_last_executions_and_the_commands_are_shown(browser: Browser, api: Api) -> None:
    await stored(api, FLOW)
    assert "No executions yet" in (await browser.open("/flows/orders?tab=executions")).text
    execution = await ran(api, "failed", *FAILED)
    assert f"/dashboard/executions/{execution}" in (await browser.open("/flows/orders?tab=executions")).links
    page = await browser.open("/flows/orders")
    assert "filas flows traffic orders --period 24h" in page.text
    assert "filas flows show orders" in page.text


async def test_the_saved_tests_are_listed_and_exported(browser: Browser, api: Api) -> None:
    await stored(api, FLOW)
    assert "No saved tests" in (await browser.open("/flows/orders?tab=tests")).text
    saved = {"request": {"conversation": {"text": "oi"}}, "expect": {"status": "succeeded"}}
    assert (await api.put("/flows/orders/tests/diz%20oi", saved)).status == 200
    page = await browser.open("/flows/orders?tab=tests")
    assert "diz oi" in page.text
    file = await browser.open("/flows/orders/tests/diz%20oi/export")
    assert json.loads(file.html)["request"]["conversation"]["text"] == "oi"
    assert file.headers["Content-Disposition"] == 'attachment; filename="orders-diz_oi.json"'


async def test_a_viewer_sees_everything_and_changes_nothing(api: Api, viewer: Browser) -> None:
    """No button is shown, the page states why, and the actions are refused."""
    await stored(api, FLOW, SECOND)
    paths = ("/flows", "/flows/orders", "/flows/orders?tab=versions", "/flows/orders/versions/1..2")
    for path in paths:
        page = await viewer.open(path)
        assert "your role is viewer" in page.text, path
        assert not [link for link in page.links if link.endswith(("/edit", "/delete", "/roll-back"))], path
    for path in ("/flows/orders/delete", "/flows/orders/versions/1/roll-back"):
        page = await viewer.open(path)
        assert not [form for form in page.forms if form.action.endswith(path)]
        await viewer.post(path, {"force": "1"}, status=403)
    assert (await api.get("/flows/orders")).data["version"] == 2


async def test_a_flow_of_a_thousand_nodes_has_a_page_of_bounded_size(browser: Browser, api: Api) -> None:
    """The busiest nodes are drawn and listed; all of them on request."""
    nodes = [FLOW["nodes"][0]]
    nodes += [{"id": f"n{number}", "type": "message", "data": {"text": "a"}} for number in range(999)]
    names = ["start", *(f"n{number}" for number in range(999))]
    edges = [{"source": one, "target": other} for one, other in itertools.pairwise(names)]
    settings = {"maxSteps": 2000}
    await stored(api, {**FLOW, "nodes": nodes, "edges": edges, "settings": settings})
    changed = [*nodes[:-1], {"id": "n998", "type": "message", "data": {"text": "b"}}]
    await stored(api, {**FLOW, "nodes": changed, "edges": edges, "settings": settings})
    await ran(api, "succeeded", ("start", "succeeded", "out"), ("n500", "succeeded", "out"))
    page = await browser.open("/flows/orders")
    assert "24 of 1000 nodes are drawn" in page.text
    assert "n500 (message): 1 visit" in page.html
    assert len(page.html.encode()) <= MAX_HTML_BYTES * 3
    assert "n998 (message): changed" in (await browser.open("/flows/orders/versions/1..2")).html
    whole = await browser.open("/flows/orders?graph=all")
    assert whole.html.count('<g class="node') + whole.html.count('<a class="node') == 1000


def test_an_edge_without_a_handle_gets_the_traffic_of_the_first_one() -> None:
    counted = [
        EdgeTraffic(source="a", source_handle="out", target="b", count=3),
        EdgeTraffic(source="a", source_handle="error", target="b", count=1),
    ]
    drawn = [GraphEdge("a", "b", "error"), GraphEdge("a", "b"), GraphEdge("a", "c")]
    assert [edge.count for edge in edges_in_order(drawn, counted)] == [1, 3, 0]


@pytest.mark.parametrize(
    ("count", "most", "expected"), [(100, 100, 5), (26, 100, 5), (25, 100, 4), (1, 1000, 1), (1, 1, 5)]
)
def test_the_width_of_an_edge_is_its_share_of_the_largest(count: int, most: int, expected: int) -> None:
    assert width_class(count, most) == expected


def test_nodes_of_both_versions_keep_their_places() -> None:
    """A node that both have is where the first version has it."""
    before = {"nodes": [{"id": "a", "position": {"x": 0, "y": 0}}, {"id": "b", "position": {"x": 0, "y": 200}}]}
    after = {"nodes": [{"id": "a", "position": {"x": 900, "y": 0}}, {"id": "c", "position": {"x": 0, "y": 400}}]}
    both = united(before, after, {"a"})
    assert [(node.id, node.position) for node in both.graph.nodes] == [("a", (0, 0)), ("b", (0, 200)), ("c", (0, 400))]
    assert both.nodes == {"a": "changed", "b": "removed", "c": "added"}
