"""What an operator does when work is stuck: asks the doctor, asks why, repairs, and sees the work end."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from filas.contract.policies import QueuePolicy
from filas.queue.redis_client.connection import Redis
from filas.repository.postgres.database import Database
from filas_local.servers import RedisServer
from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline, Receiver, receiver
from tests.e2e.test_main_job import CHANNEL_SECRET
from tests.flow_runner.harness import chain, node
from tests.notifier.rows import opened
from tests.redis_address import connect_url
from tests.shared.cli.running import filas
from tests.waiting import eventually

MAX_S = 3.0
"""How long the doctor may take."""

UNFINISHED = "select count(*) from executions where ended_at is null"
UNSENT = "select count(*) from notifications where ended_at is null and status <> 'sent'"
UNPROCESSED = "select count(*) from events where status = 'received'"


class Outside(Receiver):
    """Takes calls and messages. Paths in `broken` are answered with 500."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = set()
        self._held: dict[str, asyncio.Event] = {}

    def hold(self, path: str) -> None:
        """From now on, requests to this path are answered after `release`."""
        self._held[path] = asyncio.Event()

    def release(self) -> None:
        """Answers all that is held."""
        while self._held:
            self._held.popitem()[1].set()

    async def handle(self, request: web.Request) -> web.Response:
        """Keeps the request when it arrives."""
        self.note(request, await request.read())
        if request.path in self._held:
            await self._held[request.path].wait()
        return web.json_response({"ok": True}, status=500 if request.path in self.broken else 200)

    async def until(self, path: str, count: int) -> None:
        """Waits until `count` requests have arrived at a path."""
        await eventually(lambda: len(self.at(path)) >= count, message=f"{path}: {len(self.at(path))} of {count}")


class Operator:
    """A pipeline whose flows are `work` (a call, then a message), `sleep` (a delay) and `ask` (a question)."""

    def __init__(self, pipeline: Pipeline, outside: Outside, database: Database, redis: Redis) -> None:
        self.pipeline = pipeline
        self.outside = outside
        self.database = database
        self.redis = redis

    async def store_channel(self) -> None:
        """Stores the channel `phone`, which all flows use."""
        # Its circuit opens before a message has been tried so often, however slow the machine is.
        retry = {"maxAttempts": 20, "delayMs": 2000, "rate": 1}
        phone = {"type": "http", "url": f"{self.outside.url}/messages", "secret": CHANNEL_SECRET, "retry": retry}
        await self.pipeline.api("PUT", "/api/channels/phone", phone)

    async def say(self, flow: str, contact: str, text: str = "oi") -> str:
        """A message of a contact to the webhook of a flow; returns the id of its event."""
        body = json.dumps({"from": contact, "text": text}).encode()
        status, answer = await self.pipeline.webhook(flow, body)
        assert status == 200, answer
        event_id: str = answer["eventId"]
        return event_id

    async def execution(self, event_id: str, status: str | None = None) -> str:
        """The id of the execution of an event, once it exists and has that status."""

        async def found() -> str | None:
            query = "select id::text from executions where event_id = $1::uuid and ($2::text is null or status = $2)"
            execution_id: str | None = await self.database.fetchval(query, event_id, status)
            return execution_id

        return await eventually(found, message=f"no execution of {event_id} is {status}")

    async def message(self, execution_id: str) -> str:
        """The id of the message of an execution, once it exists."""

        async def found() -> str | None:
            query = "select id::text from notifications where execution_id = $1::uuid"
            message_id: str | None = await self.database.fetchval(query, execution_id)
            return message_id

        return await eventually(found, message=f"{execution_id} has no message")

    async def findings(self) -> dict[str, dict[str, Any]]:
        """The findings, by code and subject: `queue-paused flow`."""
        found = await self.pipeline.api("GET", "/api/doctor")
        return {f"{one['code']} {one['subject'].get('id') or ''}".strip(): one for one in found["findings"]}

    async def seconds(self) -> float:
        """How long the doctor takes now."""
        began = time.monotonic()
        await self.findings()
        return time.monotonic() - began

    async def until(self, *expected: str, timeout: float = 60) -> dict[str, dict[str, Any]]:
        """Waits until the doctor finds exactly this, and returns the findings."""
        seen: dict[str, dict[str, Any]] = {}

        async def exactly() -> bool:
            seen.clear()
            seen.update(await self.findings())
            await asyncio.sleep(0.2)  # the doctor is asked five times a second, not without pause
            return set(seen) == set(expected)

        try:
            await eventually(exactly, timeout)
        except AssertionError:
            raise AssertionError(f"expected {sorted(expected)}, found {json.dumps(seen, indent=1)}") from None
        return seen

    async def why(self, **subject: str) -> dict[str, Any]:
        """Why an object does not continue."""
        ((kind, value),) = subject.items()
        answer: dict[str, Any] = await self.pipeline.api("GET", f"/api/doctor?{kind}={value}")
        return answer

    async def until_evidence(self, finding: str, **evidence: object) -> dict[str, Any]:
        """Waits until the doctor finds exactly this, with this evidence, and returns the finding."""
        seen: dict[str, Any] = {}

        async def shown() -> bool:
            seen.update((await self.until(finding))[finding])
            return all(seen["evidence"].get(name) == value for name, value in evidence.items())

        await eventually(shown, message=f"{finding} with {evidence}: {seen}")
        return seen

    async def until_paused(self, process: str, queue: str) -> None:
        """Waits until a worker has read that its queue is paused: until then it takes jobs."""
        url = f"http://127.0.0.1:{self.pipeline.admin_ports[process]}/metrics"

        async def paused() -> bool:
            async with self.pipeline.session.get(url) as answer:
                return f'filas_queue_paused{{queue="{queue}"}} 1.0' in await answer.text()

        await eventually(paused, message=f"{process} still takes jobs of {queue}")

    async def until_filas_why(self, sentence: str, name: str) -> None:
        """Waits until `filas why` prints this sentence."""
        printed: list[str] = []

        async def shown() -> bool:
            printed[:] = [await self.filas_why(name)]
            return sentence in printed[0]

        await eventually(shown, message=f"{sentence}: {printed}")

    async def until_why(self, cause: str, **subject: str) -> dict[str, Any]:
        """Waits until `why` names this cause, and returns the answer."""
        seen: dict[str, Any] = {}

        async def named() -> bool:
            seen.update(await self.why(**subject))
            await asyncio.sleep(0.1)
            return bool(seen["cause"] == cause)

        await eventually(named, message=f"{cause}: {seen}")
        return seen

    async def filas_why(self, name: str) -> str:
        """What `filas why` prints."""
        url = f"http://127.0.0.1:{self.pipeline.admin_ports['ingest-admin']}"
        run = await filas("why", name, environ={"FILAS_URL": url, "FILAS_ADMIN_TOKEN": ADMIN_TOKEN, "COLUMNS": "500"})
        return run.out + run.err

    async def repair(self) -> dict[str, int]:
        """Repairs what can be repaired; returns how much, by code."""
        done = await self.pipeline.api("POST", "/api/doctor/repair", {})
        return {one["code"]: one["count"] for one in done["repairs"]}

    async def until_done(self, timeout: float = 120) -> None:
        """Waits until every event, execution and message has ended, and the doctor finds nothing."""
        left: list[int] = []

        async def done() -> bool:
            left[:] = [await self.database.fetchval(query) for query in (UNPROCESSED, UNFINISHED, UNSENT)]
            return not any(left)

        await eventually(done, timeout, message=f"events, executions, messages: {left}")
        await self.until()
        query = "select count(*) from executions where status in ('failed', 'timed-out')"
        assert await self.database.fetchval(query) == 0

    async def age_job(self, policy: QueuePolicy, job_id: str) -> None:
        """Makes a waiting job two minutes older."""
        due_ms = float(await self.redis.command("ZSCORE", policy.name, job_id))
        await self.redis.command("ZADD", policy.name, "XX", due_ms - 120_000, job_id)

    async def age_leases(self, policy: QueuePolicy) -> None:
        """Makes the leases of a queue two minutes older."""
        key = f"{{{policy.name}}}:active"
        for job_id in await self.redis.command("ZRANGE", key, 0, -1):
            until_ms = float(await self.redis.command("ZSCORE", key, job_id))
            await self.redis.command("ZADD", key, "XX", until_ms - 120_000, job_id)

    async def refused(self, method: str, route: str) -> tuple[int, str]:
        """Calls the API, which is to refuse it; returns status and body."""
        url = f"http://127.0.0.1:{self.pipeline.admin_ports['ingest-admin']}{route}"
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        async with self.pipeline.session.request(method, url, headers=headers) as answer:
            return answer.status, await answer.text()

    async def age(self, table: str, column: str, condition: str) -> None:
        """Makes rows two minutes older, so that no test waits for the minute after which they are late."""
        await self.database.fetch(f"update {table} set {column} = {column} - interval '2 minutes' where {condition}")


