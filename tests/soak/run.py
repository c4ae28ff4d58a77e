"""One run: starts everything on an empty database, sends, and records a sample each minute."""

import asyncio
import signal
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg

from filas.repository import migrate
from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.dashboard.viewer import signed_in, watching
from tests.chaos import flows as chaos_flows
from tests.chaos.outside import Receiver
from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline
from tests.process_table import WORKERS
from tests.soak import life_cycle
from tests.soak.flows import all_channels, all_flows, all_webhooks
from tests.soak.results import Results
from tests.soak.sampler import MINUTE_S, Measured, sample_each_minute
from tests.soak.senders import Senders, read_api
from tests.soak.totals import check_totals, drained
from tests.waiting import eventually

DATABASE: Final = "soak"
DASHBOARDS: Final = 3
RETAINING: Final = ("ingest-worker", "ingest-worker-2")
"""The processes that delete old rows."""

RECEIVERS: Final = ("messages", "crm")


class Run:
    """A run of `minutes`. `results` is filled and written to `path` each minute."""

    def __init__(self, results: Results, *, minutes: float, logs: Path, path: Path) -> None:
        self._results = results
        self._path = path
        self._minutes = minutes
        self._logs = logs

    async def run(self) -> None:
        """Runs to the end, or until SIGTERM. Everything that it has started is stopped then."""
        this = asyncio.current_task()
        assert this is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
        with tempfile.TemporaryDirectory(prefix="filas-soak-") as name:
            home = Path(name)
            with PostgresServer(home / "postgres") as postgres, RedisServer(home / "redis") as redis:
                postgres.ensure_database(DATABASE)
                await migrate.migrate(postgres.dsn(DATABASE))
                async with AsyncExitStack() as stack:
                    await self._with_servers(postgres, redis, stack)
        self._results.ended = True

    async def _with_servers(self, postgres: PostgresServer, redis: RedisServer, stack: AsyncExitStack) -> None:
        results = self._results
        receivers = {name: await stack.enter_async_context(Receiver()) for name in RECEIVERS}
        pipeline = Pipeline(redis.url, postgres.dsn(DATABASE), self._logs, twice=WORKERS, forked=False)
        for name in RETAINING:
            pipeline.wrappers[name] = ("tests.soak.short_retention", str(results.retention_minutes))
        pipeline.environment["LOG_LEVEL"] = "warning"
        await stack.enter_async_context(pipeline)
        await set_up(pipeline, receivers)
        pool = await stack.enter_async_context(asyncpg.create_pool(postgres.dsn(DATABASE), min_size=1, max_size=2))
        admin = f"http://127.0.0.1:{pipeline.admin_ports['ingest-admin']}"
        keep_s = (results.retention_minutes + life_cycle.SLACK_MINUTES + 2) * MINUTE_S
        senders = Senders(f"http://127.0.0.1:{pipeline.port}", rate=results.rate, keep_s=keep_s)
        session = await stack.enter_async_context(signed_in(admin, ADMIN_TOKEN))
        await stack.enter_async_context(watching([session], admin, "/dashboard/", DASHBOARDS))
        began: datetime = await pool.fetchval("select clock_timestamp()")
        reading = asyncio.create_task(read_api(admin, senders))
        sending = asyncio.create_task(senders.run(self._minutes * MINUTE_S))
        measured = Measured(pipeline, redis, postgres, pool, senders, receivers, began)
        try:
            await sample_each_minute(measured, results, self._path, sending)
            await sending
            await pipeline.api("DELETE", "/api/schedules/tick")
            await drained(pool)
            await check_totals(pipeline, pool, results, senders, began)
        finally:
            reading.cancel()
            sending.cancel()


async def set_up(pipeline: Pipeline, receivers: Mapping[str, Receiver]) -> None:
    """Stores the definitions, and waits until the public listener knows them."""
    messages, crm = (f"http://127.0.0.1:{receivers[name].port}" for name in RECEIVERS)
    for name, channel in all_channels(messages).items():
        await pipeline.api("PUT", f"/api/channels/{name}", channel)
    for name, flow in all_flows(crm).items():
        await pipeline.api("PUT", f"/api/flows/{name}", flow)
    for name, webhook in all_webhooks().items():
        await pipeline.api("PUT", f"/api/webhooks/{name}", webhook)
    await pipeline.api("PUT", "/api/schedules/tick", chaos_flows.SCHEDULE)

    async def known() -> bool:
        # GET is not a method of these webhooks: 405 from one that is known, 404 from one that is not.
        for name in all_webhooks():
            async with pipeline.session.get(f"http://127.0.0.1:{pipeline.port}/webhooks/{name}") as answer:
                if answer.status == 404:
                    return False
        return True

    await eventually(known)
