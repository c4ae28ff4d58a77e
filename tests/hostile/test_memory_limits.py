"""The processes stay within the memory limits with which they are shipped (deploy/memory-limits.yml), and lose nothing.

The kernel's record of the largest resident size (VmHWM in /proc) is compared with the limit. A process that exceeds its
limit in a container is killed, at once and whatever it does.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from filas.contract.identity import new_id
from filas.models.events import NewEvent
from filas.repository.events import EventRepository
from filas.repository.postgres.database import Database
from filas_local.servers import RedisServer
from tests.deploy.memory_limits import LIMITS_MIB
from tests.e2e.pipeline import Pipeline
from tests.long_form import by_form
from tests.waiting import PATIENCE_S, eventually

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.timeout(by_form(300, 1800)),
]

MIB = 2**20
RELEASED_MIB = 300
"""The resident size to which every process returns after a peak."""

FLOW: dict[str, Any] = {
    "schemaVersion": 1,
    "name": "Large",
    "variables": [{"name": "kept", "type": "any", "default": None, "scope": "execution", "secret": False}],
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "end", "type": "end", "data": {"output": "done"}},
    ],
    "edges": [{"id": "e1", "source": "start", "target": "end"}],
}
WAITING_FLOW = FLOW | {
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {
            "id": "keep",
            "type": "set-variable",
            "data": {"assignments": [{"variable": "kept", "value": "{{ webhook.body.items }}"}]},
        },
        {"id": "wait", "type": "delay", "data": {"ms": 1000}},
        {"id": "end", "type": "end", "data": {"output": "done"}},
    ],
    "edges": [
        {"id": "e1", "source": "start", "target": "keep"},
        {"id": "e2", "source": "keep", "target": "wait"},
        {"id": "e3", "source": "wait", "target": "end"},
    ],
}

PLAIN = json.dumps({"text": "x" * (MIB - 100)}).encode()
OBJECTS = b'{"items":[' + b",".join([b'{"id":12345,"name":"abcdef","on":true}'] * (MIB // 40)) + b"]}"
EMPTY_OBJECTS = b'{"items":[' + b",".join([b"{}"] * (MIB // 3 - 10)) + b"]}"
"""The JSON that takes the most memory: 25 MiB for 1 MiB."""

BODIES = (PLAIN, OBJECTS, EMPTY_OBJECTS)
"""The public listener refuses the last one. Earlier versions have accepted such events."""


STATE = b'{"items":[' + b",".join([b'{"id":12345,"name":"abcdef","on":true}'] * 18_000) + b"]}"
"""A body that a flow can keep: a state has at most 1 MiB, and a value counts 8 for each number."""


def memory_mib(pid: int, field: str) -> float:
    """A size of a process in MiB: `VmHWM` is the largest resident size so far, `VmRSS` the present one."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


def peaks(pipeline: Pipeline) -> dict[str, int]:
    """The largest resident size of each process so far, in MiB."""
    return {name: round(memory_mib(pid, "VmHWM")) for name, pid in pipeline.pids.items()}


@asynccontextmanager
async def within_limits(redis: RedisServer, dsn: str, logs: Path) -> AsyncIterator[Pipeline]:
    """Runs the processes. At the end, none has exceeded its limit or been started again, and all have released their
    memory."""
    async with Pipeline(redis.url, dsn, logs, forked=False) as pipeline:
        await pipeline.api("PUT", "/api/flows/large", FLOW)
        await pipeline.api("PUT", "/api/flows/waiting", WAITING_FLOW)
        for name in ("large", "waiting"):
            webhook = {"flowId": name, "auth": {"type": "none"}, "rateLimit": {"max": 100_000, "windowMs": 60_000}}
            await pipeline.api("PUT", f"/api/webhooks/{name}", webhook)
        yield pipeline
        largest = peaks(pipeline)
        sys.stderr.write(f"largest resident sizes in MiB: {largest}\n")
        assert {name: size for name, size in largest.items() if size > LIMITS_MIB[name]} == {}

        def released() -> bool:
            return all(memory_mib(pid, "VmRSS") < RELEASED_MIB for pid in pipeline.pids.values())

        await eventually(released, message="a process keeps its memory after the peak")


