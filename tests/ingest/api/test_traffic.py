"""The traffic of a flow equals the rows, and executions are found by their steps."""

import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from filas.contract.identity import new_id
from filas.repository.analytics.rollup_builder import RollupBuilder
from filas.repository.analytics.rollup_store import RollupStore
from filas.repository.analytics.traffic_queries import COUNTS, TIMES, WAITING
from filas.repository.executions import execution_search
from filas.repository.executions.execution_search import ExecutionFilter, ExecutionSearch, StepFilter
from tests.ingest.api.serving import Api, fields_of
from tests.shared.repository.rollup_rows import Rows
from tests.shared.repository.test_plans import _generic_plan, _nodes

NOW = datetime.now(UTC).replace(second=0, microsecond=0)

FLOW: dict[str, Any] = {
    "schemaVersion": 1,
    "name": "Welcome",
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "node-1", "type": "message", "data": {"text": "a", "onError": "branch"}},
        {"id": "node-2", "type": "message", "data": {"text": "b"}},
    ],
    "edges": [
        {"id": "e1", "source": "start", "target": "node-1"},
        {"id": "e2", "source": "node-1", "sourceHandle": "out", "target": "node-2"},
        {"id": "e3", "source": "node-1", "sourceHandle": "error", "target": "node-2"},
    ],
}


async def built(api: Api) -> None:
    """Builds the rollups of everything."""
    assert await RollupBuilder(RollupStore(api.database, "worker-1", pause_share=0.0)).build(NOW, budget_s=60)


@pytest_asyncio.fixture
async def rows(api: Api) -> AsyncIterator[Rows]:
    """Thirty chains of rows of the last minutes, with their rollups, and the flow of some of them."""
    assert (await api.put("/flows/welcome?force=true", FLOW)).status == 200
    chance, rows, added = random.Random(1), Rows(), Rows()
    for number in range(30):
        added.chain(chance, NOW - timedelta(seconds=number * 5))
    await rows.write(api.database, added)
    await built(api)
    yield rows


def of_flow(rows: Rows, figure: str) -> dict[str, Counter[str]]:
    """The counts of a figure of the flow, by node and outcome."""
    found: dict[str, Counter[str]] = {}
    for (name, _, subject, node, outcome), (count, _, _) in rows.figures("day").items():
        if (name, subject) == (figure, "welcome"):
            found.setdefault(node, Counter())[outcome] += count
    return found


async def test_the_traffic_of_a_flow_equals_the_rows(api: Api, rows: Rows) -> None:
    """Nodes with visits, failures and endings, and edges, also one that does not name its handle."""
    found = (await api.get("/flows/welcome/traffic")).data
    visits, outputs, endings = of_flow(rows, "nodes"), of_flow(rows, "outputs"), of_flow(rows, "endings")
    assert [node["nodeId"] for node in found["nodes"]] == ["start", "node-1", "node-2"]
    for node in found["nodes"]:
        expected = visits.get(node["nodeId"], Counter())
        assert node["visits"] == expected.total()
        assert node["outcomes"] == dict(expected)
        assert node["failures"] == expected["failed"]
        assert node["endings"] == dict(endings.get(node["nodeId"], Counter()))
        assert (node["p95Ms"] is not None) == (expected.total() > 0)
        assert node["inVersion"] is True
    assert sum(sum(counts.values()) for counts in endings.values()) == sum(found["executions"].values()) > 0
    assert [(edge["source"], edge["sourceHandle"], edge["target"], edge["count"]) for edge in found["edges"]] == [
        ("start", "out", "node-1", 0),
        ("node-1", "out", "node-2", outputs["node-1"]["out"]),
        ("node-1", "error", "node-2", outputs["node-1"]["error"]),
    ]
    assert all(edge["count"] > 0 for edge in found["edges"][1:])
    assert found["edgesSince"] is None
    assert found["builtUntil"] is not None


async def test_a_longer_period_and_another_version_have_the_same_traffic(api: Api, rows: Rows) -> None:
    """Nodes that the version does not have follow those that it has."""
    edge = {"id": "e1", "source": "start", "target": "node-2"}
    short = {**FLOW, "nodes": [FLOW["nodes"][0], FLOW["nodes"][2]], "edges": [edge]}
    assert (await api.put("/flows/welcome?publish=false", short)).status == 200
    hour = (await api.get("/flows/welcome/traffic")).data
    for days, step in ((1, "hour"), (30, "day"), (90, "day")):
        since = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        found = (await api.get("/flows/welcome/traffic", params={"since": since})).data
        assert (found["step"], found["nodes"], found["edges"]) == (step, hour["nodes"], hour["edges"])
    second = (await api.get("/flows/welcome/traffic", params={"version": "2"})).data
    assert [(node["nodeId"], node["inVersion"]) for node in second["nodes"]] == [
        ("start", True), ("node-2", True), ("node-1", False),
    ]  # fmt: skip
    assert second["nodes"][2]["visits"] == hour["nodes"][1]["visits"]
    assert [edge["target"] for edge in second["edges"]] == ["node-2"]
    earlier = {"since": (NOW - timedelta(days=3)).isoformat(), "until": (NOW - timedelta(days=2)).isoformat()}
    before = (await api.get("/flows/welcome/traffic", params=earlier)).data
    assert [node["visits"] for node in before["nodes"]] == [0, 0, 0]


