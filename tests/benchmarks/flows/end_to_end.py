"""From HTTP to the end of the flow, with all processes on this machine: senders that wait until their flow finishes."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.flows.measurements import INTERVAL_S, cpu_of_tree, percentile, rates, usage_of
from tests.benchmarks.flows.store_costs import StoreCounters, read_counters
from tests.e2e.pipeline import Pipeline, Receiver, receiver
from tests.e2e.test_main_job import CHANNEL_SECRET
from tests.flow_runner.processes import stores
from tests.waiting import eventually

POLL_S = 0.01
GIVE_UP_S = 30.0

FINISHED = "select event_id, status from executions where event_id = any ($1::uuid[]) and ended_at is not null"


@dataclass
class Run:
    """What the senders observed: latencies in seconds, the times at which flows succeeded (monotonic, in seconds), and
    the outcomes of their flows."""

    latencies: list[float] = field(default_factory=list)
    finished_at: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    outstanding: dict[str, "asyncio.Future[str]"] = field(default_factory=dict)


class FastReceiver(Receiver):
    """Responds as a CRM would, notifies a waiting sender that its message has arrived, and keeps nothing."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def note(self, request: web.Request, body: bytes) -> None:
        if request.path == "/messages":
            arrived(self.run, json.loads(body)["to"], "succeeded")


def arrived(run: Run, key: str, outcome: str) -> None:
    """Ends the wait for `key`."""
    future = run.outstanding.pop(key, None)
    if future is not None and not future.done():
        future.set_result(outcome)


async def _sender(pipeline: Pipeline, run: Run, number: int, stop_at: float, by_contact: bool) -> None:
    turn = 0
    while time.monotonic() < stop_at:
        turn += 1
        contact = f"{number}-{turn}"
        began, future = time.monotonic(), asyncio.get_running_loop().create_future()
        if by_contact:
            run.outstanding[contact] = future
        status, answer = await pipeline.webhook("bench", json.dumps({"from": contact, "text": "oi"}).encode())
        if status != 200:
            run.outcomes[f"HTTP {status}"] += 1
            continue
        if not by_contact:
            run.outstanding[answer["eventId"]] = future
        try:
            outcome = await asyncio.wait_for(future, GIVE_UP_S)
            run.outcomes[outcome] += 1
            if outcome == "succeeded":
                run.finished_at.append(time.monotonic())
        except TimeoutError:
            run.outcomes[f"not within {GIVE_UP_S:.0f} s"] += 1
        run.latencies.append(time.monotonic() - began)


@asynccontextmanager
async def _watching(run: Run, dsn: str, redis: str) -> AsyncIterator[None]:
    """Polls Postgres for the outstanding flows that have ended."""
    async with stores(dsn, redis) as store:

        async def watch() -> None:
            while True:
                await asyncio.sleep(POLL_S)
                if run.outstanding:
                    for row in await store.database.fetch(FINISHED, list(run.outstanding)):
                        arrived(run, str(row["event_id"]), row["status"])

        task = asyncio.create_task(watch())
        try:
            yield
        finally:
            task.cancel()


async def measure(
    postgres: PostgresServer,
    redis: RedisServer,
    database: str,
    logs: Path,
    definition: Any,
    *,
    by_message: bool,
    senders: int,
    seconds: float,
) -> None:
    """`senders` closed loops run for `seconds`. A flow is finished when its message has arrived, or if it sends
    none, when its row is final."""
    run = Run()
    dsn = postgres.dsn(database)
    async with receiver(FastReceiver(run)) as outside, Pipeline(redis.url, dsn, logs, forked=False) as pipeline:
        await _set_up(pipeline, outside, definition(outside.url))
        async with _watching(Run() if by_message else run, dsn, redis.url):
            await _sender(pipeline, run, -1, time.monotonic() + 0.1, by_message)
            run.latencies.clear()
            run.outcomes.clear()
            run.finished_at.clear()
            before = read_counters(postgres, redis, database)
            cpu, began = _cpu(pipeline, postgres, redis), time.monotonic()
            stop_at = began + seconds
            await asyncio.gather(*(_sender(pipeline, run, number, stop_at, by_message) for number in range(senders)))
            took = time.monotonic() - began
            spent = {name: after - cpu[name] for name, after in _cpu(pipeline, postgres, redis).items()}
            counters = read_counters(postgres, redis, database).since(before)
        _print(run, began, took, spent, counters, pipeline)


def _print(
    run: Run, began: float, took: float, spent: dict[str, float], counters: StoreCounters, pipeline: Pipeline
) -> None:
    finished = run.outcomes.pop("succeeded", 0)
    p50, p99 = (percentile(run.latencies, share) * 1000 for share in (0.5, 0.99))
    cores = ", ".join(f"{name} {seconds / took:.2f}" for name, seconds in spent.items())
    print(f"| finished flows a second | {finished / took:,.0f} |")
    by_interval = ", ".join(f"{rate:,.0f}" for rate in rates(run.finished_at, began, took))
    print(f"| finished flows a second, every {INTERVAL_S} s | {by_interval} |")
    print(f"| end to end, p50 and p99 | {p50:,.0f} ms, {p99:,.0f} ms |")
    print(f"| failures | {dict(run.outcomes) or 0} |")
    print(f"| cores busy | {cores} |")
    each = ", ".join(f"{name} {1000 * seconds / max(finished, 1):.2f}" for name, seconds in spent.items())
    print(f"| CPU of each flow, ms | {each} |")
    print("\n".join(counters.rows(max(finished, 1))))
    memory = ", ".join(f"{name} {usage_of(pid).rss_mib:.0f}" for name, pid in pipeline.pids.items())
    print(f"| memory, MiB | {memory} |", flush=True)


def _cpu(pipeline: Pipeline, postgres: PostgresServer, redis: RedisServer) -> dict[str, float]:
    own = time.process_time()
    servers = {"postgres": cpu_of_tree(postgres.pid or 0), "redis": usage_of(redis.pid or 0).cpu_s, "senders": own}
    return {name: usage_of(pid).cpu_s for name, pid in pipeline.pids.items()} | servers


async def _set_up(pipeline: Pipeline, outside: Receiver, definition: dict[str, Any]) -> None:
    channel = {"type": "http", "url": f"{outside.url}/messages", "secret": CHANNEL_SECRET}
    await pipeline.api("PUT", "/api/channels/receiver", channel)
    await pipeline.api("PUT", "/api/flows/bench", definition)
    webhook = {
        "flowId": "bench",
        "nodeId": "start",
        "auth": {"type": "none"},
        "conversation": {"channel": "receiver", "contact": "{{ body.from }}", "text": "{{ body.text }}"},
        "rateLimit": {"max": 1_000_000, "windowMs": 60_000},
    }
    await pipeline.api("PUT", "/api/webhooks/bench", webhook)

    async def known() -> bool:
        # The listener reads changes once a second.
        return (await pipeline.webhook("bench", b'{"text":"no conversation"}'))[0] == 200

    await eventually(known)
