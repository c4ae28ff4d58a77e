"""Clock steps of a minute and of an hour in each process, under load: one runner per lease, no attempt used, timers and
schedules once. A day's pause and an emptied Redis: what is cancelled stays cancelled."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from filas.contract.policies import FLOWS, NOTIFICATIONS
from filas.queue.redis_client.queue_keys import ABORT
from tests.e2e.pipeline import Pipeline, Receiver, receiver
from tests.e2e.test_main_job import CHANNEL_SECRET
from tests.hostile import stepped_clock
from tests.long_form import by_form
from tests.redis_address import connect_url
from tests.waiting import eventually

STEPS_S = (-3600.0, -60.0, 60.0, 3600.0)
STEP_LASTS_S = by_form(0.7, 10.0)
CALL_S = 1.5
"""A call lasts as long as the job that was interrupted as timed out when a clock stepped by 70 s."""

DELAY_MS = 1500
LATE_S = 40.0
"""No step is as short, so a wait that is moved by a step is longer or shorter than this."""

EARLY_S = by_form(1.0, 0.1)
"""A run takes its time from the claim. It is behind by the time in which the claim's answer waits for the process."""

DAY_S = 24 * 3600.0


class SteppedPipeline(Pipeline):
    """The processes of Filas, each with a clock of its own."""

    def start(self, name: str) -> None:
        self.wrappers[name] = stepped_clock.wrapper(self._file(name))
        super().start(name)

    def step(self, name: str, seconds: float) -> None:
        """Steps the clock of the process `name` to `seconds` ahead of the machine's."""
        stepped_clock.step(self._file(name), seconds)

    @property
    def names(self) -> list[str]:
        """The processes."""
        return [*self._kinds]

    def _file(self, name: str) -> Path:
        return self._logs / f"{name}.clock"


class SlowReceiver(Receiver):
    """Answers a call after CALL_S, and keeps the time of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.times: dict[tuple[str, str], float] = {}

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.note(request, body)
        document = json.loads(body)
        number = str(document.get("number") or document.get("text"))
        self.times[request.path, number] = time.monotonic()
        if request.path == "/call":
            await asyncio.sleep(CALL_S)
        return web.json_response({"ok": True})


def flow(outside: str) -> dict[str, Any]:
    """A call, a wait, and a message with the number of the event."""
    return {
        "schemaVersion": 1,
        "name": "Steps",
        "nodes": [
            {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
            {
                "id": "call",
                "type": "api",
                "data": {"method": "POST", "url": f"{outside}/call", "body": {"number": "{{ webhook.body.number }}"}},
            },
            {"id": "pause", "type": "delay", "data": {"ms": DELAY_MS}},
            {"id": "done", "type": "message", "data": {"text": "{{ webhook.body.number }}"}},
        ],
        "edges": [
            {"id": "e1", "source": "start", "target": "call"},
            {"id": "e2", "source": "call", "sourceHandle": "out", "target": "pause"},
            {"id": "e3", "source": "pause", "target": "done"},
        ],
    }


def scheduled_flow(outside: str) -> dict[str, Any]:
    """A call with the time of the tick."""
    body = {"number": "{{ webhook.headers['filas-scheduled-at'] }}"}
    return {
        "schemaVersion": 1,
        "name": "Ticks",
        "nodes": [
            {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
            {"id": "tick", "type": "api", "data": {"method": "POST", "url": f"{outside}/tick", "body": body}},
        ],
        "edges": [{"id": "e1", "source": "start", "target": "tick"}],
    }


async def set_up(pipeline: Pipeline, outside: Receiver) -> None:
    """A channel, the flow, and its webhook."""
    channel = {"type": "http", "url": f"{outside.url}/messages", "secret": CHANNEL_SECRET}
    await pipeline.api("PUT", "/api/channels/receiver", channel)
    await pipeline.api("PUT", "/api/flows/steps", flow(outside.url))
    conversation = {"channel": "receiver", "contact": "{{ body.number }}", "text": "{{ body.number }}"}
    webhook = {"flowId": "steps", "nodeId": "start", "methods": ["POST"], "conversation": conversation}
    webhook["rateLimit"] = {"max": 100_000, "windowMs": 60_000}
    await pipeline.api("PUT", "/api/webhooks/steps", webhook)


async def post(pipeline: Pipeline, number: int) -> str:
    """Posts an event and returns its id."""
    status, answer = await pipeline.webhook("steps", json.dumps({"number": f"n{number}"}).encode())
    assert status == 200, answer
    event_id: str = answer["eventId"]
    return event_id


@contextlib.asynccontextmanager
async def steady_load(pipeline: Pipeline) -> AsyncIterator[dict[int, float]]:
    """Posts ten events a second until the block ends. Yields the time of each answer by the event's number."""
    posted: dict[int, float] = {}

    stopping = asyncio.Event()

    async def send() -> None:
        while not stopping.is_set():
            number = len(posted)
            await post(pipeline, number)
            posted[number] = time.monotonic()
            await asyncio.sleep(0.1)

    task = asyncio.create_task(send())
    try:
        yield posted
        assert not task.done(), task
    finally:
        stopping.set()  # not cancelled: an event whose answer was not awaited would be missing in `posted`
        await task


