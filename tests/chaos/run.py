"""One run: starts everything, sends, breaks, waits until the work has ended, and collects the evidence."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg

from filas.repository import migrate, roles
from tests.chaos import alerts, flows
from tests.chaos.builds import Builds
from tests.chaos.edits import Edits
from tests.chaos.evidence import (
    AUDIT,
    EXECUTIONS,
    NOTIFICATIONS,
    RUNS,
    STEPS,
    TIMES,
    VERSIONS,
    Evidence,
    Execution,
    Notification,
    Version,
)
from tests.chaos.fault_times import FaultTimes
from tests.chaos.faults import FAULTS
from tests.chaos.installation import Installation, Way
from tests.chaos.links import Link
from tests.chaos.observer import Observer
from tests.chaos.operators import NAME, Operators
from tests.chaos.outside import Receiver
from tests.chaos.postgres_faults import backed_up
from tests.chaos.schedule import PROCESS_NAMES, RECEIVERS, Fault
from tests.chaos.senders import Senders
from tests.chaos.stores import Stores, running_stores
from tests.e2e.pipeline import Pipeline
from tests.hostile.write_audit import WriteAudit
from tests.process_table import WORKERS
from tests.waiting import eventually

DATABASE: Final = "chaos"
DRAIN_S: Final = 240.0
"""How long the work may take after the faults. Retries and the relay's slow sweep need a part of it."""

UNFINISHED: Final = """
select (select count(*) from events where status not in ('processed', 'ignored', 'failed'))
    + (select count(*) from executions where ended_at is null and not (flow_id = 'ask' and status = 'waiting-input'))
    + (select count(*) from notifications where ended_at is null)"""


