"""The list of flows with what starts them and what they did, and what uses a flow."""

from datetime import UTC, datetime, timedelta

from filas.repository.analytics.rollup_builder import RollupBuilder
from filas.repository.analytics.rollup_store import RollupStore
from tests.ingest.api.serving import FLOW, Api


async def ended(api: Api, flow_id: str, status: str, hours_ago: float) -> None:
    """Inserts an execution that ended so many hours ago."""
    at = datetime.now(UTC) - timedelta(hours=hours_ago)
    await api.database.fetch(
        "insert into executions (id, flow_id, version, node_id, trigger, status, queued_at, started_at, ended_at) "
        "values (gen_random_uuid(), $1, 1, 'start', '{}', $2, $3, $3, $3)", flow_id, status, at,
    )  # fmt: skip


async def test_the_list_has_what_starts_each_flow_and_what_it_did(api: Api) -> None:
    """In the last 24 hours, by hour. Without `details`, only the definitions are read."""
    for flow_id in ("greeting", "orders"):
        assert (await api.put(f"/flows/{flow_id}", {**FLOW, "name": flow_id.title()})).status == 200
    assert (await api.put("/webhooks/shop", {"flowId": "greeting"})).status == 200
    assert (await api.put("/schedules/daily", {"flowId": "greeting", "cron": "0 9 * * *"})).status == 200
    for status, age in (("succeeded", 0), ("failed", 0), ("timed-out", 5), ("succeeded", 30)):
        await ended(api, "greeting", status, age)
    now = datetime.now(UTC)
    assert await RollupBuilder(RollupStore(api.database, "w", pause_share=0.0)).build(now, budget_s=60)
    greeting, orders = (await api.get("/flows", params={"details": "true"})).data
    assert greeting["startedBy"] == [{"kind": "webhook", "id": "shop"}, {"kind": "schedule", "id": "daily"}]
    activity = greeting["activity"]
    assert (activity["executions"], activity["failed"]) == (3, 2)
    assert (sum(activity["hours"]), sum(activity["failedHours"]), len(activity["hours"])) == (3, 2, 24)
    assert (orders["startedBy"], orders["activity"]["executions"]) == ([], 0)
    assert greeting["changedBy"] == "admin token"
    plain = (await api.get("/flows")).data[0]
    assert (plain["startedBy"], plain["activity"], plain["latestVersion"]) == (None, None, 1)


async def test_flows_are_found_by_id_and_name(api: Api) -> None:
    """In upper and lower case; a percent sign is no wildcard."""
    for flow_id, name in (("a-1", "Marcar consulta"), ("b-2", "Pagamento 100%")):
        assert (await api.put(f"/flows/{flow_id}", {**FLOW, "name": name})).status == 200
    for text, expected in (("CONSULTA", ["a-1"]), ("-", ["a-1", "b-2"]), ("0%", ["b-2"]), ("a%a", []), ("b-", ["b-2"])):
        assert [flow["id"] for flow in (await api.get("/flows", params={"text": text})).data] == expected, text


async def test_what_uses_a_flow_and_what_it_uses(api: Api) -> None:
    """Webhooks, schedules, and other flows by their nodes and settings."""
    assert (await api.put("/channels/console", {"type": "console"})).status == 200
    message = {"id": "hello", "type": "message", "data": {"text": "a", "channel": "console"}}
    assert (await api.put("/flows/child", {**FLOW, "nodes": [FLOW["nodes"][0], message]})).status == 200
    call = {"id": "hello", "type": "subflow", "data": {"flowId": "child"}}
    parent = {**FLOW, "nodes": [FLOW["nodes"][0], call], "settings": {"errorFlowId": "child"}}
    assert (await api.put("/flows/parent", parent)).status == 200
    assert (await api.put("/webhooks/shop", {"flowId": "child"})).status == 200
    found = (await api.get("/flows/child/uses")).data
    assert {(one["kind"], one["id"], one.get("nodeId")) for one in found["usedBy"]} == {
        ("webhook", "shop", None), ("flow", "parent", "hello"), ("flow", "parent", None),
    }  # fmt: skip
    assert [(one["kind"], one["name"], one["nodeId"]) for one in found["uses"]] == [("channel", "console", "hello")]
    assert {one["name"] for one in (await api.get("/flows/parent/uses")).data["uses"]} == {"child"}
    assert (await api.get("/flows/none/uses")).status == 404
