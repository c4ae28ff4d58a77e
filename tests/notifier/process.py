"""`python -m notifier` as a process of its own, and what a test needs around it."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp

from filas.contract.job_factories import job_of
from filas.contract.jobs import NotificationJob
from filas.crypto.secret_box import SecretBox
from filas.models.configuration import Channel
from filas.models.notifications import NotificationWithAttempts
from filas.queue.producer import EnqueueResult, QueueProducer
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.definitions.channels import ChannelRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.postgres.database import Database
from tests import service_processes
from tests.notifier.rows import add_notification, opened
from tests.ports import free_port
from tests.redis_address import connect_url
from tests.service_processes import ServiceProcess
from tests.waiting import PATIENCE_S, eventually

KEY = "a long and random key of the tests"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class NotifierProcess:
    """Starts, stops and kills one notifier; its standard output and log are read from files."""

    def __init__(
        self, redis_url: str, postgres_dsn: str, directory: Path, *, forked: bool = True, **environ: str
    ) -> None:
        redis = urlsplit(redis_url)
        self.port = free_port()
        self.environ = {
            "PATH": os.environ["PATH"],
            "REDIS_HOST": redis.hostname or "",
            "REDIS_PORT": str(redis.port),
            "REDIS_DB": redis.path.strip("/"),
            "DATABASE_URL": postgres_dsn,
            "FILAS_SECRET_KEY": KEY,
            "OUTBOUND_ALLOW": "127.0.0.1/32",
            "NOTIFIER_ADMIN_PORT": str(self.port),
            **environ,
        }
        self._forked = forked
        self._output = directory / "notifier.out"
        self._log = directory / "notifier.log"
        self._process: ServiceProcess | subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self) -> None:
        with self._output.open("ab") as output, self._log.open("ab") as log:
            self._process = service_processes.start(
                ["notifier"], self.environ, output.fileno(), log.fileno(), forked=self._forked
            )

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None
        process = self._process
        await eventually(lambda: process.poll() is not None, message="the notifier still runs")
        return process.wait()

    async def ready(self) -> tuple[int, dict[str, object]]:
        """Status and document of `/readyz`; (0, {}) while no process listens."""
        try:
            async with aiohttp.request("GET", f"http://127.0.0.1:{self.port}/readyz") as answer:
                return answer.status, await answer.json()
        except aiohttp.ClientError:
            return 0, {}

    async def metric(self, line: str) -> float:
        """The value of one line of `/metrics`, by its name and labels as they are written there; -1 without it."""
        async with aiohttp.request("GET", f"http://127.0.0.1:{self.port}/metrics") as answer:
            found = [one for one in (await answer.text()).splitlines() if one.startswith(f"{line} ")]
        return float(found[0].rpartition(" ")[2]) if found else -1.0

    async def until_ready(self) -> None:
        async def is_ready() -> bool:
            return (await self.ready())[0] == 200

        await eventually(is_ready, 120, message=f"the notifier is not ready: {self.log[-2000:]}")

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Stage:
    """The stores with a notifier beside them."""

    def __init__(self, notifier: NotifierProcess, database: Database, producer: QueueProducer) -> None:
        self.notifier = notifier
        self.database = database
        self.rows = NotificationRepository(database)
        self.dead_letters = DeadLetterRepository(database)
        self._producer = producer

    async def channel(self, channel_id: str, url: str | None, **config: object) -> None:
        """A channel `http` to `url`, or without one a channel `console`."""
        kind = "http" if url else "console"
        config |= {"url": url, "secret": SecretBox(KEY).seal(SECRET)} if url else {}
        await ChannelRepository(self.database).store(Channel(id=channel_id, type=kind, config=config))

    async def notify(self, channel_id: str, recipient: str = "5511999990000") -> UUID:
        """A notification and its job, as flow-runner leaves them."""
        notification_id = await add_notification(self.database, channel_id, recipient=recipient)
        await self.put_job(notification_id, channel_id, recipient)
        return notification_id

    async def put_job(self, notification_id: UUID, channel_id: str, recipient: str) -> EnqueueResult:
        job = NotificationJob(notification_id=notification_id, channel_id=channel_id)
        return await self._producer.enqueue(job_of(job, group=f"{channel_id}:{recipient}"))

    async def row(self, notification_id: UUID) -> NotificationWithAttempts:
        found = await self.rows.get(notification_id)
        assert found is not None
        return found

    async def until(self, notification_id: UUID, status: str, timeout: float = PATIENCE_S) -> NotificationWithAttempts:
        async def reached() -> bool:
            return (await self.row(notification_id)).status == status

        await eventually(reached, timeout, message=f"{notification_id} is not {status}: {self.notifier.log[-3000:]}")
        return await self.row(notification_id)


@asynccontextmanager
async def stage(
    redis_url: str, postgres_dsn: str, directory: Path, *, forked: bool = True, **environ: str
) -> AsyncIterator[Stage]:
    """A ready notifier over these stores. It is killed at the end of the block if it still runs."""
    notifier = NotifierProcess(redis_url, postgres_dsn, directory, forked=forked, **environ)
    redis = connect_url(redis_url)
    async with opened(postgres_dsn) as database:
        try:
            notifier.start()
            await notifier.until_ready()
            yield Stage(notifier, database, QueueProducer(redis))
        finally:
            notifier.close()
            await redis.close()
