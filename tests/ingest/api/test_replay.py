"""The replay of a dead letter through the API, with all processes running."""

from pathlib import Path
from typing import Any

from tests.e2e.pipeline import Pipeline
from tests.ingest.api.serving import FLOW
from tests.waiting import eventually

CONVERSATION = {"channel": "console", "contact": "{{ body.from }}", "text": "{{ body.text }}"}


async def test_a_dead_flow_job_is_replayed_and_its_execution_succeeds(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Cancelled while no worker runs, found as a dead letter, replayed: the message is sent once."""
    async with Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        await pipeline.api("PUT", "/api/channels/console", {"type": "console"})
        await pipeline.api("PUT", "/api/flows/greeting", FLOW)
        await pipeline.api("PUT", "/api/webhooks/hi", {"flowId": "greeting", "conversation": CONVERSATION})
        pipeline.kill("flow-runner")
        body = {"from": "+5511999990000", "text": "oi", "name": "Maria"}
        handed = await pipeline.api("POST", "/api/events", {"events": [{"webhookId": "hi", "body": body}]})
        event = handed["events"][0]["eventId"]

        async def first(route: str) -> Any:
            return next(iter(await pipeline.api("GET", route)), None)

        job = await eventually(lambda: first("/api/queue/flow/jobs"))
        execution = job["data"]["executionId"]
        await pipeline.api("POST", f"/api/jobs/{job['id']}/cancel")
        pipeline.start("flow-runner")
        letter = await eventually(lambda: first("/api/dead-letters?queue=flow"))
        assert (letter["jobId"], letter["error"]["kind"]) == (job["id"], "cancelled")
        dead = await pipeline.api("GET", f"/api/executions/{execution}")
        assert (dead["status"], dead["eventId"], dead["steps"]) == ("failed", event, [])

        put = await pipeline.api("POST", f"/api/dead-letters/{letter['id']}/replay")
        assert (put["replay"], put["duplicate"]) == (1, False)
        assert put["jobId"] != job["id"]

        async def delivered() -> Any:
            found = await first(f"/api/notifications?executionId={execution}&status=delivered")
            return found and await pipeline.api("GET", f"/api/notifications/{found['id']}")

        message = await eventually(delivered)
        assert (message["payload"]["text"], message["attempts"]) == ("Hello Maria", 1)
        assert [one["outcome"] for one in message["history"]] == ["delivered"]
        shown = await pipeline.api("GET", f"/api/executions/{execution}")
        assert (shown["status"], shown["error"]) == ("succeeded", None)
        assert [step["nodeId"] for step in shown["steps"]] == ["start", "hello"]
        assert (await pipeline.api("GET", f"/api/dead-letters/{letter['id']}"))["replayedJobId"] == put["jobId"]
        assert len(await pipeline.api("GET", "/api/notifications")) == 1
