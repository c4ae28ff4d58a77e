"""Work for which the five processes set their metrics: successes, refusals and failures."""

import asyncio
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

from aiohttp import web

from filas.contract.policies import FLOWS
from filas_local.servers import RedisServer
from tests.e2e.pipeline import Pipeline, Receiver
from tests.ingest.test_meta_bodies import DELIVERED, whatsapp
from tests.ports import free_port
from tests.process_table import PROCESSES
from tests.waiting import PATIENCE_S, eventually

NOT_PROVOKED = {
    # A worker of each kind would have to die with a job in hand, and Redis to lose a job of each table.
    "filas_leases_lost_total": {"ingest-worker", "notifier"},
    "filas_relayed_total": {"ingest-worker", "notifier"},
    "filas_notifications_interrupted_total": {"notifier"},
    # Two workers would have to hold one execution.
    "filas_fences_lost_total": {"flow-runner"},
    # A worker of a newer version would have to run.
    "filas_jobs_newer_version_total": {"ingest-worker", "flow-runner", "notifier"},
    # A valid job cannot fail permanently on this queue.
    "filas_dead_letters_total": {"ingest-worker"},
    # Another session would have to hold the lock of a row, and a sender to be refused more often than is recorded.
    "filas_rows_locked_total": set(PROCESSES),
    "filas_refusals_unrecorded_total": {"ingest"},
    # The index would have to be behind: 0 is what the metric begins with.
    "filas_search_index_behind_seconds": {"ingest-admin"},
    # No traces are written here.
    "filas_spans_dropped_total": set(PROCESSES),
}
"""What this work does not bring about."""

SECRET = "whsec_" + "c2lnbmluZy1zZWNyZXQtb2YtdGhlLWNybQ=="
BEARER = {"Authorization": "Bearer let-me-in"}
SLOW_S = 3.0
PAUSE_MS = 2500


class Outside(Receiver):
    """A CRM, WhatsApp and a contact's phone. `/slow` takes its time, `/broken` always fails."""

    def __init__(self) -> None:
        super().__init__()
        self.called = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        self.note(request, await request.read())
        if request.path == "/slow":
            self.called.set()
            await asyncio.sleep(SLOW_S)
        document = {"ok": True, "messages": [{"id": DELIVERED["id"]}]}
        return web.json_response(document, status=500 if request.path == "/broken" else 200)


def flow(*nodes: dict[str, Any]) -> dict[str, Any]:
    """A flow that begins with a webhook and visits the nodes one after the other."""
    line = [{"id": "start", "type": "webhook", "data": {"mode": "trigger"}}, *nodes]
    edges = [{"id": f"e-{one['id']}", "source": one["id"], "target": other["id"]} for one, other in pairwise(line)]
    return {"schemaVersion": 1, "name": "Watched", "nodes": line, "edges": edges}


def calling(identifier: str, url: str, text: str = "oi") -> dict[str, Any]:
    """A node that posts to an address."""
    return {"id": identifier, "type": "api", "data": {"method": "POST", "url": url, "body": {"text": text}}}


