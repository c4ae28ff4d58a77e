"""Replays with a choice: another body, another version, another node; and each only once."""

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from filas.contract.identity import new_id
from tests.e2e.pipeline import Pipeline
from tests.ingest.api.serving import FLOW, Api, fields_of
from tests.ingest.api.test_history import new_event
from tests.shared.repository import builders
from tests.waiting import eventually

LARGE = 9_007_199_254_740_993_000_001


async def ended(api: Api, **written: Any) -> tuple[UUID, UUID]:
    """An event and its execution of `greeting`, which has ended."""
    assert (await api.put("/flows/greeting", FLOW)).status == 200
    event = new_event(content_type="application/json")
    await api.context.events.insert_many([event])
    new = builders.execution(event.id, flow_id="greeting", channel=None, contact=None)
    await api.context.executions.start_many([(event.id, [new])])
    claimed = await api.context.executions.claim(new.id, 1, "worker", 30)
    assert claimed is not None
    given: dict[str, Any] = {"status": "succeeded", "state": None} | written
    await api.context.executions.checkpoint_many([builders.checkpoint(claimed, given.pop("status"), **given)])
    return event.id, new.id


async def row_of(api: Api, execution_id: str) -> Any:
    return await api.database.fetchrow("select * from executions where id = $1", UUID(execution_id))


async def test_an_edited_event_is_a_new_event_and_the_original_stays(api: Api) -> None:
    """With the same headers, by the present definition; a number of 70 bits keeps its value; repeated, it is one."""
    await api.put("/flows/greeting", FLOW)
    assert (await api.put("/webhooks/orders", {"flowId": "greeting"})).status == 200
    event = new_event(headers='{"x-shop":"7","content-encoding":"gzip"}', body=b'{"name":"Maria"}')
    await api.context.events.insert_many([event])
    text = f'{{"name":  "Ana", "id": {LARGE}}}'
    order = {"bodyText": text, "requestId": str(new_id())}
    first = (await api.post(f"/events/{event.id}/replay", order)).data
    again = (await api.post(f"/events/{event.id}/replay", order)).data
    assert (first, first["replayOf"]) == (again, str(event.id))
    assert first["id"] != str(event.id)
    shown = (await api.get(f"/events/{first['id']}")).data
    assert (shown["body"], shown["replayOf"], shown["status"]) == (text, str(event.id), "received")
    assert shown["headers"] == {"x-shop": "7"}
    assert (await api.get(f"/events/{event.id}")).data["body"] == '{"name":"Maria"}'
    assert [one["id"] for one in (await api.get(f"/events?replayOf={event.id}")).data] == [first["id"]]
    [job] = [one for one in (await api.get("/queue/webhook/jobs")).data if one["id"] == first["jobIds"][0]]
    assert job["data"]["flowId"] == "greeting"
    other = (await api.post(f"/events/{event.id}/replay", {"bodyText": text})).data
    assert other["id"] != first["id"]


async def test_an_edited_body_that_the_webhook_would_refuse_is_named(api: Api) -> None:
    event = new_event()
    await api.context.events.insert_many([event])
    for text in ('{"name":', "x" * 1_100_000):
        assert fields_of(await api.post(f"/events/{event.id}/replay", {"bodyText": text})) == ["bodyText"]
    assert (await api.get(f"/events?replayOf={event.id}")).data == []
    assert (await api.get(f"/events/{event.id}")).data["replay"] == 0


async def test_an_execution_is_replayed_in_a_version_with_an_edited_body(api: Api) -> None:
    """In the version of a number; with a body that is read like a received one; and only once for one request."""
    _, execution = await ended(api)
    assert (await api.put("/flows/greeting", FLOW | {"name": "Second"})).data["version"] == 2
    order = {"version": 2, "bodyText": f'{{"id":{LARGE}}}', "requestId": str(new_id())}
    first = await api.post(f"/executions/{execution}/replay", order)
    assert first.status == 200, first.text
    assert (await api.post(f"/executions/{execution}/replay", order)).data == first.data
    [replay] = (await api.get(f"/executions?replayOf={execution}")).data
    assert (replay["id"], replay["version"], replay["replayOf"]) == (first.data["id"], 2, str(execution))
    row = await row_of(api, replay["id"])
    assert str(LARGE) in row["trigger"]
    missing = await api.post(f"/executions/{execution}/replay", {"version": 7})
    assert (missing.status, missing.json["detail"]) == (409, "its flow has no version 7")
    assert fields_of(await api.post(f"/executions/{execution}/replay", {"bodyText": "{"})) == ["bodyText"]


