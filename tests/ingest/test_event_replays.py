"""A replayed event runs by the present definition of its webhook, whatever its outcome was before."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest_asyncio

from filas.contract.policies import WEBHOOKS
from filas.queue.producer import QueueProducer
from filas.queue.relay import Relay
from filas.repository.events import EventRepository
from filas.service.stores import Stores
from ingest.process.webhook_jobs import EventRelaySource
from ingest.worker_app import build_worker
from tests.ingest.api.serving import FLOW, TOKEN, Api, serving
from tests.redis_address import connect_url
from tests.shared.cli.running import filas
from tests.waiting import eventually

TALK = {"channel": "console", "contact": "{{ body.from }}", "text": "{{ body.text }}"}


@contextlib.asynccontextmanager
async def working(api: Api, redis_url: str) -> AsyncIterator[Relay]:
    """`ingest work` beside the API. Its relay runs only when a test calls it."""
    redis = connect_url(redis_url)
    relay = Relay(redis, QueueProducer(redis), EventRelaySource(EventRepository(api.database)), grace_s=-60)
    worker = build_worker(Stores(redis, api.database, api.database), relay, 10)
    running = asyncio.create_task(worker.run())
    try:
        yield relay
    finally:
        worker.stop()
        await running
        await redis.close()


@pytest_asyncio.fixture
async def api(redis_url: str, postgres_dsn: str) -> AsyncIterator[Api]:
    """The API, with a flow, a channel and the webhook `shop`."""
    async with serving(redis_url, postgres_dsn) as running:
        assert (await running.put("/flows/greeting", FLOW)).status == 200
        assert (await running.put("/channels/console", {"type": "console"})).status == 200
        await define(running)
        yield running


async def define(api: Api, **fields: Any) -> None:
    """Stores the webhook `shop`, whatever is wrong with it."""
    stored = await api.put("/webhooks/shop?force=true", {"flowId": "greeting", **fields})
    assert stored.status == 200, stored.text


async def send(api: Api, *bodies: Any) -> list[str]:
    """Accepts an event for each body. Returns their ids."""
    sent = await api.post("/events", {"events": [{"webhookId": "shop", "body": body} for body in bodies]})
    return [one["eventId"] for one in sent.data["events"]]


async def until(api: Api, event_id: str, *statuses: str) -> dict[str, Any]:
    """Waits until the event has one of these statuses."""

    async def reached() -> dict[str, Any] | None:
        event: dict[str, Any] = (await api.get(f"/events/{event_id}")).data
        return event if event["status"] in statuses else None

    return await eventually(reached)


async def started(api: Api, event_id: str) -> list[dict[str, Any]]:
    """The executions of the event, the oldest first."""
    found: list[dict[str, Any]] = (await api.get(f"/executions?eventId={event_id}")).data
    return found[::-1]


async def test_the_replay_of_a_processed_event_starts_a_new_execution(api: Api, redis_url: str) -> None:
    """By the present definition: here the first execution was pinned to a node that the flow does not have."""
    async with working(api, redis_url):
        await define(api, nodeId="begin")
        [event] = await send(api, {"name": "Maria"})
        await until(api, event, "processed")
        await define(api, nodeId="start")
        for number in (1, 2):
            replayed = (await api.post(f"/events/{event}/replay")).data
            assert (replayed["replay"], replayed["run"]) == (number, number)
            assert (await until(api, event, "processed"))["replay"] == number
        nodes = await api.database.fetch("select id, node_id from executions order by queued_at")
        assert [row["node_id"] for row in nodes] == ["begin", "start", "start"]
        assert [one["id"] for one in await started(api, event)] == [str(row["id"]) for row in nodes]
        jobs = (await api.get("/queue/flow/jobs")).data
        assert {job["data"]["executionId"] for job in jobs} == {str(row["id"]) for row in nodes}


async def test_a_replay_that_is_not_processed_yet_is_the_same_run(api: Api, redis_url: str) -> None:
    """Two replays at the same time start one execution."""
    [event] = await send(api, {})
    async with working(api, redis_url):
        await until(api, event, "processed")
    first, second = [(await api.post(f"/events/{event}/replay")).data for _ in range(2)]
    assert (first["run"], second["run"]) == (1, 1)
    async with working(api, redis_url):

        async def done() -> bool:
            stats = (await api.get("/queue/stats")).data["queues"]["webhook"]
            return bool(stats["completed"] == 3)

        await eventually(done)
        assert len(await started(api, event)) == 2


async def test_the_relay_replaces_a_lost_replay(api: Api, redis_url: str) -> None:
    """By the same key, so that it adds no job to one that is there, and with the same executions."""
    [event] = await send(api, {})
    async with working(api, redis_url):
        await until(api, event, "processed")
    [job] = (await api.post(f"/events/{event}/replay")).data["jobIds"]
    async with working(api, redis_url) as relay:
        await until(api, event, "processed")
    await api.post(f"/events/{event}/replay")
    redis = connect_url(redis_url)
    relay = Relay(redis, QueueProducer(redis), EventRelaySource(EventRepository(api.database)), grace_s=-60)
    assert await relay.sweep() == 0
    await api.redis.command("FLUSHDB")
    assert await relay.sweep() == 1
    await redis.close()
    [waiting] = (await api.get("/queue/webhook/jobs", params={"state": "waiting"})).data
    assert (job, waiting["id"]) == (WEBHOOKS.job_id(f"{event}:replay-1"), WEBHOOKS.job_id(f"{event}:replay-2"))
    async with working(api, redis_url):
        await until(api, event, "processed")
    assert len(await started(api, event)) == 3


async def test_an_ignored_event_is_replayed(api: Api, redis_url: str) -> None:
    """Its filter was wrong. The execution is in the conversation that the present rule finds."""
    async with working(api, redis_url):
        await define(api, filter="body.kind == 'order'")
        [event] = await send(api, {"from": "+55", "text": "oi"})
        assert (await until(api, event, "ignored"))["reason"] == "filter"
        await define(api, conversation=TALK)
        await api.post(f"/events/{event}/replay")
        await until(api, event, "processed")
        [one] = await started(api, event)
        assert one["conversationId"] is not None


async def test_a_failed_event_is_replayed(api: Api, redis_url: str) -> None:
    """The flow of its webhook did not exist."""
    async with working(api, redis_url):
        await define(api, flowId="gretting")
        [event] = await send(api, {})
        failed = await until(api, event, "failed")
        assert "gretting" in failed["error"]["message"]
        await define(api)
        await api.post(f"/events/{event}/replay")
        await until(api, event, "processed")
        assert [one["flowId"] for one in await started(api, event)] == ["greeting"]


async def test_an_older_worker_leaves_another_run_to_a_newer_one(api: Api, redis_url: str) -> None:
    """It would find the executions of the first run and start nothing."""
    [event] = await send(api, {})
    async with working(api, redis_url):
        await until(api, event, "processed")
    await api.post(f"/events/{event}/replay")
    row = await api.context.events.get_accepted(UUID(event))
    assert row is not None
    [job] = (await api.get("/queue/webhook/jobs", params={"state": "waiting"})).data
    assert (job["data"]["run"], job["data"]["schemaVersion"], row.run) == (1, 5, 1)


async def test_all_events_that_match_are_replayed(api: Api, redis_url: str) -> None:
    """The oldest first. A processed one is replayed once, unless `again` is set."""
    await define(api, flowId="gretting")
    failing = await send(api, *({"word": word} for word in ("lime", "Plum", "fig")))
    async with working(api, redis_url):
        for event in failing:
            await until(api, event, "failed")
        await define(api)
        trial = (await api.post("/events/replay", {"webhookId": "shop", "dryRun": True})).data
        assert trial == {
            "dryRun": True, "matched": 3, "replayed": 3, "webhooks": {"shop": 3}, "more": False, "takesS": 0.0
        }  # fmt: skip
        part = (await api.post("/events/replay", {"limit": 2})).data
        assert (part["matched"], part["replayed"], part["more"]) == (2, 2, True)
        for event in failing[:2]:
            await until(api, event, "processed")
        assert (await api.post("/events/replay", {"rate": 100})).data["replayed"] == 1
        await until(api, failing[2], "processed")
        assert (await api.post("/events/replay", {})).data["matched"] == 0
        processed = {"status": "processed", "text": "plum"}
        for again, count in ((False, 1), (False, 0), (True, 1)):
            answer = (await api.post("/events/replay", {**processed, "again": again})).data
            assert answer["replayed"] == count
            await until(api, failing[1], "processed")
        assert [len(await started(api, event)) for event in failing] == [1, 3, 1]


async def test_the_command_line_replays_events(api: Api, redis_url: str) -> None:
    """One, and all that match."""
    environ = {"FILAS_URL": api.url, "FILAS_ADMIN_TOKEN": TOKEN}

    async def run(*arguments: str) -> str:
        answer = await filas("events", *arguments, environ=environ)
        assert answer.code == 0, answer.err
        return answer.out

    events = await send(api, {}, {})
    async with working(api, redis_url):
        for event in events:
            await until(api, event, "processed")
        assert await run("replay", events[0]) == f"enqueued as {WEBHOOKS.job_id(events[0])}:replay-1\n"
        await until(api, events[0], "processed")
        every = ("replay-all", "--status", "processed")
        assert "1 match: 1 of shop\n1 would be replayed" in await run(*every, "--dry-run")
        assert "2 match" in await run(*every, "--dry-run", "--again")
        assert "more than 1 match" in await run(*every, "--again", "--limit", "1", "--rate", "5")
        assert await run("replay-all") == "0 match: none\n0 replayed\n"


async def test_a_webhook_that_was_deleted_replays_by_its_last_definition(api: Api, redis_url: str) -> None:
    [event] = await send(api, {})
    async with working(api, redis_url):
        await until(api, event, "processed")
        assert (await api.delete("/webhooks/shop")).status == 200
        await api.post(f"/events/{event}/replay")
        await until(api, event, "processed")
    assert len(await started(api, event)) == 2
