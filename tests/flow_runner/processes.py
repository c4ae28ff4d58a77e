"""flow-runner as a process over real stores, and an HTTP receiver for its calls."""

import asyncio
import os
import subprocess
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import msgspec
from aiohttp import web

from filas.contract.group_keys import conversation_group
from filas.contract.job_factories import job_of
from filas.contract.jobs import FlowJob
from filas.models.executions import DueExecution, ExecutionWithSteps, NewExecution
from filas.queue.producer import QueueProducer
from filas.repository.definitions.flows import FlowRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.postgres.database import Database
from tests import service_processes
from tests.ports import free_port
from tests.redis_address import connect_url
from tests.service_processes import ServiceProcess
from tests.waiting import PATIENCE_S, eventually


@dataclass
class Receiver:
    """An HTTP server that keeps the idempotency key of every call, and responds while `open` is set."""

    url: str
    calls: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a loopback port. It responds at once."""
    receiver = Receiver("")
    receiver.open.set()

    async def handle(request: web.Request) -> web.Response:
        receiver.calls.append(request.headers["Idempotency-Key"])
        await receiver.open.wait()
        return web.json_response({"name": "Ana"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        receiver.open.set()
        await runner.cleanup()


class Stores:
    """The two stores: starts executions as ingest does, and reads their outcome."""

    def __init__(self, database: Database, producer: QueueProducer) -> None:
        self.executions = ExecutionRepository(database)
        self.flows = FlowRepository(database)
        self.database = database
        self._producer = producer

    async def start(self, count: int = 1, contact: str | None = None, prefix: str = "contact") -> list[UUID]:
        """Starts executions of the flow `flow` with their jobs. Each has a conversation of its own unless `contact`
        is set."""
        starts = [self._new(contact or f"{prefix}-{number}") for number in range(count)]
        due: list[DueExecution] = []
        for answer in await self.executions.start_many(starts):
            assert not isinstance(answer, BaseException), answer
            due += answer
        for row in due:
            job = FlowJob(execution_id=row.id, turn=row.turn, flow_id=row.flow_id)
            await self._producer.enqueue(job_of(job, group=conversation_group(row.channel, row.contact)))
        return [row.id for row in due]

    async def finished(self, executions: list[UUID], timeout: float = 90.0) -> list[ExecutionWithSteps]:
        """The executions, after all have ended."""

        async def all_ended() -> list[ExecutionWithSteps]:
            found = [await self.get(each) for each in executions]
            return found if all(each.ended_at for each in found) else []

        return await eventually(all_ended, timeout)

    async def get(self, execution: UUID) -> ExecutionWithSteps:
        found = await self.executions.get(execution)
        assert found is not None
        return found

    async def put_flow(self, definition: dict[str, Any]) -> None:
        await self.flows.store("flow", definition, "flow", publish=True)

    def _new(self, contact: str) -> tuple[UUID, list[NewExecution]]:
        event = uuid.uuid4()
        trigger = msgspec.json.encode({"webhook": {"body": {"text": "oi"}, "headers": {}, "queryParams": {}}})
        execution = NewExecution(
            id=uuid.uuid4(),
            event_id=event,
            flow_id="flow",
            node_id="start",
            channel="demo",
            contact=contact,
            trigger=trigger.decode(),
        )
        return event, [execution]


@asynccontextmanager
async def stores(postgres: str, redis: str) -> AsyncIterator[Stores]:
    """Connected stores. They are closed at the end of the block."""
    database = Database(postgres, application_name="test")
    connection = connect_url(redis)
    database.start()
    await database.wait_ready(PATIENCE_S)
    try:
        yield Stores(database, QueueProducer(connection))
    finally:
        await database.close()
        await connection.close()


class Process:
    """`python -m flow_runner`."""

    def __init__(self, postgres: str, redis: str, **environ: str) -> None:
        address = urlsplit(redis)
        self.port = free_port()
        self._environ = os.environ | {
            "DATABASE_URL": postgres,
            "REDIS_HOST": address.hostname or "",
            "REDIS_PORT": str(address.port),
            "REDIS_DB": address.path.strip("/") or "0",
            "FILAS_SECRET_KEY": "a long and random key of the tests",
            "FLOW_RUNNER_ADMIN_PORT": str(self.port),
            "OUTBOUND_ALLOW": "127.0.0.0/8",
            "LOG_FORMAT": "console",
            **environ,
        }
        self._process: ServiceProcess | subprocess.Popen[bytes] | None = None

    async def start(self) -> "Process":
        """Starts the process and returns at once."""
        self._process = service_processes.start(["flow_runner"], self._environ, 1, 2)
        return self

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    async def ready(self) -> None:
        """Wait until `/readyz` answers 200 (bound: two minutes)."""
        async with aiohttp.ClientSession() as session:

            async def is_ready() -> bool:
                try:
                    async with session.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            await eventually(is_ready, 120)

    async def kill(self) -> None:
        """Kill the process (SIGKILL): it writes nothing and releases nothing."""
        assert self._process is not None
        self._process.kill()
        await asyncio.to_thread(self._process.wait, PATIENCE_S)

    async def stop(self) -> int:
        """Stop the process with SIGTERM, as a deployment does. Returns the exit code."""
        assert self._process is not None
        self._process.terminate()
        return await asyncio.to_thread(self._process.wait, PATIENCE_S)


@asynccontextmanager
async def running(postgres: str, redis: str, **environ: str) -> AsyncIterator[Process]:
    """A running process. It is killed at the end of the block if it still runs."""
    process = await Process(postgres, redis, **environ).start()
    try:
        yield process
    finally:
        assert process._process is not None
        await process.kill()