async def test_a_replay_from_a_node_has_what_the_nodes_before_it_have_left(api: Api) -> None:
    """From the saved state of a failure, or from the steps of an execution that has succeeded."""
    steps = [builders.step(1, node_id="start", output={"a": 1}), builders.step(2, node_id="hello", output={"b": 2})]
    _, failed = await ended(api, status="failed", steps=steps, error=builders.BROKEN,
        state='{"version":1,"seq":2,"stack":["x"],"vars":{"v":1},"outputs":{"start":{"output":{"big":1},"error":null}}}',
    )  # fmt: skip
    reply = await api.post(f"/executions/{failed}/replay", {"node": "hello"})
    assert reply.status == 200, reply.text
    row = await row_of(api, reply.data["id"])
    state = msgspec.json.decode(row["start_state"])
    assert (row["node_id"], state["stack"], state["vars"]) == ("hello", ["hello"], {"v": 1})
    assert state["outputs"]["start"]["output"] == {"big": 1}

    _, succeeded = await ended(api, steps=steps)
    reply = await api.post(f"/executions/{succeeded}/replay", {"node": "hello"})
    state = msgspec.json.decode((await row_of(api, reply.data["id"]))["start_state"])
    assert (state["stack"], state["outputs"]) == (["hello"], {"start": {"output": {"a": 1}, "error": None}})
    first = await api.post(f"/executions/{succeeded}/replay", {"node": "start"})
    assert (await row_of(api, first.data["id"]))["start_state"] is None


@pytest.mark.parametrize("output", ["a [redacted] b", {"truncated": True, "bytes": 9}, ["x", "… (7 items more)"]])
async def test_a_replay_from_a_node_is_refused_if_an_output_is_not_stored_whole(api: Api, output: Any) -> None:
    """It would continue with other values."""
    steps = [builders.step(1, node_id="start", output=output), builders.step(2, node_id="hello")]
    _, execution = await ended(api, steps=steps)
    reply = await api.post(f"/executions/{execution}/replay", {"node": "hello"})
    assert (reply.status, reply.json["detail"]) == (
        409, "the output of the node start is not stored as it was: replay from the start",
    )  # fmt: skip
    unknown = await api.post(f"/executions/{execution}/replay", {"node": "none"})
    assert (unknown.status, unknown.json["detail"]) == (409, "the version has no node none")
    assert (await api.get(f"/executions?replayOf={execution}")).data == []


NAMED = {
    "schemaVersion": 1,
    "name": "Named",
    "variables": [{"name": "who", "type": "string", "default": "nobody"}],
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "name", "type": "set-variable", "data": {"assignments": [{"variable": "who", "value": "Bia"}]}},
        {"id": "first", "type": "message", "data": {"text": "one {{ vars.who }}"}},
        {"id": "second", "type": "message", "data": {"text": "two {{ vars.who }} {{ nodes.name.output.who }}"}},
    ],
    "edges": [
        {"id": "e1", "source": "start", "target": "name"},
        {"id": "e2", "source": "name", "target": "first"},
        {"id": "e3", "source": "first", "target": "second"},
    ],
}
CONVERSATION = {"channel": "console", "contact": "{{ body.from }}", "text": "{{ body.text }}"}


@pytest.mark.timeout(180)
async def test_a_replay_from_a_node_runs_only_from_there(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """With all processes: the message of the node is sent again, with the variable, and no other one."""
    async with Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        await pipeline.api("PUT", "/api/channels/console", {"type": "console"})
        await pipeline.api("PUT", "/api/flows/named", NAMED)
        await pipeline.api("PUT", "/api/webhooks/hi", {"flowId": "named", "conversation": CONVERSATION})
        body = {"from": "+5511999990000", "text": "oi"}
        handed = await pipeline.api("POST", "/api/events", {"events": [{"webhookId": "hi", "body": body}]})
        event = handed["events"][0]["eventId"]

        async def execution(query: str) -> Any:
            found = await pipeline.api("GET", f"/api/executions?status=succeeded&{query}")
            return next(iter(found), None)

        first = await eventually(lambda: execution(f"eventId={event}"), 60)
        order = {"node": "second"}
        replay = await pipeline.api("POST", f"/api/executions/{first['id']}/replay", order)
        await eventually(lambda: execution(f"replayOf={first['id']}"), 60)
        shown = await pipeline.api("GET", f"/api/executions/{replay['id']}")
        assert [(one["nodeId"], one["input"]["text"]) for one in shown["steps"]] == [("second", "two Bia Bia")]

        async def delivered() -> bool:
            found = await pipeline.api("GET", f"/api/notifications?executionId={replay['id']}")
            return [one["status"] for one in found] == ["delivered"]

        await eventually(delivered, 60)
        again = {"webhookId": "hi", "body": body, "duplicateKey": "k"}
        twice = [await pipeline.api("POST", "/api/events", {"events": [again]}) for _ in range(2)]
        repeated = twice[1]["events"][0]
        assert repeated["duplicate"] is True

        async def counted() -> Any:
            found = await pipeline.api("GET", f"/api/events/{repeated['eventId']}/timeline")
            return [one["count"] for one in found["entries"] if one["kind"] == "duplicates"]

        assert await eventually(counted, 60) == [1]
        timeline = await pipeline.api("GET", f"/api/events/{event}/timeline")
        kinds = {one["kind"] for one in timeline["entries"]}
        assert {"received", "job-wait", "job-run", "processed", "execution-wait", "step", "attempt"} <= kinds
