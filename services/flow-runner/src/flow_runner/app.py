"""The composition root of flow-runner: what is made of what, started and stopped in order."""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack

from filas.contract.identity import new_id
from filas.contract.jobs import TEST_FLOW, FlowJob, FlowTestJob
from filas.contract.policies import FLOWS
from filas.crypto.resume_tokens import ResumeTokens
from filas.crypto.secret_box import SecretBox
from filas.observability import logs
from filas.outbound.client import OutboundClient
from filas.queue.job_functions import JobFunction
from filas.queue.producer import Producer
from filas.queue.redis_client.connection import Redis, connect
from filas.queue.relay import Relay
from filas.queue.worker.worker import Worker
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.definitions.flow_secrets import SecretRepository
from filas.repository.definitions.flows import FlowRepository
from filas.repository.definitions.schedules import ScheduleRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.pauses import PauseRepository
from filas.repository.postgres.database import Database
from filas.service.garbage_collection import collect_rarely
from filas.service.private_listener import Health, build_private_app, serve_app
from filas.settings.process_settings import FlowRunnerSettings
from flow_runner.engine.engine import Engine
from flow_runner.jobs.due_timers import Timers
from flow_runner.jobs.flow_job import RunFlow
from flow_runner.jobs.flow_test_job import KEEP_RESULT_S, RunFlowTest
from flow_runner.jobs.job_outbox import ExecutionRelay, Outbox
from flow_runner.jobs.schedule_starter import Schedules
from flow_runner.stores.compiled_flow_cache import Plans
from flow_runner.stores.execution_store import Executions
from flow_runner.stores.flow_secrets import FlowSecrets
from flow_runner.stores.resume_addresses import PublicAddresses
from flow_runner.stores.wall_clock import WallClock

log = logs.get_logger(__name__)

DRAIN_S = 20.0
"""How long a stopping process lets its turns come to their next node."""


class FlowRunner:
    """One worker process. `run` works until `stop` is set and what runs then has been written."""

    def __init__(
        self,
        settings: FlowRunnerSettings,
        environ: Mapping[str, str],
        redis: Redis,
        database: Database,
        outbound: OutboundClient,
    ) -> None:
        self.health = Health()
        self.health.add("redis", lambda: redis.problem)
        self.health.add("postgres", lambda: database.problem)
        rows = ExecutionRepository(database)
        producer = Producer(redis)
        clock = WallClock()
        key = settings.secrets.filas_secret_key.reveal()
        box = SecretBox(key)
        secrets = FlowSecrets(SecretRepository(database), lambda sealed: box.reveal(sealed, environ), clock.monotonic)
        self.executions = Executions(rows, f"{socket.gethostname()}:{new_id()}", Outbox(producer))
        addresses = PublicAddresses(settings.public_url, ResumeTokens(key))
        plans = Plans(FlowRepository(database))
        engine = Engine(self.executions, outbound, secrets, clock, plans, addresses)
        run_flow = RunFlow(self.executions, plans, engine, clock, lambda: self.health.draining)
        test_flow = RunFlowTest(secrets, plans, clock)
        self._timers = Timers(rows, producer, clock.now)
        self._schedules = Schedules(ScheduleRepository(database), producer)
        self._relay = Relay(redis, producer, ExecutionRelay(rows))
        self._worker = Worker(
            redis,
            FLOWS,
            [
                JobFunction(FLOWS.function, run_flow, FlowJob),
                JobFunction(TEST_FLOW, test_flow, FlowTestJob, max_tries=1, keep_result_s=KEEP_RESULT_S),
            ],
            concurrency=settings.flow_runner_concurrency,
            dead_letters=DeadLetterRepository(database).insert_many,
            pauses=PauseRepository(database),
            store_problem=lambda: database.problem,
            on_data_lost=self._relay.data_lost,
            drain_s=DRAIN_S,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; a part that fails ends the process, to be started anew by its supervisor."""
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(part)
                for part in (
                    self.executions.keep_leases(),
                    self._timers.run(),
                    self._schedules.run(),
                    self._relay.run(),
                )
            ]
            worker = group.create_task(self._worker.run())
            stopping = group.create_task(stop.wait())
            await asyncio.wait([worker, stopping], return_when=asyncio.FIRST_COMPLETED)
            # From here on a turn ends at its next node; leases are kept until the last one has ended.
            self.health.draining = True
            self._worker.stop()
            await worker
            await self.executions.drain()
            for task in (*beside, stopping):
                task.cancel()


async def serve(settings: FlowRunnerSettings, stop: asyncio.Event, environ: Mapping[str, str]) -> None:
    """The process: comes up though Redis and Postgres are away, and says so on its private listener."""
    collect_rarely()
    redis = connect(settings.redis)
    database = Database(
        settings.postgres.database_url.reveal(),
        application_name="filas-flow-runner",
        max_size=settings.postgres.database_pool_size,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(redis.close)
        stack.push_async_callback(database.close)
        database.start()
        allowed = settings.outbound
        outbound = await stack.enter_async_context(OutboundClient(allowed.outbound_allow, ports=allowed.outbound_ports))
        runner = FlowRunner(settings, environ, redis, database, outbound)
        app = build_private_app(runner.health)
        await stack.enter_async_context(serve_app(app, settings.admin.admin_host, settings.flow_runner_admin_port))
        await runner.run(stop)
