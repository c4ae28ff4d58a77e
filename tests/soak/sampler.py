"""A sample each minute, with the checks that are made at the same time."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg

from filas_local.servers import PostgresServer, RedisServer
from tests.chaos.flows import ORDER
from tests.chaos.outside import Receiver
from tests.e2e.pipeline import Pipeline
from tests.soak import life_cycle, samples
from tests.soak.results import Results, save
from tests.soak.senders import Senders

MINUTE_S: Final = 60.0

SHOWN: Final = {
    "accepted/s": "rate/accepted",
    "refused/s": "rate/refused",
    "accept p99 ms": "latency/accept p99",
    "flow p99 ms": "latency/flow p99",
    "API p99 ms": "latency/API p99",
    "database MiB": "postgres/database",
    "Redis MiB": "redis/memory",
    "load": "machine/load",
}
"""What is printed of a minute, by the words before it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What runs. `began` is when the load started, by the clock of Postgres."""

    pipeline: Pipeline
    redis: RedisServer
    postgres: PostgresServer
    pool: "asyncpg.Pool[asyncpg.Record]"
    senders: Senders
    receivers: Mapping[str, Receiver]
    began: datetime


async def sample_each_minute(measured: Measured, results: Results, path: Path, sending: "asyncio.Task[None]") -> None:
    """Adds a sample to `results` at the end of each minute, and writes them, until `sending` is done."""
    began = previous = time.monotonic()
    used = await asyncio.to_thread(
        samples.cpu_seconds, measured.pipeline.pids, measured.redis.pid or 0, measured.postgres.pid or 0
    )
    while not sending.done():
        due = began + (results.minutes + 1) * MINUTE_S
        await asyncio.wait([sending], timeout=max(0.0, due - time.monotonic()))
        now = time.monotonic()
        if now < due - 1:
            return  # the last minute is not complete
        try:
            values = await _sample(measured, results, now - previous)
            total = {name: value for name, value in values.items() if name.startswith("cpu/")}
            values |= {name: (value - used[name]) * MINUTE_S / (now - previous) for name, value in total.items()}
            used = total
        except Exception as error:  # one failed sample must not end a run of two hours
            results.notes.append(f"minute {results.minutes + 1}: {type(error).__name__}: {error}"[:500])
            values = {}
        previous = now
        results.add(values)
        save(results, path)
        print(line(results.minutes, values), flush=True)


async def _sample(measured: Measured, results: Results, seconds: float) -> samples.Values:
    pipeline, pool, senders = measured.pipeline, measured.pool, measured.senders
    minute = senders.take_minute()
    values = {"rate/accepted": len(minute.accept_ms) / seconds, "rate/refused": minute.refused.total() / seconds}
    values |= samples.percentiles("accept", minute.accept_ms)
    values |= samples.percentiles("API", minute.read_ms)
    for receiver in measured.receivers.values():
        values["rate/arrived outside"] = values.get("rate/arrived outside", 0) + len(receiver.arrivals) / seconds
        receiver.arrivals.clear()
    values |= await asyncio.to_thread(samples.all_of_a_moment, pipeline.pids, measured.redis, measured.postgres)
    values |= await samples.of_postgres(pool, ORDER)
    values |= await life_cycle.old_rows(pool, results)
    await life_cycle.figures(pipeline, pool, results, measured.began)
    await life_cycle.search(pipeline, results, senders.recent)
    life_cycle.processes(pipeline, results)
    return values


def line(minute: int, values: samples.Values) -> str:
    """What is printed of a minute."""
    words = [f"{words} {values[name]:.4g}" for words, name in SHOWN.items() if name in values]
    memory = [f"{name.partition('/')[2]} {value:.0f}" for name, value in values.items() if name.startswith("memory/")]
    return f"minute {minute}: {', '.join(words)}; MiB: {', '.join(memory)}"