class Run:
    """A run with the given faults. `rate` is in webhooks per second."""

    def __init__(
        self, seed: int, faults: Sequence[Fault], *, seconds: float, rate: float, logs: Path, sentinels: bool
    ) -> None:
        self.seed = seed
        self.faults = faults
        self.sentinels = sentinels
        self.seconds = seconds
        self.rate = rate
        self._logs = logs

    async def evidence(self) -> Evidence:
        """Runs, and returns what can be checked."""
        with running_stores(self._logs, sentinels=self.sentinels) as stores:
            stores.postgres.ensure_database(DATABASE)
            await roles.create_roles(stores.postgres.dsn(DATABASE), {})
            await migrate.migrate(stores.postgres.dsn(DATABASE))
            async with AsyncExitStack() as stack:
                return await self._with_stores(stores, stack)

    async def _with_stores(self, stores: Stores, stack: AsyncExitStack) -> Evidence:
        postgres = stores.postgres
        receivers = {name: await stack.enter_async_context(Receiver()) for name in RECEIVERS}
        outside = {
            name: await stack.enter_async_context(Link(("127.0.0.1", one.port))) for name, one in receivers.items()
        }
        links: dict[str, Way] = {f"outside/{name}": one for name, one in outside.items()}
        audit = WriteAudit(postgres, PROCESS_NAMES, DATABASE)
        pipeline = Pipeline(stores.redis.current.url, postgres.dsn(DATABASE), self._logs, twice=WORKERS, forked=False)
        pipeline.environment["ALERT_EVERY_S"] = str(alerts.EVERY_S)
        builds = Builds(self._logs)
        for process in PROCESS_NAMES:
            pipeline.wrappers[process] = builds.wrapper(process, builds.newest)
            to_postgres = await stack.enter_async_context(Link(postgres.socket_dir / ".s.PGSQL.5432"))
            to_redis = await stack.enter_async_context(stores.redis.links())
            links |= {f"{process}/postgres": to_postgres, f"{process}/redis": to_redis}
            store = f"{audit.user(process)}@127.0.0.1:{to_postgres.port}"
            pipeline.own_environment[process] = {
                **to_redis.environment,
                "DATABASE_URL": f"postgresql://{store}/{DATABASE}",
            }
        await stack.enter_async_context(pipeline)
        messages, crm = (f"http://127.0.0.1:{outside[name].port}" for name in RECEIVERS)
        await self._set_up(pipeline, messages, crm)
        observer = await stack.enter_async_context(Observer(pipeline, postgres.dsn(DATABASE), stores.redis, self.seed))
        operators = Operators(pipeline, self.seed, Edits(self.seed, messages=messages, crm=crm))
        await operators.start()
        senders = Senders(f"http://127.0.0.1:{pipeline.port}", self.seed, rate=self.rate)
        installation = Installation(pipeline, stores, DATABASE, links, receivers, builds)
        possible = [one for one in self.faults if one.kind not in stores.impossible]
        for kind in sorted({one.kind for one in self.faults} & set(stores.impossible)):
            print(f"  left out: {kind}: {stores.impossible[kind]}", flush=True)
        async with AsyncExitStack() as during:
            if any(one.kind == "postgres-failover" for one in possible):
                await during.enter_async_context(backed_up(postgres))
            began, began_at = time.monotonic(), datetime.now(UTC)
            for receiver in receivers.values():
                receiver.began = began
            times = FaultTimes(began, sentinels=self.sentinels)
            await during.enter_async_context(observer.during(began, began_at))
            group = await during.enter_async_context(asyncio.TaskGroup())
            group.create_task(senders.run(self.seconds))
            group.create_task(operators.run(self.seconds))
            for fault in possible:
                group.create_task(_break(installation, fault, times))
        async with await asyncpg.create_pool(postgres.dsn(DATABASE), min_size=1, max_size=2) as pool:
            await self._drain(pool, pipeline)
            return Evidence(
                faults=times.made,
                sent=senders.sent,
                events={row["id"]: row["status"] for row in await pool.fetch("select id::text, status from events")},
                executions=[Execution(**row) for row in await pool.fetch(EXECUTIONS)],
                notifications=[Notification(**row) for row in await pool.fetch(NOTIFICATIONS)],
                messages=receivers["messages"].arrivals,
                calls=receivers["crm"].arrivals,
                unfinished_jobs=await _unfinished_jobs(pipeline),
                writes_without_claim=await asyncio.to_thread(audit.faults),
                ended=pipeline.ended,
                began=began_at,
                observed=await observer.observed(pool, times.made),
                actions=operators.actions,
                stored=await operators.stored(),
                audit=[tuple(row) for row in await pool.fetch(AUDIT, NAME)],
                runs={row["id"]: row["run"] for row in await pool.fetch(RUNS)},
                paths={row["execution_id"]: row["path"] for row in await pool.fetch(STEPS)},
                versions=[Version(**row) for row in await pool.fetch(VERSIONS)],
                times={row["id"]: (row["received_at"], row["processed_at"]) for row in await pool.fetch(TIMES)},
            )

    async def _set_up(self, pipeline: Pipeline, messages: str, crm: str) -> None:
        """Stores the definitions, and waits until the public listener knows them. `messages` and `crm` are the
        addresses outside."""
        for name, channel in flows.channels(messages).items():
            await pipeline.api("PUT", f"/api/channels/{name}", channel)
        # A flow comes after the flows that it uses.
        for name, flow in sorted(flows.flows(crm).items(), key=lambda item: item[0] == flows.PARENT):
            await pipeline.api("PUT", f"/api/flows/{name}", flow)
        for name, webhook in flows.webhooks().items():
            await pipeline.api("PUT", f"/api/webhooks/{name}", webhook)
        await pipeline.api("PUT", "/api/schedules/tick", flows.SCHEDULE)
        names = list(flows.webhooks())

        async def known() -> bool:
            # GET is not a method of these webhooks: 405 from one that is known, 404 from one that is not.
            for name in names:
                async with pipeline.session.get(f"http://127.0.0.1:{pipeline.port}/webhooks/{name}") as answer:
                    if answer.status == 404:
                        return False
            return True

        await eventually(known)

    async def _drain(self, pool: "asyncpg.Pool[asyncpg.Record]", pipeline: Pipeline) -> None:
        """Ends the schedule, and waits until nothing is unfinished: at most DRAIN_S. The checker reports the
        rest."""
        pipeline.start_ended()  # so that a process that has ended hides nothing else that the checker finds
        for name in PROCESS_NAMES:
            await pipeline.until_ready(name)
        await pipeline.api("DELETE", "/api/schedules/tick")
        deadline = time.monotonic() + DRAIN_S
        while time.monotonic() < deadline:
            if await pool.fetchval(UNFINISHED) == 0 and await _unfinished_jobs(pipeline) == 0:
                return
            await asyncio.sleep(0.5)


async def _break(installation: Installation, fault: Fault, times: FaultTimes) -> None:
    await asyncio.sleep(fault.at_s)
    async with times.recorded(fault):
        print(f"  {fault}", flush=True)
        async with FAULTS[fault.kind](installation, fault):
            await asyncio.sleep(fault.lasts_s)


async def _unfinished_jobs(pipeline: Pipeline) -> int:
    stats = await pipeline.api("GET", "/api/queue/stats")
    summary = stats["summary"]
    return int(summary["totalWaiting"] + summary["totalActive"] + summary["totalDelayed"])