class Provoking:
    """The flows, webhooks and channels, and what is done with them."""

    def __init__(self, pipeline: Pipeline, outside: Outside, redis: RedisServer, database: int) -> None:
        self._pipeline, self._outside = pipeline, outside
        self._redis, self._database = redis, database
        self._silent: list[asyncio.StreamWriter] = []

    async def everything(self) -> None:
        """All of it. What counts from the start of a process comes after that process was killed."""
        await self._install()
        await self._lose_a_worker()
        await self._use_and_misuse()
        await self._lose_redis()
        await self._answer_what_waits()

    def close(self) -> None:
        """Closes the silent connections. They must stay open until the listener closes them (after 10 s or more)."""
        for writer in self._silent:
            writer.close()

    async def _install(self) -> None:
        put, outside = self._put, self._outside.url
        await put("channels/phone", {"type": "http", "url": f"{outside}/messages", "secret": SECRET})
        await put("channels/gone", {"type": "http", "url": f"http://127.0.0.1:{free_port()}/", "secret": SECRET})
        await put("flows/slow", flow(calling("slow", f"{outside}/slow")))
        await put("flows/broken", flow(calling("broken", f"{outside}/broken")))
        await put("flows/lost", flow({"id": "say", "type": "message", "data": {"text": "oi", "channel": "gone"}}))
        waiting = flow(
            {"id": "pause", "type": "delay", "data": {"ms": PAUSE_MS}},
            {"id": "say", "type": "message", "data": {"text": "Olá!"}},
            calling("announce", f"{outside}/waiting", "{{ execution.resumeUrls.wait }}"),
            {"id": "wait", "type": "webhook", "data": {"mode": "wait"}},
        )
        await put("flows/waiting", waiting)
        await put(
            "channels/whatsapp",
            {"type": "whatsapp", "phoneNumberId": "106540352242922", "accessToken": "x", "baseUrl": outside},
        )
        greeting = {"id": "say", "type": "message", "data": {"text": "oi", "channel": "whatsapp"}}
        await put("flows/greeting", flow(greeting))
        for name in ("slow", "broken", "lost", "waiting", "greeting"):
            conversation = {"channel": "phone", "contact": "{{ body.from }}"}
            body = {"flowId": name, "auth": {"type": "bearer", "secrets": ["let-me-in"]}, "conversation": conversation}
            await put(f"webhooks/{name}", body | {"dedupe": {"path": "from"}})
        # Its secret is a variable that ingest doesn't have.
        await put(
            "webhooks/unusable",
            {"flowId": "broken", "auth": {"type": "bearer", "secrets": ["env:SECRET_NOT_SET"]}},
        )
        await put("webhooks/meta", {"flowId": "broken", "auth": {"type": "meta", "secrets": ["app-secret"]}})

    async def _put(self, route: str, body: dict[str, Any]) -> None:
        await self._pipeline.api("PUT", f"/api/{route}", body)

    async def _post(self, name: str, contact: str, headers: dict[str, str] | None = None) -> int:
        status, _ = await self._pipeline.webhook(name, json.dumps({"from": contact}).encode(), headers or BEARER)
        return status

    async def _lose_a_worker(self) -> None:
        """Kills a worker during a call. Another worker gets its job, and a schedule misses a tick meanwhile."""
        assert await self._post("slow", "a") == 200
        await asyncio.wait_for(self._outside.called.wait(), PATIENCE_S)
        soon = datetime.now(UTC) + timedelta(seconds=1)
        tick = {"flowId": "broken", "at": [soon.isoformat()], "misfire": "run-once", "misfireGraceMs": 1000}
        self._pipeline.kill("flow-runner")
        await self._put("schedules/missed", tick)
        await asyncio.sleep((soon - datetime.now(UTC)).total_seconds() + 2)  # until the tick is late enough
        self._pipeline.start("flow-runner")
        await self._pipeline.until_ready("flow-runner")

        async def done() -> bool:
            return bool(await self._pipeline.executions(flowId="slow", status="succeeded"))

        await eventually(done, timeout=60)

    async def _use_and_misuse(self) -> None:
        """Sends a request to every webhook, some of them wrong, and leaves silent connections to be closed."""
        for sent in (b"", b"POST /webhooks/waiting HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"P"):
            _, writer = await asyncio.open_connection("127.0.0.1", self._pipeline.port)
            writer.write(sent)
            self._silent.append(writer)
        assert await self._post("waiting", "b") == 200
        assert await self._post("waiting", "b") == 200  # a duplicate
        assert await self._post("waiting", "c", {"Authorization": "Bearer wrong"}) == 401
        wrong = {"Authorization": "Bearer wrong"}
        url = f"http://127.0.0.1:{self._pipeline.admin_ports['ingest-admin']}/api/flows/slow"
        async with self._pipeline.session.get(url, headers=wrong) as answer:
            assert answer.status == 401
        assert await self._post("unusable", "c") == 503
        assert await self._post("broken", "d") == 200
        event = {"webhookId": "broken", "body": {"from": "from-the-api"}}
        await self._pipeline.api("POST", "/api/events", {"events": [event]})
        for number in range(8):
            assert await self._post("lost", f"e{number}") == 200
        assert await self._post("greeting", "5599") == 200
        await eventually(partial(self._has_notification, "sent"))
        raw = json.dumps(whatsapp(statuses=[DELIVERED])).encode()
        signature = "sha256=" + hmac.new(b"app-secret", raw, hashlib.sha256).hexdigest()
        status, _ = await self._pipeline.webhook("meta", raw, {"X-Hub-Signature-256": signature})
        assert status == 200
        await eventually(partial(self._has_notification, "delivered"))

    async def _has_notification(self, status: str) -> bool:
        """Whether the message over WhatsApp has a notification yet."""
        rows = await self._pipeline.api("GET", f"/api/notifications?channelId=whatsapp&status={status}")
        return bool(rows)

    async def _lose_redis(self) -> None:
        """Empties Redis while an execution is queued, so that the relay enqueues its job again."""
        broken = len(await self._pipeline.executions(flowId="broken"))
        await self._pipeline.api("POST", "/api/queue/flow/pause")
        await eventually(self._flows_are_paused)
        assert await self._post("broken", "f") == 200

        async def queued() -> bool:
            stats = await self._pipeline.api("GET", "/api/queue/stats")
            return int(stats["queues"]["flow"]["waiting"]) > 0

        await eventually(queued)
        await asyncio.to_thread(self._redis.execute, "FLUSHDB", database=self._database)
        await self._pipeline.api("POST", "/api/queue/flow/resume")

        async def ended() -> bool:
            return len(await self._pipeline.executions(flowId="broken", status="failed")) > broken

        await eventually(ended, timeout=60)

    async def _flows_are_paused(self) -> bool:
        """Whether the flow-runner has read the pause. It takes jobs until then."""
        url = f"http://127.0.0.1:{self._pipeline.admin_ports['flow-runner']}/metrics"
        async with self._pipeline.session.get(url) as answer:
            return f'filas_queue_paused{{queue="{FLOWS.name}"}} 1.0' in await answer.text()

    async def _answer_what_waits(self) -> None:
        """Calls the address of the waiting flow once it is known. The execution then ends."""
        calls = await eventually(lambda: self._outside.at("/waiting"), timeout=60)
        token = json.loads(calls[0][1])["text"].rsplit("/", 1)[1]
        url = f"http://127.0.0.1:{self._pipeline.port}/resume/{token}"
        async with self._pipeline.session.post(url, json={"ok": True}) as answer:
            assert answer.status == 200

        async def ended() -> bool:
            return bool(await self._pipeline.executions(flowId="waiting", status="succeeded"))

        await eventually(ended, timeout=60)

        async def given_up() -> bool:
            return bool(await self._pipeline.api("GET", "/api/notifications?channelId=gone&status=failed"))

        await eventually(given_up, timeout=60)
