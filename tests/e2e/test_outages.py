"""The stores fail under load, one after the other, and every sender is answered with success."""

import asyncio
import json
import time
from collections import Counter
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from filas_local.servers import PostgresServer, RedisServer
from tests.e2e.pipeline import Pipeline
from tests.long_form import by_form
from tests.waiting import eventually

RATE = 300
SECONDS = by_form(20, 60)
REQUESTS = RATE * SECONDS
MAX_OPEN = by_form(100, 1000)
"""On a machine that is too slow for the rate, more requests would wait for longer than their time limits. A thousand
are half the connection limit of the listener."""

POSTGRES_DOWN = by_form((2, 7), (5, 20))
REDIS_DOWN = by_form((9, 14), (25, 40))
FLUSHED_FROM = by_form(16, 45)

FLOW = {
    "schemaVersion": 1,
    "name": "Count",
    "variables": [{"name": "id", "type": "string", "default": "", "scope": "execution", "secret": False}],
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {
            "id": "keep",
            "type": "set-variable",
            "data": {"assignments": [{"variable": "id", "value": "{{ webhook.body.id }}"}]},
        },
        {"id": "end", "type": "end", "data": {"output": "{{ vars.id }}"}},
    ],
    "edges": [
        {"id": "e1", "source": "start", "target": "keep"},
        {"id": "e2", "source": "keep", "target": "end"},
    ],
}
WEBHOOK = {
    "flowId": "count",
    "auth": {"type": "bearer", "secrets": ["token"]},
    "dedupe": {"path": "id"},
    "rateLimit": {"max": 1_000_000, "windowMs": 60_000},
}

STATES = """select 'events', status, count(*) from events group by status
    union all select 'executions', status, count(*) from executions group by status order by 1, 2"""


class Senders:
    """Posts a request every 1/300 s without waiting for earlier answers, and counts the answers."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._url = f"http://127.0.0.1:{pipeline.port}/webhooks/count"
        self.answers: Counter[str] = Counter()
        self.events: dict[str, int] = {}
        self.slowest_s = 0.0
        self._open = asyncio.Semaphore(MAX_OPEN)

    async def run(self, session: aiohttp.ClientSession, began: float) -> None:
        """All of them, until the last is answered."""
        async with asyncio.TaskGroup() as group:
            for number in range(REQUESTS):
                wait = began + number / RATE - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                await self._open.acquire()
                group.create_task(self._post(session, number))

    async def _post(self, session: aiohttp.ClientSession, number: int) -> None:
        sent = time.monotonic()
        headers = {"Authorization": "Bearer token", "Content-Type": "application/json"}
        try:
            async with session.post(self._url, data=json.dumps({"id": f"n{number}"}), headers=headers) as answer:
                document = await answer.json(content_type=None)
                self.answers[str(answer.status)] += 1
                if answer.status == 200:
                    self.events[document["eventId"]] = number
        except (aiohttp.ClientError, TimeoutError) as error:
            self.answers[type(error).__name__] += 1
        finally:
            self._open.release()
        self.slowest_s = max(self.slowest_s, time.monotonic() - sent)


async def break_the_stores(pipeline: Pipeline, postgres: PostgresServer, redis: RedisServer, began: float) -> None:
    """Each store is killed for a while, then Redis loses everything in the middle of the work."""

    async def at(second: float) -> None:
        await asyncio.sleep(max(0.0, began + second - time.monotonic()))

    async def is_up(store: str) -> bool:
        url = f"http://127.0.0.1:{pipeline.admin_ports['ingest']}/metrics"
        async with pipeline.session.get(url) as answer:
            return f'filas_store_up{{store="{store}"}} 1.0' in await answer.text()

    for server, store, (down, up) in ((postgres, "postgres", POSTGRES_DOWN), (redis, "redis", REDIS_DOWN)):
        await at(down)
        await asyncio.to_thread(server.kill)
        await at(up)
        await asyncio.to_thread(server.start)
        # On a slow machine the next store would be killed before this one is used again: then none is available.
        await eventually(partial(is_up, store))
    await at(FLUSHED_FROM)

    async def flushed_at_work() -> bool:
        stats = await pipeline.api("GET", "/api/queue/stats")
        if stats["summary"]["totalActive"] == 0:
            return False
        await asyncio.to_thread(redis.execute, "FLUSHALL")
        return True

    await eventually(flushed_at_work)


@pytest.mark.timeout(420)
async def test_nothing_is_lost_and_nothing_done_twice_while_the_stores_fail(
    own_postgres: PostgresServer, own_redis: RedisServer, tmp_path: Path
) -> None:
    """300 requests/s while Postgres is killed for a while, then Redis, and then Redis is emptied under work.

    Every request is answered 200, because one store was always there. At the end each has exactly one execution,
    which has succeeded and did each of its steps once; no job is a dead letter.
    """

    def query(sql: str) -> list[str]:
        return own_postgres.execute(sql, database="filas").splitlines()

    connector = aiohttp.TCPConnector(limit=0)
    async with (
        Pipeline(own_redis.url, own_postgres.dsn(), tmp_path) as pipeline,
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session,
    ):
        await pipeline.api("PUT", "/api/flows/count", FLOW)
        await pipeline.api("PUT", "/api/webhooks/count", WEBHOOK)
        senders, began = Senders(pipeline), time.monotonic() + 1
        async with asyncio.TaskGroup() as group:
            group.create_task(senders.run(session, began))
            group.create_task(break_the_stores(pipeline, own_postgres, own_redis, began))

        assert senders.answers == {"200": REQUESTS}, f"slowest {senders.slowest_s:.1f} s"
        assert len(senders.events) == REQUESTS

        states: list[str] = []

        async def finished() -> bool:
            states[:] = await asyncio.to_thread(query, STATES)
            await asyncio.sleep(0.5)  # the database is asked twice a second, not without pause
            return states == [f"events|processed|{REQUESTS}", f"executions|succeeded|{REQUESTS}"]

        try:
            await eventually(finished, timeout=180)
        except AssertionError:
            stats = await pipeline.api("GET", "/api/queue/stats")
            pytest.fail(f"not finished: {states}, {stats['summary']}")
    assert set(query("select event_id from executions")) == set(senders.events)
    assert query("select count(*), count(distinct event_id) from executions") == [f"{REQUESTS}|{REQUESTS}"]
    assert query("select count(*) from steps where attempt > 1 or status <> 'succeeded'") == ["0"]
    assert query("select count(*) from steps") == [str(3 * REQUESTS)]
    assert query("select count(*) from dead_letters") == ["0"]
