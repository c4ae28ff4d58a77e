"""The composition root of `python -m flow_runner`: the engine, its stores, and the consumer of `flow-processing`."""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

from filas.contract.identity import new_id
from filas.contract.jobs import LEARN_OUTCOME, TEST_FLOW, FlowJob, FlowTestJob, LearnOutcomeJob
from filas.contract.policies import FLOWS
from filas.crypto.resume_tokens import ResumeTokens
from filas.crypto.secret_box import SecretBox
from filas.crypto.secret_variables import SecretVariables
from filas.memory_budget import MEMORY_BYTES, MemoryBudget
from filas.outbound.client import OutboundClient
from filas.queue.job_functions import JobFunction
from filas.queue.operations.job_control import JobControl
from filas.queue.producer import QueueProducer
from filas.queue.relay import Relay
from filas.queue.worker.worker import Worker
from filas.repository.cancels import CancelRepository
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.definitions.channels import ChannelRepository
from filas.repository.definitions.flow_secrets import SecretRepository
from filas.repository.definitions.flows import FlowRepository
from filas.repository.definitions.schedules import ScheduleRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.message_outcomes import MessageOutcomeRepository
from filas.repository.pauses import PauseRepository
from filas.service.health import Health
from filas.service.run_worker import WorkerParts, run_worker
from filas.service.stores import Stores
from filas.settings.process_settings import FlowRunnerSettings
from flow_runner.engine.engine import Engine
from flow_runner.engine.ports import FlowServices
from flow_runner.jobs.due_timers import DueTimers
from flow_runner.jobs.flow_job import RunFlow
from flow_runner.jobs.flow_test_job import KEEP_RESULT_S, RunFlowTest
from flow_runner.jobs.job_outbox import (
    ExecutionCancelRelay,
    ExecutionRelay,
    HoldingExecutions,
    JobOutbox,
    MessageOutcomeRelay,
)
from flow_runner.jobs.outcome_job import LearnOutcomes
from flow_runner.jobs.schedule_starter import ScheduleStarter
from flow_runner.nodes.node_runners import RUNNERS
from flow_runner.stores.channel_types import ChannelTypes
from flow_runner.stores.compiled_flow_cache import CompiledFlowCache
from flow_runner.stores.execution_store import Executions
from flow_runner.stores.flow_secrets import FlowSecrets
from flow_runner.stores.resume_addresses import PublicAddresses
from flow_runner.stores.wall_clock import WallClock

DRAIN_S: Final = 20.0
"""How many seconds a stopping process waits for its executions to reach their next node."""


def build_parts(
    settings: FlowRunnerSettings,
    environ: Mapping[str, str],
    stores: Stores,
    health: Health,
    outbound: OutboundClient,
) -> WorkerParts:
    """Connects the engine, the stores, the worker and the background tasks.

    While `health.draining` is set, an execution stops at its next node. Its lease is kept until then.
    """
    redis, database = stores.redis, stores.database
    memory = MemoryBudget(MEMORY_BYTES)
    rows = ExecutionRepository(database)
    producer = QueueProducer(redis)
    clock = WallClock()
    key = settings.secrets.filas_secret_key.reveal()
    box = SecretBox(key, SecretVariables(environ, settings.secrets.secret_env_allow))
    secrets = FlowSecrets(SecretRepository(database), box.reveal, clock.monotonic)
    executions = Executions(rows, f"{socket.gethostname()}:{new_id()}", JobOutbox(producer), memory=memory)
    addresses = PublicAddresses(settings.public_url, ResumeTokens(key))
    flows = CompiledFlowCache(FlowRepository(database))
    channels = ChannelTypes(ChannelRepository(database), clock.monotonic)
    services = FlowServices(flows, secrets, addresses, box)
    engine = Engine(RUNNERS, executions, outbound, clock, services, channels)
    run_flow = RunFlow(executions, flows, engine, clock, lambda: health.draining)
    test_flow = RunFlowTest(secrets, flows, clock, channels)
    cancels = CancelRepository(database)
    outcomes = MessageOutcomeRepository(database)
    learn_outcomes = LearnOutcomes(outcomes, flows, producer, JobControl(redis, producer))
    sources = (ExecutionRelay(rows), ExecutionCancelRelay(cancels), MessageOutcomeRelay(outcomes))
    relays = [Relay(redis, producer, source) for source in sources]
    holding = Relay(redis, producer, HoldingExecutions(rows))

    worker = Worker(
        redis,
        FLOWS,
        [
            JobFunction(FLOWS.function, run_flow, FlowJob),
            JobFunction(TEST_FLOW, test_flow, FlowTestJob, max_attempts=1, keep_result_s=KEEP_RESULT_S),
            JobFunction(LEARN_OUTCOME, learn_outcomes, LearnOutcomeJob, batch=True),
        ],
        concurrency=settings.flow_runner_concurrency,
        dead_letters=DeadLetterRepository(database).insert_many,
        pauses=PauseRepository(database),
        cancels=cancels,
        store_problem=lambda: database.problem,
        relays=[holding, *relays],
        drain_s=DRAIN_S,
        budget=memory,
    )
    return WorkerParts(
        worker=worker,
        background=(
            executions.keep_leases(),
            secrets.report_unreadable(),
            DueTimers(rows, producer).run(),
            ScheduleStarter(ScheduleRepository(database), producer).run(),
            *(relay.run() for relay in relays),
        ),
        drain=executions.drain,
    )


async def serve(settings: FlowRunnerSettings, stop: asyncio.Event, environ: Mapping[str, str]) -> None:
    """Runs the process until `stop`."""

    async def compose(stores: Stores, health: Health, stack: AsyncExitStack) -> WorkerParts:
        allowed = settings.outbound
        outbound = await stack.enter_async_context(OutboundClient(allowed.outbound_allow, ports=allowed.outbound_ports))
        return build_parts(settings, environ, stores, health, outbound)

    port = settings.flow_runner_admin_port
    await run_worker(settings, stop, name="filas-flow-runner", admin_port=port, compose=compose)