async def metric(pipeline: Pipeline, name: str, prefix: str) -> float:
    """The sum of the lines of a process's `/metrics` that begin with `prefix`."""
    async with pipeline.session.get(f"http://127.0.0.1:{pipeline.admin_ports[name]}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(prefix))


@pytest.mark.timeout(by_form(170, 900))
async def test_no_step_moves_a_job_a_timer_or_a_schedule(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """Each process steps by each of the steps and back, while two workers of each kind share the load."""
    twins = ("flow-runner", "notifier", "ingest-worker")
    outside = SlowReceiver()
    async with receiver(outside), SteppedPipeline(redis_url, postgres_dsn, tmp_path, twice=twins) as pipeline:
        await set_up(pipeline, outside)
        await pipeline.api("PUT", "/api/flows/ticks", scheduled_flow(outside.url))
        await pipeline.api("PUT", "/api/schedules/ticks", {"flowId": "ticks", "cron": "*/2 * * * * *"})
        began = time.time()
        async with steady_load(pipeline) as posted:
            for name in pipeline.names:
                for step_s in STEPS_S:
                    pipeline.step(name, step_s)
                    await asyncio.sleep(STEP_LASTS_S)
                pipeline.step(name, 0.0)
        await pipeline.api("DELETE", "/api/schedules/ticks")
        ended = time.time()
        await eventually(lambda: len(outside.keys("/messages")) == len(posted))
        for path in ("/call", "/messages"):
            assert len(outside.keys(path)) == len(posted)
            assert set(outside.keys(path).values()) == {1}, f"{path}: one runner at a time"
        for number, answered in posted.items():
            called, sent = outside.times["/call", f"n{number}"], outside.times["/messages", f"n{number}"]
            assert called - answered < LATE_S
            assert CALL_S + DELAY_MS / 1000 - EARLY_S <= sent - called < LATE_S
        ticks = [number for path, number in outside.times if path == "/tick"]
        assert set(outside.keys("/tick").values()) == {1}
        assert len(ticks) == len(outside.at("/tick")), "each tick once"
        assert len(ticks) == pytest.approx((ended - began) / 2, abs=3)
        assert await pipeline.api("GET", "/api/dead-letters") == []
        for name in pipeline.names:
            for line in ('filas_jobs_total{outcome="retried"', "filas_leases_lost_total", "filas_fences_lost_total"):
                assert await metric(pipeline, name, line) == 0, f"{name}: {line}"


async def test_what_is_cancelled_stays_cancelled_after_a_day_and_without_redis(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """A job, an execution and a notification are cancelled while their queues are paused. A day passes by every clock
    of Filas and in the abort set, and Redis is emptied. Then the queues are resumed."""
    outside = SlowReceiver()
    async with receiver(outside), SteppedPipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        await set_up(pipeline, outside)
        await pipeline.api("POST", "/api/queue/notification/pause")
        await eventually(lambda: is_paused(pipeline, "notifier", NOTIFICATIONS.name))
        first = await post(pipeline, 1)
        notification = (await eventually(lambda: rows(pipeline, "/api/notifications")))[0]
        await pipeline.api("POST", "/api/queue/flow/pause")
        await eventually(lambda: is_paused(pipeline, "flow-runner", FLOWS.name))
        events = [first, await post(pipeline, 2), await post(pipeline, 3), await post(pipeline, 4)]
        executions = [await execution_of(pipeline, event) for event in events]
        await eventually(lambda: wait_in(pipeline, "flow", 3))
        job_id = FLOWS.job_id(f"{executions[1]}:1")
        assert (await pipeline.api("POST", f"/api/jobs/{job_id}/cancel"))["outcome"] == "done"
        await pipeline.api("POST", f"/api/executions/{executions[2]}/cancel")
        await pipeline.api("POST", f"/api/notifications/{notification['id']}/cancel")
        redis = connect_url(redis_url)
        await redis.command("ZINCRBY", ABORT, -DAY_S * 1000, job_id)
        for name in pipeline.names:
            pipeline.step(name, DAY_S)
        await asyncio.sleep(by_form(1.5, 10.0))
        assert await redis.command("ZSCORE", ABORT, job_id)
        await redis.client.flushdb()
        await redis.close()
        for queue in (FLOWS, NOTIFICATIONS):
            await pipeline.api("POST", f"/api/queue/{queue.short}/resume")
        await eventually(lambda: outside.times.get(("/messages", "n4")), timeout=60)
        await eventually(lambda: statuses(pipeline, executions))
        assert [number for path, number in outside.times if path == "/call"] == ["n1", "n4"]
        assert [number for path, number in outside.times if path == "/messages"] == ["n4"]
        [letter] = await pipeline.api("GET", "/api/dead-letters")
        assert (letter["jobId"], letter["error"]["kind"]) == (job_id, "cancelled")
        shown = await pipeline.api("GET", f"/api/notifications/{notification['id']}")
        assert (shown["status"], shown["attempts"]) == ("cancelled", 0)


async def rows(pipeline: Pipeline, route: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await pipeline.api("GET", route)
    return found


async def execution_of(pipeline: Pipeline, event_id: str) -> str:
    """The id of the event's execution, once it exists."""
    found = await eventually(lambda: rows(pipeline, f"/api/executions?eventId={event_id}"))
    execution_id: str = found[0]["id"]
    return execution_id


async def wait_in(pipeline: Pipeline, queue: str, count: int) -> bool:
    """Whether that many jobs wait: a row is there before its job."""
    stats = await pipeline.api("GET", "/api/queue/stats")
    return bool(stats["queues"][queue]["waiting"] == count)


async def is_paused(pipeline: Pipeline, name: str, queue: str) -> bool:
    return await metric(pipeline, name, f'filas_queue_paused{{queue="{queue}"}}') == 1


async def statuses(pipeline: Pipeline, executions: list[str]) -> bool:
    """Whether the first and the last execution have succeeded, and the cancelled ones have ended."""
    found = [(await pipeline.api("GET", f"/api/executions/{one}"))["status"] for one in executions]
    return found == ["succeeded", "failed", "cancelled", "succeeded"]
