"""All processes of Filas while the stores are frozen (SIGSTOP), answer slowly, or are behind a network that is silent.

The bounds are wider than the requirements, because the machine may be busy.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import pytest

from filas_local.servers import EmbeddedServer, PostgresServer, RedisServer
from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline
from tests.freezing import frozen
from tests.ingest.serving import serving, webhook
from tests.local.processes import alive, descendants
from tests.long_form import by_form
from tests.shared.queue.proxy import Proxy
from tests.waiting import eventually

FROZEN_S = by_form(6.0, 20.0)
PAUSE_S = 0.1
"""The time between two requests of the sender."""

FIRST_S = by_form(4.5, 2.5)
HEALTH_S = by_form(4.5, 1.5)
"""Without an open circuit, a call of a frozen store ends after five seconds."""

RESUME_S = by_form(40.0, 15.0)

FLOW = {
    "schemaVersion": 1,
    "name": "Echo",
    "variables": [],
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "end", "type": "end", "data": {"output": "{{ webhook.body.n }}"}},
    ],
    "edges": [{"id": "e1", "source": "start", "target": "end"}],
}
WEBHOOK = {
    "flowId": "echo",
    "auth": {"type": "bearer", "secrets": ["token"]},
    "dedupe": {"path": "n"},
    "rateLimit": {"max": 1_000_000, "windowMs": 60_000},
}


@dataclass
class Sender:
    """Posts one request after the other and keeps how they were answered."""

    pipeline: Pipeline
    number: int = 0
    accepted: set[str] = field(default_factory=set)
    answers: list[tuple[int, float]] = field(default_factory=list)

    async def send(self) -> None:
        self.number += 1
        url = f"http://127.0.0.1:{self.pipeline.port}/webhooks/echo"
        began = time.monotonic()
        body, headers = json.dumps({"n": f"n{self.number}"}), {"Authorization": "Bearer token"}
        async with self.pipeline.session.post(
            url, data=body, headers={"Content-Type": "application/json", **headers}
        ) as answer:
            document = await answer.json(content_type=None)
            self.answers.append((answer.status, time.monotonic() - began))
            if answer.status == 200:
                self.accepted.add(document["eventId"])

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.send()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PAUSE_S)


@contextlib.asynccontextmanager
async def sending(sender: Sender) -> AsyncIterator[None]:
    """Sends while the block runs."""
    stop = asyncio.Event()
    task = asyncio.create_task(sender.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def slowest_health(pipeline: Pipeline) -> float:
    """The longest time of a health or metrics route of any process."""
    slowest = 0.0
    for port in pipeline.admin_ports.values():
        for route in ("livez", "readyz", "metrics"):
            began = time.monotonic()
            async with pipeline.session.get(f"http://127.0.0.1:{port}/{route}") as answer:
                await answer.read()
                if route == "livez":
                    assert answer.status == 200
            slowest = max(slowest, time.monotonic() - began)
    return slowest


async def readyz(pipeline: Pipeline, name: str) -> dict[str, Any]:
    async with pipeline.session.get(f"http://127.0.0.1:{pipeline.admin_ports[name]}/readyz") as answer:
        document: dict[str, Any] = await answer.json()
        return document


async def doctor(pipeline: Pipeline) -> tuple[dict[str, bool], float]:
    """The findings of the API's doctor, and how long it took."""
    began = time.monotonic()
    url = f"http://127.0.0.1:{pipeline.admin_ports['ingest-admin']}/api/doctor"
    async with pipeline.session.get(url, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as answer:
        document = await answer.json()
    return {one["part"]: one["ok"] for one in document["data"]["parts"]}, time.monotonic() - began


@pytest.mark.timeout(by_form(240, 600))
@pytest.mark.starts_processes
async def test_nothing_is_lost_or_delayed_while_stores_are_frozen(
    own_postgres: PostgresServer, own_redis: RedisServer, tmp_path: Path
) -> None:
    """Redis, then Postgres, then both. Each event that was answered 200 has one execution, and no attempt is used."""

    def query(sql: str) -> list[str]:
        return own_postgres.execute(sql, database="filas").splitlines()

    figures: dict[str, Any] = {}
    async with Pipeline(own_redis.url, own_postgres.dsn(), tmp_path) as pipeline:
        await pipeline.api("PUT", "/api/flows/echo", FLOW)
        await pipeline.api("PUT", "/api/webhooks/echo", WEBHOOK)
        sender = Sender(pipeline)

        async def published() -> bool:
            sender.answers.clear()
            await sender.send()
            return sender.answers[-1][0] == 200

        await eventually(published)
        cases: list[tuple[str, tuple[EmbeddedServer, ...]]] = [
            ("redis", (own_redis,)),
            ("postgres", (own_postgres,)),
            ("both", (own_redis, own_postgres)),
        ]
        for name, servers in cases:
            with frozen(*servers):
                sender.answers.clear()
                async with sending(sender):
                    await asyncio.sleep(FROZEN_S)  # the length of the outage
                    health = await slowest_health(pipeline)
                    found, doctor_s = await doctor(pipeline)
                    states = [(await readyz(pipeline, one))["circuits"] for one in pipeline.admin_ports]
            times = [took for _, took in sender.answers]
            figures[name] = {"slowest": max(times), "median": median(times), "health": health, "doctor": doctor_s}
            assert {status for status, _ in sender.answers} == ({503} if name == "both" else {200}), name
            assert max(times) < FIRST_S, figures
            assert median(times) < 0.5, figures
            assert health < HEALTH_S, figures
            assert doctor_s < FIRST_S, figures
            assert found.get("redis") is (name == "postgres")
            assert found.get("postgres") is (name == "redis")
            stores = ("redis", "postgres") if name == "both" else (name,)
            assert all(state[store] != "closed" for state in states for store in stores), states
            began = time.monotonic()

            async def resumed() -> bool:
                await asyncio.sleep(0.1)  # the database is asked ten times a second, not without pause
                rows = await asyncio.to_thread(query, "select event_id from executions where status = 'succeeded'")
                return sender.accepted <= set(rows)

            await eventually(resumed, timeout=60)
            figures[name]["resumed"] = time.monotonic() - began
            assert figures[name]["resumed"] < RESUME_S, figures
    # A request that was answered 503 may have been written when Postgres continued.
    executed = query("select event_id from executions")
    assert sender.accepted <= set(executed)
    assert len(set(executed)) == len(executed)
    assert query("select count(*) from dead_letters") == ["0"]
    assert query("select count(*) from steps where attempt > 1") == ["0"]
    print(json.dumps(figures, indent=1))  # noqa: T201 - shown with -s


@pytest.mark.timeout(90)
async def test_a_slow_redis_is_used_and_its_delay_is_bounded(redis_url: str, postgres_dsn: str) -> None:
    """Each answer takes 0.5 s. No circuit opens, and a request takes as long as its own calls."""
    async with Proxy(redis_url) as proxy, serving(proxy.url, postgres_dsn, webhook()) as app:
        await app.post("orders", {"n": 0})
        proxy.delay_s = 0.5
        for number in range(1, 5):
            began = time.monotonic()
            status, _ = await app.post("orders", {"n": number})
            assert status == 200
            assert time.monotonic() - began < 3.0
            assert app.redis.watch.circuit.state == "closed"
        proxy.delay_s = 0.0

        async def enqueued() -> bool:
            return [job["body"]["n"] for job in await app.jobs()] == [0, 1, 2, 3, 4]

        await eventually(enqueued)


@pytest.mark.timeout(90)
async def test_silent_connections_are_replaced(redis_url: str, postgres_dsn: str) -> None:
    """The network drops the packets of the connections that were open. New connections work."""
    async with Proxy(redis_url) as proxy, serving(proxy.url, postgres_dsn, webhook()) as app:
        await app.post("orders", {"n": 0})
        proxy.stall()
        began = time.monotonic()
        assert (await app.post("orders", {"n": 1}))[0] == 200
        assert time.monotonic() - began < FIRST_S
        assert (await app.post("orders", {"n": 2}))[0] == 200
        proxy.resume()

        async def enqueued() -> bool:
            return app.redis.problem is None and [job["body"]["n"] for job in await app.jobs()] == [0, 1, 2]

        await eventually(enqueued)


@pytest.mark.timeout(90)
async def test_clients_of_a_refused_store_do_not_wait(own_redis: RedisServer, own_postgres: PostgresServer) -> None:
    """Both servers are killed: the answer is 503 within a second, and at once after that."""
    async with serving(own_redis.url, own_postgres.dsn(), webhook()) as app:
        await app.post("orders", {"n": 0})
        own_redis.kill()
        assert own_postgres.pid is not None
        sessions = descendants(own_postgres.pid)
        own_postgres.kill()
        await eventually(lambda: not any(alive(pid) for pid in sessions))  # they end a moment after the server
        times = []
        with contextlib.suppress(aiohttp.ClientError):
            for number in range(6):
                began = time.monotonic()
                status, _ = await app.post("orders", {"n": number})
                times.append(time.monotonic() - began)
                assert status == 503
        assert times[0] < FIRST_S
        assert median(times[1:]) < 0.7
