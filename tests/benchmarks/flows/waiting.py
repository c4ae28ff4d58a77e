"""The cost of executions that wait a day, in the flow-runner and in Redis."""

import asyncio

from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.flows.definitions import waiting_a_day
from tests.benchmarks.flows.measurements import redis_bytes, usage_of
from tests.benchmarks.flows.one_runner import start_many
from tests.flow_runner.processes import Process, Stores, running, stores
from tests.waiting import eventually

WARM = 3000
"""The number of executions before the measurement: Redis keeps records of the newest 1,000 finished jobs."""

SETTLE_S = 3.0
WAITING = "select count(*) from executions where status = 'waiting-timer'"
DUE = "explain (analyze, timing off) select id from executions where wake_at <= now() order by wake_at limit 500"


async def measure(postgres: PostgresServer, redis: RedisServer, database: str, count: int) -> dict[str, float | None]:
    """Lets `count` executions begin to wait, and returns the memory that they use, also after a restart."""
    dsn = postgres.dsn(database)
    async with stores(dsn, redis.url) as store:
        await store.put_flow(waiting_a_day())
        async with running(dsn, redis.url, LOG_LEVEL="warning") as process:
            await _all_wait(store, process, WARM)
            redis_before, before = redis_bytes(redis), usage_of(process.pid).rss_mib
            await _all_wait(store, process, count)
            redis_after, after = redis_bytes(redis), usage_of(process.pid)
        async with running(dsn, redis.url, LOG_LEVEL="warning") as process:
            await process.ready()
            await asyncio.sleep(SETTLE_S)
            restarted = usage_of(process.pid).rss_mib
        look = [row[0] for row in await store.database.fetch(DUE)][-1]
    # "Execution Time: 0.123 ms"
    look_ms = float(look.rpartition(":")[2].split()[0])
    return {
        "count": float(count),
        "memory before": before,
        "memory with them": after.rss_mib,
        "memory after a restart": restarted,
        "redis memory": float(redis_after - redis_before),
        "look": look_ms,
    }


async def _all_wait(store: Stores, process: Process, more: int) -> None:
    expected = await store.database.fetchval(WAITING) + more
    await start_many(store, more)

    async def waiting() -> bool:
        await asyncio.sleep(0.2)
        return bool(await store.database.fetchval(WAITING) >= expected)

    await eventually(waiting, 900)
    await process.ready()
    await asyncio.sleep(SETTLE_S)