def conversation_webhook(flow: str) -> dict[str, Any]:
    """A webhook for the messages of `Operator.say`."""
    return {
        "flowId": flow,
        "auth": {"type": "none"},
        "conversation": {"channel": "phone", "contact": "{{ body.from }}", "text": "{{ body.text }}"},
        "rateLimit": {"max": 1_000_000, "windowMs": 60_000},
    }


def flows(outside: str, sleep_ms: int = 3000) -> dict[str, dict[str, Any]]:
    """The flows of `Operator`, by id."""
    call = node("call", "api", method="POST", url=f"{outside}/calls", body={"text": "{{ conversation.text }}"})
    return {
        "work": chain(call, node("answer", "message", text="{{ conversation.text }}")),
        "sleep": chain(node("pause", "delay", ms=sleep_ms), node("done", "end")),
        "ask": chain(node("name", "input", prompt="Nome?"), node("done", "end")),
    }


@asynccontextmanager
async def operating(
    redis: RedisServer,
    postgres_dsn: str,
    logs: Path,
    *,
    environment: Mapping[str, str] | None = None,
    sleep_ms: int = 3000,
) -> AsyncIterator[Operator]:
    """A running pipeline in which the doctor finds nothing."""
    pipeline = Pipeline(redis.url, postgres_dsn, logs)
    pipeline.environment |= environment or {}
    connection = connect_url(redis.url)
    async with receiver(Outside()) as outside, pipeline, opened(postgres_dsn) as database:
        assert isinstance(outside, Outside)
        operator = Operator(pipeline, outside, database, connection)
        await operator.store_channel()
        for name, definition in flows(outside.url, sleep_ms).items():
            await pipeline.api("PUT", f"/api/flows/{name}", definition)
            await pipeline.api("PUT", f"/api/webhooks/{name}", conversation_webhook(name))
        await operator.until()
        try:
            yield operator
        finally:
            outside.release()
            await connection.close()
