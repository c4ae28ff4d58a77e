"""The measured subjects: the bare handler, Filas, and the usual Node stack. Each is a process with its own port."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.request import Request, urlopen

import msgspec

from filas_local.servers import PostgresServer, RedisServer, free_port
from tests.benchmarks.ingest.load import APP_SECRET
from tests.benchmarks.node_packages import Unavailable, installed
from tests.benchmarks.trees import REPOSITORY

ADMIN_TOKEN = "benchmark-token-that-is-long-enough"
READY_WITHIN_S = 120


class Process:
    """A running process, its CPU time and memory."""

    def __init__(self, command: list[str], environ: dict[str, str], log: Path, *, niceness: int = 0) -> None:
        if niceness:
            command = ["nice", "-n", str(niceness), *command]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=os.environ | environ, stdout=output, stderr=output, cwd=REPOSITORY
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def cpu_s(self) -> float:
        """Returns the seconds of CPU that the process has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self) -> float:
        """Returns the resident memory in MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ends the process with SIGTERM and waits for its end."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def wait_until_answered(process: Process, url: str, log: Path) -> None:
    """Waits until the address answers. Raises Unavailable if the process ends before, or does not answer in time."""
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until:
        if not process.is_alive():
            break
        try:
            urlopen(url, timeout=1).close()
        except OSError as error:
            if getattr(error, "code", None) not in (None, 503):
                return  # any status shows that the process answers
            time.sleep(0.05)
        else:
            return
    raise Unavailable(f"it did not come up: {log.read_text(errors='replace')[-300:]}")


@contextmanager
def bare(scratch: Path) -> Iterator[tuple[Process, str]]:
    """Runs the bare aiohttp handler."""
    port, log = free_port(), scratch / "bare.log"
    process = Process([sys.executable, "-m", "tests.benchmarks.ingest.bare", str(port)], {}, log)
    try:
        wait_until_answered(process, f"http://127.0.0.1:{port}/", log)
        yield process, f"http://127.0.0.1:{port}/webhooks/bench"
    finally:
        process.stop()


@contextmanager
def fastify(
    scratch: Path, redis: RedisServer, postgres: PostgresServer, database: str, guarantees: Literal["none", "same"]
) -> Iterator[tuple[Process, str]]:
    """Runs Fastify, BullMQ and pg. Raises Unavailable without node and npm.

    `same`: with a signature check, a duplicate check, a rate limit and stored headers, as Filas has them.
    """
    target = installed(scratch)
    port, log = free_port(), scratch / "fastify.log"
    script = Path(__file__).with_name("fastify.mjs")
    arguments = [str(port), str(redis.port), str(postgres.socket_dir), postgres.user, database, guarantees, APP_SECRET]
    environ = {"NODE_ENV": "production"}
    process = Process(["env", "-C", str(target), "node", str(script), *arguments], environ, log)
    try:
        wait_until_answered(process, f"http://127.0.0.1:{port}/", log)
        yield process, f"http://127.0.0.1:{port}/webhooks/bench"
    finally:
        process.stop()


class Filas:
    """The processes of Filas on the given stores. `interpreter` is that of another checkout, if another commit is
    measured. `launcher` is a module that starts the module that it is given, without one of its guarantees."""

    def __init__(
        self,
        scratch: Path,
        redis: RedisServer,
        postgres: PostgresServer,
        *,
        database: str | None = None,
        interpreter: str = sys.executable,
        launcher: Sequence[str] = (),
    ) -> None:
        self._scratch = scratch
        self._interpreter = interpreter
        self._launcher = launcher
        self._ports = {name: free_port() for name in ("public", "serve", "admin", "work", "flows", "notifier")}
        self._environ = {
            "REDIS_PORT": str(redis.port),
            "DATABASE_URL": postgres.dsn() if database is None else postgres.dsn(database),
            "FILAS_ADMIN_TOKEN": ADMIN_TOKEN,
            "FILAS_SECRET_KEY": "benchmark-key-that-is-long-enough",
            "INGEST_PORT": str(self._ports["public"]),
            "INGEST_SERVE_ADMIN_PORT": str(self._ports["serve"]),
            "INGEST_ADMIN_PORT": str(self._ports["admin"]),
            "INGEST_WORKER_ADMIN_PORT": str(self._ports["work"]),
            "FLOW_RUNNER_ADMIN_PORT": str(self._ports["flows"]),
            "NOTIFIER_ADMIN_PORT": str(self._ports["notifier"]),
        }
        self.url = f"http://127.0.0.1:{self._ports['public']}/webhooks/bench"
        self.admin_url = f"http://127.0.0.1:{self._ports['admin']}"

    @contextmanager
    def serving(self, *, alone: bool = False) -> Iterator[Process]:
        """Runs `ingest serve` with the webhook `bench`: signature check, duplicate check and rate limit are on.

        `ingest admin` runs beside it; if `alone`, it ends when it has stored the definitions.
        """
        with self._running("serve", ["ingest", "serve"]) as process:
            with self._running("admin", ["ingest", "admin"]):
                self._store_definitions()
                if not alone:
                    yield process
                    return
            yield process

    def _store_definitions(self) -> None:
        self.store_definition(
            "flows/bench",
            {
                "schemaVersion": 1,
                "name": "bench",
                "nodes": [
                    {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
                    {"id": "end", "type": "end", "data": {}},
                ],
                "edges": [{"id": "e", "source": "start", "target": "end"}],
            },
        )
        self.store_definition(
            "webhooks/bench",
            {
                "flowId": "bench",
                "nodeId": "start",
                "auth": {"type": "meta", "secrets": [APP_SECRET]},
                "rateLimit": {"max": 1_000_000, "windowMs": 60_000},
            },
        )

    @contextmanager
    def administering(self) -> Iterator[Process]:
        """Runs `ingest admin` alone."""
        with self._running("admin", ["ingest", "admin"]) as process:
            yield process

    @contextmanager
    def working(self) -> Iterator[None]:
        """Runs the workers with a lower priority than the public listener, as in a deployment."""
        with (
            self._running("work", ["ingest", "work"], niceness=10),
            self._running("flows", ["flow_runner"], niceness=10),
            self._running("notifier", ["notifier"], niceness=10),
        ):
            yield

    def store_definition(self, path: str, document: object) -> None:
        """Stores a definition through the API."""
        self._ask("PUT", path, document)

    def unfinished_jobs(self) -> int:
        """Returns the number of unfinished_jobs and active jobs."""
        summary = msgspec.json.decode(self._ask("GET", "queue/stats"))["data"]["summary"]
        return int(summary["totalWaiting"] + summary["totalActive"])

    def _ask(self, method: str, path: str, document: object = None) -> bytes:
        request = Request(
            f"http://127.0.0.1:{self._ports['admin']}/api/{path}",
            method=method,
            data=None if document is None else msgspec.json.encode(document),
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"},
        )
        with urlopen(request, timeout=10) as answer:
            found: bytes = answer.read()
            return found

    @contextmanager
    def _running(self, name: str, module: list[str], *, niceness: int = 0) -> Iterator[Process]:
        log = self._scratch / f"{name}.log"
        command = [self._interpreter, "-m", *self._launcher, *module]
        process = Process(command, self._environ, log, niceness=niceness)
        try:
            wait_until_answered(process, f"http://127.0.0.1:{self._ports[name]}/readyz", log)
            yield process
        finally:
            process.stop()
