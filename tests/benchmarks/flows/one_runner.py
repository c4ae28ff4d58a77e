"""One flow-runner runs executions that are already queued."""

import asyncio
import time

from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.flows.definitions import with_message
from tests.benchmarks.flows.measurements import MIB, commits, cpu_of_tree, redis_bytes, usage_of
from tests.flow_runner.processes import Stores, receiving, running, stores
from tests.waiting import eventually

CHUNK = 500
STATISTICS_S = 1.5
"""Sessions report their work to Postgres at most once a second."""

ENDED = "select count(*) from executions where ended_at is not null"
SUCCEEDED = "select count(*) from executions where status = 'succeeded'"


async def start_many(store: Stores, count: int) -> None:
    """Starts `count` executions with their jobs, each in a conversation of its own."""
    for number in range(0, count, CHUNK):
        await store.start(min(CHUNK, count - number), prefix=f"contact-{number}")


async def measure(postgres: PostgresServer, redis: RedisServer, database: str, count: int) -> dict[str, float | None]:
    """Queues `count` executions, starts a flow-runner, and returns the figures."""
    dsn = postgres.dsn(database)
    async with receiving() as receiver, stores(dsn, redis.url) as store:
        await store.put_flow(with_message(receiver.url))
        await start_many(store, count)
        async with running(dsn, redis.url, LOG_LEVEL="warning") as process:
            # From the first execution that has ended: the start of an interpreter is not measured.
            await eventually(lambda: store.database.fetchval(ENDED), 60)
            before, began = await commits(store), time.monotonic()
            done = await store.database.fetchval(ENDED)
            cpu, postgres_cpu = usage_of(process.pid).cpu_s, cpu_of_tree(postgres.pid or 0)
            await until(store, count)
            took = time.monotonic() - began
            after = usage_of(process.pid)
            postgres_cpu = cpu_of_tree(postgres.pid or 0) - postgres_cpu
            await asyncio.sleep(STATISTICS_S)
            statements = await commits(store) - before
        failures = count - await store.database.fetchval(SUCCEEDED)
    measured = count - done
    return {
        "rate": measured / took,
        "cpu": (after.cpu_s - cpu) / measured * 1000,
        "cpu postgres": postgres_cpu / measured * 1000,
        "statements": statements / measured,
        "memory": after.peak_mib,
        "redis memory": redis_bytes(redis) / MIB,
        "failures": float(failures),
    }


async def until(store: Stores, count: int, timeout: float = 600.0) -> None:
    """Waits until so many executions have ended. Polls five times a second."""

    async def ended() -> bool:
        await asyncio.sleep(0.2)
        return bool(await store.database.fetchval(ENDED) >= count)

    await eventually(ended, timeout)
