"""The other causes of an execution in its trace: a reply, a call, a failure, a schedule, our own producer."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.e2e.pipeline import Pipeline, Receiver, receiver
from tests.e2e.test_main_job import CHANNEL_SECRET
from tests.e2e.test_tracing import CALLER, DELIVERING, FLOW_PUT, FLOW_RUN, NOTIFIED, THEIRS, traced
from tests.waiting import eventually

ASKS = {
    "schemaVersion": 1,
    "settings": {"errorFlowId": "sorry"},
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "name", "type": "input", "data": {"prompt": "Your name?"}},
        {"id": "link", "type": "message", "data": {"text": "{{ execution.resumeUrls.ok }}"}},
        {"id": "ok", "type": "webhook", "data": {"mode": "wait", "timeoutMs": 60_000}},
        {"id": "fails", "type": "api", "data": {"method": "GET", "url": "http://10.1.2.3/", "onError": "fail"}},
    ],
    "edges": [
        {"source": "start", "target": "name"},
        {"source": "name", "sourceHandle": "out", "target": "link"},
        {"source": "link", "target": "ok"},
        {"source": "ok", "sourceHandle": "out", "target": "fails"},
    ],
}
SORRY = {
    "schemaVersion": 1,
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "sorry", "type": "notify", "data": {"channel": "receiver", "to": "ops", "text": "It failed."}},
    ],
    "edges": [{"source": "start", "target": "sorry"}],
}


async def set_up(pipeline: Pipeline, outside: Receiver) -> None:
    """A flow that asks for a name, sends an address, waits for a call and then fails; and its error flow."""
    channel = {"type": "http", "url": f"{outside.url}/messages", "secret": CHANNEL_SECRET}
    await pipeline.api("PUT", "/api/channels/receiver", channel)
    await pipeline.api("PUT", "/api/flows/sorry", SORRY)
    await pipeline.api("PUT", "/api/flows/asks", ASKS)
    webhook = {
        "flowId": "asks",
        "nodeId": "start",
        "auth": {"type": "none"},
        "conversation": {"channel": "receiver", "contact": "{{ body.from }}", "text": "{{ body.text }}"},
    }
    await pipeline.api("PUT", "/api/webhooks/chat", webhook)


async def say(pipeline: Pipeline, text: str) -> str:
    """One message of the contact; the id of its trace."""
    status, answer = await pipeline.webhook("chat", json.dumps({"from": "maria", "text": text}).encode())
    assert status == 200
    return str(answer["eventId"]).replace("-", "")


def texts(outside: Receiver) -> list[str]:
    return [json.loads(body)["text"] for _, body in outside.at("/messages")]


async def test_a_reply_a_call_and_a_failure_are_in_the_trace_of_their_cause(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """The reply's consequences are in the reply's trace, a link away from the flow's own. The call's, and those of the
    failure that follows, are in the flow's own: the caller's is a link."""
    async with receiver() as outside, traced(redis_url, postgres_dsn, tmp_path) as (pipeline, traces):
        await set_up(pipeline, outside)
        first = await say(pipeline, "hello")
        await eventually(lambda: texts(outside) == ["Your name?"])
        second = await say(pipeline, "Maria")
        await eventually(lambda: len(texts(outside)) == 2)

        await traces.until("deliver http", 2)
        asked, replied = traces.named("deliver http")
        assert (asked.trace, replied.trace) == (first, second)
        begun = [FLOW_RUN, FLOW_PUT, "process webhook-processing", "send webhook-processing", "webhook chat"]
        assert await traces.complete_chain(replied) == ["deliver http", DELIVERING, NOTIFIED, "node message", *begun]
        [run] = [one for one in await traces.until(FLOW_RUN, 2) if one.trace == second]
        assert run.links == [first]

        address = f"http://127.0.0.1:{pipeline.port}/resume/{texts(outside)[1].rpartition('/')[2]}"

        async def called() -> bool:
            async with pipeline.session.post(address, json={}, headers=CALLER) as answer:
                return answer.status == 200

        await eventually(called)
        await eventually(lambda: texts(outside)[2:] == ["It failed."])
        [failed, resumed] = (await traces.until("node api"))[0], (await traces.until("resume"))[0]
        await traces.until("deliver http", 3)
        assert (failed.trace, failed.failed) == (first, True)
        assert failed.attributes["error.type"] == "outbound-refused"
        assert resumed.links == [THEIRS]
        assert "/resume/" not in json.dumps([one.attributes for one in traces.spans if one.name != "resume"])
        assert resumed.attributes["http.route"] == "/resume/{token}"
        assert await traces.complete_chain(failed) == ["node api", FLOW_RUN, FLOW_PUT, "resume", "webhook chat"]
        [sorry] = await traces.until("node notify")
        apology = traces.named("deliver http")[2]
        assert (sorry.trace, apology.trace) == (first, first)
        assert await traces.complete_chain(sorry) == [
            "node notify",
            FLOW_RUN,
            FLOW_PUT,
            *(await traces.complete_chain(failed))[1:],
        ]


async def test_a_schedule_and_our_own_producer_begin_traces(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """A tick's is named after its execution, an event's of the API after the event, as a webhook's is."""
    async with receiver() as outside, traced(redis_url, postgres_dsn, tmp_path) as (pipeline, traces):
        await set_up(pipeline, outside)
        moment = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
        await pipeline.api("PUT", "/api/schedules/once", {"flowId": "sorry", "at": [moment]})
        [delivered] = await traces.until("deliver http")
        [execution] = await pipeline.executions()
        assert delivered.trace == execution["id"].replace("-", "")
        assert await traces.complete_chain(delivered) == [
            "deliver http", DELIVERING, NOTIFIED, "node notify", FLOW_RUN, FLOW_PUT, "schedule once",
        ]  # fmt: skip

        events: dict[str, Any] = {"events": [{"webhookId": "chat", "body": {"from": "joão", "text": "hi"}}]}
        [accepted] = (await pipeline.api("POST", "/api/events", events))["events"]
        _, asked = await traces.until("deliver http", 2)
        assert asked.trace == accepted["eventId"].replace("-", "")
        assert (await traces.complete_chain(asked))[-1] == "webhook chat"
        assert traces.named("webhook chat")[0].attributes["http.route"] == "/api/events"
