"""What each part pays for a flow, in the steady state of senders that each wait until their flow has finished.

The senders are those of `tests.benchmarks.flows`. Here the database may have rows already, two of a process may run,
and the costs are those of one flow, for the simulation.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.flows.end_to_end import Definition, set_up
from tests.benchmarks.flows.load import FastReceiver, Run, sender, watching
from tests.benchmarks.flows.measurements import TICKS_A_SECOND, cpu_of_tree, percentile, redis_number, usage_of
from tests.e2e.pipeline import Pipeline, receiver

SENDERS: Final = "senders"
"""The name of this process, which is also the outside world: the CRM, and the receiver of the messages."""

STORE: Final = """
select xact_commit + xact_rollback as statements, wal_bytes, wal_fpi as images
from pg_stat_database, pg_stat_wal where datname = current_database()"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """`by_message`: the flow sends a message, whose arrival ends the wait. `twice`: the processes of which two run."""

    senders: int = 200
    warm_up_s: float = 15.0
    seconds: float = 60.0
    by_message: bool = True
    twice: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was used up to a moment: by each process and server, by Postgres, by Redis, and by the whole machine."""

    at: float
    cpu_s: dict[str, float]
    store: dict[str, Any]
    commands: int
    ticks: dict[str, int]


class ClosedLoop:
    """Runs a load over the five processes on two servers. The logs of the processes are in `logs`."""

    def __init__(self, postgres: PostgresServer, redis: RedisServer, database: str, logs: Path) -> None:
        self._postgres, self._redis, self._dsn, self._logs = postgres, redis, postgres.dsn(database), logs

    async def measure(self, definition: Definition, load: Load) -> dict[str, float]:
        """Starts the processes, warms them up, measures, and stops them. Returns the figures by name, each with its
        unit. Costs are those of one flow, or of the whole time if there is no sender."""
        run = Run()
        outside = FastReceiver(run, last="/messages" if load.by_message else "/contacts", waited_for=True)
        pipeline = Pipeline(self._redis.url, self._dsn, self._logs, twice=load.twice, forked=False)
        async with (
            receiver(outside),
            pipeline,
            asyncpg.create_pool(self._dsn, min_size=2, max_size=2, server_settings={"enable_seqscan": "off"}) as pool,
            nullcontext() if load.by_message else watching(run, pool),
        ):
            await set_up(pipeline, outside, definition(outside.url))
            stop_at = time.monotonic() + load.warm_up_s + load.seconds + 1
            # In a database with rows, the contacts of an earlier run would be known.
            first = time.time_ns()
            senders = asyncio.gather(
                *(sender(pipeline, run, first + one, stop_at, load.by_message) for one in range(load.senders))
            )
            await asyncio.sleep(load.warm_up_s)
            run.forget()
            before = await self._read(pipeline, pool)
            await asyncio.sleep(load.seconds)
            after = await self._read(pipeline, pool)
            latencies, failed = list(run.latencies), run.outcomes.total() - run.outcomes["succeeded"]
            await senders
        return _figures(before, after, latencies, failed)

    async def _read(self, pipeline: Pipeline, pool: "asyncpg.Pool[asyncpg.Record]") -> _Reading:
        cpu_s = {name: usage_of(pid).cpu_s for name, pid in pipeline.pids.items()}
        cpu_s |= {
            "postgres": cpu_of_tree(self._postgres.pid or 0),
            "redis": usage_of(self._redis.pid or 0).cpu_s,
            SENDERS: time.process_time(),
        }
        store = dict(await pool.fetchrow(STORE) or {})
        commands = redis_number(self._redis, "total_commands_processed")
        return _Reading(time.monotonic(), cpu_s, store, commands, _ticks())


def _figures(before: _Reading, after: _Reading, latencies: list[float], failed: int) -> dict[str, float]:
    seconds = after.at - before.at
    cpu_ms = {name: (value - before.cpu_s[name]) * 1000 for name, value in after.cpu_s.items()}
    costs = {f"{name}, CPU ms": value for name, value in cpu_ms.items()}
    costs |= {
        "CPU ms": sum(value for name, value in cpu_ms.items() if name != SENDERS),
        "statements": float(after.store["statements"] - before.store["statements"]),
        "WAL bytes": float(after.store["wal_bytes"] - before.store["wal_bytes"]),
        "WAL page images": float(after.store["images"] - before.store["images"]),
        "Redis commands": after.commands - before.commands,
    }
    figures = {"seconds": seconds, "flows/s": (len(latencies) - failed) / seconds, "failed": float(failed)}
    if latencies:
        figures |= {"p50 ms": percentile(latencies, 0.5) * 1000, "p99 ms": percentile(latencies, 0.99) * 1000}
    for name, ticks in after.ticks.items():
        figures[f"cores {name}"] = (ticks - before.ticks[name]) / TICKS_A_SECOND / seconds
    return figures | {name: value / max(1, len(latencies) - failed) for name, value in costs.items()}


def _ticks() -> dict[str, int]:
    """How long all cores together have been busy, waiting for a disk, and taken by other virtual machines."""
    line = Path("/proc/stat").read_text().splitlines()[0]
    user, nice, system, _idle, iowait, irq, softirq, steal = map(int, line.split()[1:9])
    return {"busy": user + nice + system + irq + softirq, "waiting": iowait, "stolen": steal}
