"""Senders that each wait until their flow has finished: the rate of the whole way, and what each part pays for a flow.

It is measured in the steady state: the senders run on before and after the measured time.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg
from aiohttp import web

from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.flows.measurements import TICKS_A_SECOND, cpu_of_tree, percentile, usage_of
from tests.e2e.pipeline import Pipeline, Receiver, receiver
from tests.e2e.test_main_job import CHANNEL_SECRET
from tests.waiting import eventually

POLL_S: Final = 0.01
GIVE_UP_S: Final = 30.0
SENDERS: Final = "senders"
"""The name of this process, which also plays the outside world: the CRM, and the receiver of the messages."""

ENDED: Final = "select event_id, status from executions where event_id = any ($1::uuid[]) and ended_at is not null"
STORE: Final = """
select xact_commit + xact_rollback as statements, wal_bytes, wal_fpi
from pg_stat_database, pg_stat_wal where datname = current_database()"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """`by_message`: the flow sends a message, whose arrival ends the wait. `twice`: the processes of which two run."""

    senders: int = 200
    warm_up_s: float = 15.0
    seconds: float = 60.0
    by_message: bool = True
    twice: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """`cpu_s`: the CPU seconds of each process and server. `cores`: how many cores of the machine were busy, waited for
    the disk, or were taken by other machines. The other figures are those of Postgres and Redis."""

    seconds: float
    flows: int
    failed: int
    p50_s: float
    p99_s: float
    cpu_s: dict[str, float]
    statements: int
    wal_bytes: int
    wal_images: int
    redis_commands: int
    cores: dict[str, float]

    @property
    def rate(self) -> float:
        """Finished flows a second."""
        return self.flows / self.seconds

    def figures(self) -> dict[str, float]:
        """The figures by name, each with its unit. Costs are those of one flow, or of all the time without flows."""
        of_a_flow = {f"{name}, CPU ms": seconds * 1000 for name, seconds in self.cpu_s.items()}
        of_a_flow |= {
            "CPU ms": sum(seconds for name, seconds in self.cpu_s.items() if name != SENDERS) * 1000,
            "statements": self.statements,
            "WAL bytes": self.wal_bytes,
            "WAL page images": self.wal_images,
            "Redis commands": self.redis_commands,
        }
        return (
            {
                "flows/s": self.rate,
                "p50 ms": self.p50_s * 1000,
                "p99 ms": self.p99_s * 1000,
                "failed": self.failed,
            }
            | {f"cores {name}": value for name, value in self.cores.items()}
            | {name: value / max(1, self.flows) for name, value in of_a_flow.items()}
        )


@dataclass
class _Outcomes:
    """What the senders saw, as (time of the end, latency in seconds), and who waits for what."""

    finished: list[tuple[float, float]] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)
    waiting: dict[str, "asyncio.Future[str]"] = field(default_factory=dict)

    def arrived(self, key: str, status: str) -> None:
        """Ends the wait for `key`."""
        future = self.waiting.pop(key, None)
        if future is not None and not future.done():
            future.set_result(status)


class _Outside(Receiver):
    """Answers as a CRM would, and ends the wait for a message that has arrived."""

    def __init__(self, outcomes: _Outcomes) -> None:
        super().__init__()
        self._outcomes = outcomes

    def note(self, request: web.Request, body: bytes) -> None:
        if request.path == "/messages":
            self._outcomes.arrived(json.loads(body)["to"], "succeeded")


@dataclass(frozen=True, slots=True)
class _Reading:
    at: float
    cpu_s: dict[str, float]
    store: dict[str, Any]
    redis_commands: int
    ticks: dict[str, int]


class ClosedLoop:
    """Runs a load over the five processes on two servers. The logs of the processes are in `logs`."""

    def __init__(
        self, postgres: PostgresServer, redis: RedisServer, database: str, logs: Path, *, prefix: str = ""
    ) -> None:
        self._postgres, self._redis, self._database, self._logs = postgres, redis, database, logs
        self._prefix = prefix

    async def measure(self, definition: Any, load: Load) -> Measured:
        """Starts the processes, warms them up, measures, and stops them. `definition` makes the flow from the address
        of the CRM."""
        outcomes = _Outcomes()
        dsn = self._postgres.dsn(self._database)
        pipeline = Pipeline(self._redis.url, dsn, self._logs, twice=load.twice, forked=False)
        pipeline.environment["LOG_LEVEL"] = "warning"
        async with receiver(_Outside(outcomes)) as outside, pipeline, _session(dsn) as session:
            await set_up(pipeline, outside, definition(outside.url))
            async with _watching(outcomes, None if load.by_message else dsn):
                stop = asyncio.Event()
                senders = asyncio.gather(
                    *(self._send(pipeline, outcomes, number, stop, load.by_message) for number in range(load.senders))
                )
                await asyncio.sleep(load.warm_up_s)
                before = await self._read(pipeline, session)
                await asyncio.sleep(load.seconds)
                after = await self._read(pipeline, session)
                stop.set()
                await senders
        return _measured(outcomes, before, after)

    async def _send(self, pipeline: Pipeline, outcomes: _Outcomes, number: int, stop: asyncio.Event, by: bool) -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            contact = f"{self._prefix}{number}-{turn}"
            began, future = time.monotonic(), asyncio.get_running_loop().create_future()
            if by:
                outcomes.waiting[contact] = future
            status, answer = await pipeline.webhook("bench", json.dumps({"from": contact, "text": "oi"}).encode())
            if status != 200:
                outcomes.failed.append(time.monotonic())
                continue
            if not by:
                outcomes.waiting[answer["eventId"]] = future
            try:
                succeeded = await asyncio.wait_for(future, GIVE_UP_S) == "succeeded"
            except TimeoutError:
                succeeded = False
            ended = time.monotonic()
            if succeeded:
                outcomes.finished.append((ended, ended - began))
            else:
                outcomes.failed.append(ended)

    async def _read(self, pipeline: Pipeline, session: "asyncpg.Connection[Any]") -> _Reading:
        cpu_s = {name: usage_of(pid).cpu_s for name, pid in pipeline.pids.items()}
        cpu_s |= {
            "postgres": cpu_of_tree(self._postgres.pid or 0),
            "redis": usage_of(self._redis.pid or 0).cpu_s,
            SENDERS: time.process_time(),
        }
        stats = self._redis.execute("INFO stats")
        commands = int(stats.partition("total_commands_processed:")[2].split()[0])
        store = dict(await session.fetchrow(STORE) or {})
        return _Reading(time.monotonic(), cpu_s, store, commands, machine_ticks())


def machine_ticks() -> dict[str, int]:
    """How long all cores together have been busy, waiting for a disk, and taken by other virtual machines."""
    user, nice, system, _idle, iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return {"busy": user + nice + system + irq + softirq, "waiting": iowait, "stolen": steal}


def _measured(outcomes: _Outcomes, before: _Reading, after: _Reading) -> Measured:
    latencies = [latency for ended, latency in outcomes.finished if before.at <= ended < after.at]
    return Measured(
        seconds=after.at - before.at,
        flows=len(latencies),
        failed=len(outcomes.failed),
        p50_s=percentile(latencies, 0.5) if latencies else 0.0,
        p99_s=percentile(latencies, 0.99) if latencies else 0.0,
        cpu_s={name: seconds - before.cpu_s[name] for name, seconds in after.cpu_s.items()},
        statements=int(after.store["statements"] - before.store["statements"]),
        wal_bytes=int(after.store["wal_bytes"] - before.store["wal_bytes"]),
        wal_images=int(after.store["wal_fpi"] - before.store["wal_fpi"]),
        redis_commands=after.redis_commands - before.redis_commands,
        cores={
            name: (ticks - before.ticks[name]) / TICKS_A_SECOND / (after.at - before.at)
            for name, ticks in after.ticks.items()
        },
    )


@asynccontextmanager
async def _session(dsn: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _watching(outcomes: _Outcomes, dsn: str | None) -> AsyncIterator[None]:
    """Looks in Postgres for the flows that have ended, unless `dsn` is None."""
    if dsn is None:
        yield
        return
    async with _session(dsn) as connection:
        await connection.execute("set enable_seqscan = off")

        async def watch() -> None:
            while True:
                await asyncio.sleep(POLL_S)
                if outcomes.waiting:
                    for row in await connection.fetch(ENDED, list(outcomes.waiting)):
                        outcomes.arrived(str(row["event_id"]), row["status"])

        task = asyncio.create_task(watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def set_up(pipeline: Pipeline, outside: Receiver, definition: dict[str, Any]) -> None:
    """The channel, the flow and the webhook `bench`. Returns when the public listener knows the webhook."""
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
