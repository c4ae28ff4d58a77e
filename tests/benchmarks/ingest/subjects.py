"""The measured subjects: the bare handler, Filas, and the usual Node stack. Each is a process with its own port."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import msgspec

from filas_local.servers import PostgresServer, RedisServer, free_port
from tests.benchmarks.ingest.load import APP_SECRET

REPOSITORY = Path(__file__).parents[3]
ADMIN_TOKEN = "benchmark-token-that-is-long-enough"
NPM_PACKAGES = ("fastify@5", "bullmq@5", "pg@8")
READY_WITHIN_S = 30


class Unavailable(Exception):
    """A subject cannot be measured on this machine."""


class Process:
    """A running process, its CPU time and memory."""

    def __init__(self, command: list[str], environ: dict[str, str], log: Path, *, niceness: int = 0) -> None:
        if niceness:
            command = ["nice", "-n", str(niceness), *command]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=os.environ | environ, stdout=output, stderr=output, cwd=REPOSITORY
            )

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
def fastify(scratch: Path, redis: RedisServer, postgres: PostgresServer) -> Iterator[tuple[Process, str]]:
    """Runs Fastify, BullMQ and pg, which npm installs. Raises Unavailable without node and npm."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Unavailable("node and npm are not installed")
    target = scratch / "node"
    if not target.exists():
        target.mkdir()
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(target)]
        done = subprocess.run([*command, *NPM_PACKAGES], capture_output=True, text=True, cwd=target, check=False)
        if done.returncode != 0:
            shutil.rmtree(target)
            raise Unavailable(" ".join(done.stderr.split())[-300:])
    port, log = free_port(), scratch / "fastify.log"
    script = Path(__file__).with_name("fastify.mjs")
    arguments = [str(port), str(redis.port), str(postgres.socket_dir), postgres.user, "filas"]
    process = Process(["env", "-C", str(target), "node", str(script), *arguments], {}, log)
    try:
        wait_until_answered(process, f"http://127.0.0.1:{port}/", log)
        yield process, f"http://127.0.0.1:{port}/webhooks/bench"
    finally:
        process.stop()


class Filas:
    """The processes of Filas on the given stores."""

    def __init__(
        self, scratch: Path, redis: RedisServer, postgres: PostgresServer, *, database: str | None = None
    ) -> None:
        self._scratch = scratch
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
    def serving(self) -> Iterator[Process]:
        """Runs `ingest serve` with the webhook `bench`: signature check, duplicate check and rate limit are on."""
        with self._running("serve", ["ingest", "serve"]) as process, self._running("admin", ["ingest", "admin"]):
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
            yield process

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
        process = Process([sys.executable, "-m", *module], self._environ, log, niceness=niceness)
        try:
            wait_until_answered(process, f"http://127.0.0.1:{self._ports[name]}/readyz", log)
            yield process
        finally:
            process.stop()