async def step(
    api: Api, execution: Any, seq: int, node: str, status: str = "succeeded", handle: str | None = "out"
) -> None:
    """Inserts a step."""
    await api.database.fetch(
        "insert into steps (execution_id, seq, node_id, type, status, attempt, handle, started_at, ended_at) "
        "values ($1, $2, $3, 'message', $4, 1, $5, now(), now())", execution, seq, node, status, handle,
    )  # fmt: skip


async def execution(api: Api, status: str, *, age_s: int = 0) -> Any:
    """Inserts an execution of the flow; a final one has ended."""
    row_id = new_id()
    await api.database.fetch(
        "insert into executions (id, flow_id, version, node_id, trigger, status, queued_at, started_at, ended_at) "
        "values ($1, 'welcome', 1, 'start', '{}', $2, $3, $3, $4)",
        row_id, status, NOW - timedelta(seconds=age_s), None if "waiting" in status else NOW - timedelta(seconds=1),
    )  # fmt: skip
    return row_id


async def test_what_ends_or_waits_in_a_subflow_counts_for_its_node(api: Api) -> None:
    """Steps of a subflow have names of their own; the figures of their nodes are shown beside those of the flow."""
    assert (await api.put("/flows/welcome", FLOW)).status == 200
    failed, waiting = await execution(api, "failed"), await execution(api, "waiting-input")
    for one, status in ((failed, "failed"), (waiting, "waiting")):
        await step(api, one, 1, "start")
        await step(api, one, 2, "node-1/check/ask", status, None)
    await built(api)
    found = (await api.get("/flows/welcome/traffic")).data
    by_node = {node["nodeId"]: node for node in found["nodes"]}
    assert by_node["node-1"]["endings"] == {"failed": 1}
    assert by_node["node-1"]["waiting"] == 1
    assert (by_node["node-1/check/ask"]["visits"], by_node["node-1/check/ask"]["failures"]) == (1, 1)
    assert by_node["node-1/check/ask"]["inVersion"] is False
    assert found["waitingComplete"] is True
    assert found["executions"] == {"failed": 1}


async def test_figures_from_before_edges_were_counted_are_marked(api: Api, rows: Rows) -> None:
    """Executions of a time of which no steps are left have no edges: the answer states since when there are some."""
    await api.database.fetch(
        "insert into rollups (resolution, figure, at, subject, part, outcome, count, sum_ms) "
        "values ('day', 'executions', date_trunc('day', now(), 'UTC') - interval '40 days', '*', '', 'failed', 1, 1)"
    )
    since = {"since": (NOW - timedelta(days=60)).isoformat()}
    first = datetime.fromisoformat((await api.get("/flows/welcome/traffic", params=since)).data["edgesSince"])
    assert first in {NOW.replace(hour=0, minute=0), (NOW - timedelta(days=1)).replace(hour=0, minute=0)}
    # A minute before the last row is in a day that has edges, also just after midnight.
    lately = {"since": (NOW - timedelta(minutes=1)).isoformat()}
    assert (await api.get("/flows/welcome/traffic", params=lately)).data["edgesSince"] is None
    await api.database.fetch(
        "update rollup_progress set until_at = $1, next_at = $1::timestamptz - interval '1 day' "
        "where source = 'steps' and pass = 'history'", NOW - timedelta(days=2),
    )  # fmt: skip
    unfinished = (await api.get("/flows/welcome/traffic", params=since)).data["edgesSince"]
    assert datetime.fromisoformat(unfinished) == NOW - timedelta(days=2)


async def test_a_flow_or_version_that_does_not_exist_is_named(api: Api) -> None:
    assert (await api.get("/flows/none/traffic")).status == 404
    assert (await api.put("/flows/welcome", FLOW)).status == 200
    assert (await api.get("/flows/welcome/traffic", params={"version": "7"})).status == 404
    assert fields_of(await api.get("/flows/welcome/traffic", params={"since": "2020-01-01T00:00:00Z"})) == ["since"]
    empty = (await api.get("/flows/welcome/traffic")).data
    assert (empty["builtUntil"], empty["executions"], [node["visits"] for node in empty["nodes"]]) == (
        None,
        {},
        [0, 0, 0],
    )


async def listed(api: Api, **params: str) -> list[str]:
    """The ids of the executions of the flow with these filters."""
    return [one["id"] for one in (await api.get("/executions", params={"flowId": "welcome", **params})).data]