async def until_all_processed(dsn: str, count: int, *, timeout_s: float) -> None:
    """Waits until `count` events are processed and their executions have succeeded. Any other end fails."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(dsn)
    try:

        async def done() -> bool:
            rows = await connection.fetch(
                "select status, count(*) from events group by 1 union all "
                "select 'execution ' || status, count(*) from executions group by 1"
            )
            found = {row[0]: row[1] for row in rows}
            assert not any(found.get(bad) for bad in ("failed", "execution failed", "execution timed-out")), found
            await asyncio.sleep(0.3)  # the database is asked three times a second, not without pause
            return found == {"processed": count, "execution succeeded": count}

        await eventually(done, timeout=timeout_s)
    finally:
        await connection.close()


async def store_events(dsn: str, webhook: str, count: int, bodies: Sequence[bytes] = BODIES) -> None:
    """Stores events of 1 MiB that were accepted some time ago and have no job."""
    database = Database(dsn, application_name="test", max_size=1)
    database.start()
    await database.wait_ready(PATIENCE_S)
    try:
        for number in range(count):
            event = NewEvent(
                id=new_id(), webhook_id=webhook, flow_id=webhook, node_id="start", method="POST", headers="{}",
                query_params="{}", body=bodies[number % len(bodies)], content_type="application/json",
                remote_address="192.0.2.1", duplicate_key=None, group_key=None,
                config='{"provider":"none","config":{}}', received_at=datetime.now(UTC) - timedelta(minutes=1),
            )  # fmt: skip
            await EventRepository(database).insert_many([event])
    finally:
        await database.close()


async def test_unfinished_events_after_a_loss_of_redis(
    own_redis: RedisServer, postgres_dsn: str, tmp_path: Path
) -> None:
    """The queue is paused with many unfinished events of 1 MiB, Redis is emptied, and the queue is resumed."""
    count = by_form(75, 500)
    async with within_limits(own_redis, postgres_dsn, tmp_path) as pipeline:
        await pipeline.api("POST", "/api/queue/webhook/pause")
        await store_events(postgres_dsn, "large", count)
        own_redis.execute("FLUSHALL")
        await pipeline.api("POST", "/api/queue/webhook/resume")
        await until_all_processed(postgres_dsn, count, timeout_s=by_form(180, 900))


async def test_executions_with_large_states(own_redis: RedisServer, postgres_dsn: str, tmp_path: Path) -> None:
    """Executions with nearly 1 MiB of state wait and go on, all at the same time."""
    count = by_form(40, 1000)
    async with within_limits(own_redis, postgres_dsn, tmp_path):
        await store_events(postgres_dsn, "waiting", count, [STATE])
        own_redis.execute("FLUSHALL")
        await until_all_processed(postgres_dsn, count, timeout_s=by_form(180, 1500))


async def post(pipeline: Pipeline, path: str, body: bytes) -> int:
    """Posts until the answer is not 503, as a sender does. Returns the status."""
    deadline = time.monotonic() + 150
    while True:
        status, _ = await pipeline.webhook(path, body)
        if status != 503 or time.monotonic() > deadline:
            return status
        await asyncio.sleep(1)  # a sender waits before it tries again


async def test_large_posts_at_once(own_redis: RedisServer, postgres_dsn: str, tmp_path: Path) -> None:
    """A hundred posts of 1 MiB arrive at the same time. Each is accepted, at the latest when it is repeated."""
    count = by_form(50, 300)
    async with within_limits(own_redis, postgres_dsn, tmp_path) as pipeline:
        statuses = await asyncio.gather(
            *(post(pipeline, "large", (PLAIN, OBJECTS)[number % 2]) for number in range(count))
        )
        assert set(statuses) == {200}
        await until_all_processed(postgres_dsn, count, timeout_s=by_form(180, 600))


async def test_half_sent_bodies_beside_honest_senders(
    own_redis: RedisServer, postgres_dsn: str, tmp_path: Path
) -> None:
    """Two thousand clients send half of a body and stop. Others are answered meanwhile."""
    clients = by_form(600, 2000)
    head = (
        b"POST /webhooks/large HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1048576\r\n\r\n"
    )
    half = b'{"text":"' + b"x" * (MIB // 2)
    async with within_limits(own_redis, postgres_dsn, tmp_path) as pipeline:
        writers: list[asyncio.StreamWriter] = []

        async def half_send() -> None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", pipeline.port)
                writers.append(writer)
                writer.write(head + half)
                await asyncio.wait_for(writer.drain(), PATIENCE_S)
            except (OSError, TimeoutError):
                return  # shed

        async def honest() -> list[int]:
            return [(await pipeline.webhook("large", b'{"text":"small"}'))[0] for _ in range(50)]

        sending = [asyncio.create_task(half_send()) for _ in range(clients)]
        answers = await asyncio.gather(*(honest() for _ in range(4)))
        await asyncio.gather(*sending)
        answers += await asyncio.gather(*(honest() for _ in range(4)))
        for writer in writers:
            writer.close()
        assert {status for many in answers for status in many} == {200}
        await until_all_processed(postgres_dsn, 400, timeout_s=180)


async def test_lists_of_large_rows(own_redis: RedisServer, postgres_dsn: str, tmp_path: Path) -> None:
    """Many callers of the API read events, jobs and statistics with large bodies to the end of the list."""
    count = by_form(50, 300)
    async with within_limits(own_redis, postgres_dsn, tmp_path) as pipeline:
        await pipeline.api("POST", "/api/queue/webhook/pause")
        await store_events(postgres_dsn, "large", count)
        own_redis.execute("FLUSHALL")
        waiting: Callable[[], Awaitable[bool]] = lambda: has_waiting(pipeline, count)  # noqa: E731
        await eventually(waiting, timeout=60)
        reads = [walk(pipeline, route) for route in ("/api/events", "/api/queue/webhook/jobs") for _ in range(5)]
        assert await asyncio.gather(*reads) == [count] * len(reads)
        await asyncio.gather(*(pipeline.api("GET", "/api/queue/stats") for _ in range(20)))


async def has_waiting(pipeline: Pipeline, count: int) -> bool:
    """Whether the relay has enqueued `count` jobs."""
    stats = await pipeline.api("GET", "/api/queue/stats")
    return bool(stats["queues"]["webhook"]["waiting"] == count)


async def walk(pipeline: Pipeline, route: str) -> int:
    """Reads a list page by page, and waits when the API is busy. Returns the number of items."""
    found, cursor = 0, ""
    url = f"http://127.0.0.1:{pipeline.admin_ports['ingest-admin']}{route}"
    headers = {"Authorization": f"Bearer {pipeline.environment['FILAS_ADMIN_TOKEN']}"}
    while True:
        query = {"limit": "500"} | ({"cursor": cursor} if cursor else {})
        async with pipeline.session.get(url, params=query, headers=headers) as answer:
            if answer.status == 503:
                await asyncio.sleep(0.5)  # a client waits before it asks a busy API again
                continue
            assert answer.status == 200, await answer.text()
            document = await answer.json()
        found += len(document["data"])
        cursor = document["nextCursor"]
        if not cursor:
            return found