async def test_executions_are_found_by_a_step(api: Api) -> None:
    """By its node, its status, and the handle by which it left: of one step, not of several together."""
    passed, failed, other = [await execution(api, "succeeded", age_s=age) for age in (3, 2, 1)]
    for one in (passed, failed):
        await step(
            api, one, 1, "node-1", "failed" if one == failed else "succeeded", "error" if one == failed else "out"
        )
    await step(api, failed, 2, "node-2")
    await step(api, other, 1, "node-2", "failed", None)
    assert await listed(api, nodeId="node-1") == [str(failed), str(passed)]
    assert await listed(api, nodeId="node-1", stepStatus="failed") == [str(failed)]
    assert await listed(api, nodeId="node-1", handle="out") == [str(passed)]
    assert await listed(api, nodeId="node-2", stepStatus="failed") == [str(other)]
    assert await listed(api, nodeId="node-3") == []
    assert await listed(api, nodeId="node-1", since=(NOW - timedelta(seconds=2)).isoformat()) == [str(failed)]
    assert fields_of(await api.get("/executions", params={"handle": "out"})) == ["nodeId"]
    assert (await api.get("/executions", params={"nodeId": "a", "stepStatus": "none"})).status == 422


async def test_a_page_examines_a_bounded_number_of_executions(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page without a match leads to the next one, and the last page leads to none."""
    monkeypatch.setattr(execution_search, "MAX_EXAMINED", 4)
    ids = [await execution(api, "succeeded", age_s=age) for age in range(12)]
    for wanted in (ids[2], ids[3], ids[11]):
        await step(api, wanted, 1, "node-1")
    found, pages, cursor = [], [], ""
    while True:
        params = {"nodeId": "node-1", "limit": "1"} | ({"cursor": cursor} if cursor else {})
        answer = await api.get("/executions", params=params)
        pages.append(len(answer.data))
        found += [one["id"] for one in answer.data]
        cursor = answer.json["nextCursor"]
        if not cursor:
            break
    assert found == [str(ids[2]), str(ids[3]), str(ids[11])]
    assert pages == [1, 1, 0, 1]


async def test_the_buckets_of_one_flow_are_looked_up(api: Api) -> None:
    """By the key of the rollups with all its columns, so the rows of other flows and times are not read. What waits is
    looked up among the executions of the flow that have not ended, and each step by its key."""
    for statement, columns in ((COUNTS, ("figure", "at", "subject")), (TIMES, ("at", "subject", "part"))):
        [scan] = [node for node in _nodes(await _generic_plan(api.database, statement)) if "Relation Name" in node]
        assert scan["Index Name"] == "rollups_pkey"
        assert all(f"{column} = " in scan["Index Cond"] for column in ("resolution", *columns)), scan
    nodes = [node for node in _nodes(await _generic_plan(api.database, WAITING)) if "Relation Name" in node]
    used = {node["Relation Name"]: node.get("Index Name") for node in nodes}
    assert used == {"executions": "executions_unfinished", "steps": "steps_pkey"}


async def test_a_step_is_looked_up_for_each_execution(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the flow's executions and by the key of the steps: nothing grows with the number of rows."""
    await api.database.fetch(
        "insert into executions (id, flow_id, version, node_id, trigger, status, queued_at, ended_at) "
        "select gen_random_uuid(), 'f' || n % 10, 1, 'start', '{}', 'succeeded', now() - n * interval '1 s', now() "
        "from generate_series(1, 3000) n"
    )
    await api.database.fetch(
        "insert into steps (execution_id, seq, node_id, type, status, attempt, started_at) "
        "select id, n, 'n' || n, 'message', 'succeeded', 1, now() from executions, generate_series(1, 5) n"
    )
    await api.database.fetch("analyze executions, steps")
    calls: list[tuple[str, tuple[object, ...]]] = []
    fetchrow = api.database.fetchrow

    async def recorded(sql: str, *arguments: object) -> Any:
        calls.append((sql, arguments))
        return await fetchrow(sql, *arguments)

    monkeypatch.setattr(api.database, "fetchrow", recorded)
    wanted = ExecutionFilter(flow_id="f1", since=NOW - timedelta(days=1), step=StepFilter(node_id="n3"))
    assert len((await ExecutionSearch(api.database).search(wanted)).items) == 50
    [(sql, arguments)] = calls
    async with api.database.transaction() as connection:
        await connection.execute("set local enable_bitmapscan = off")  # cheaper for the few rows of a test only
        plan = json.loads(await connection.fetchval(f"explain (format json) {sql}", *arguments))[0]["Plan"]
    scans = {node.get("Index Name"): node["Node Type"] for node in _nodes(plan) if "Relation Name" in node}
    assert scans.keys() == {"executions_flow", "steps_pkey"}, scans
