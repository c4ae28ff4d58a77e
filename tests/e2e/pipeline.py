"""The five processes of Filas, on ports of their own, and an HTTP receiver outside of them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from tests import service_processes
from tests.ports import free_port
from tests.process_table import PROCESSES
from tests.service_processes import ServiceProcess
from tests.waiting import eventually

DRAIN_S = 60.0
"""A process that has not ended this long after SIGTERM is killed. Deploys allow 40 s."""

ADMIN_TOKEN = "e2e-admin-token-that-is-long-enough"


class Pipeline:
    """Starts and kills the five processes and calls their API. Each process writes to one file in `logs`.

    `twice` names the processes of which a second one runs, under the name `NAME-2`. `own_environment` has the variables
    that only one process gets, and `wrappers` the module with its arguments through which a process is started next.
    `forked` and `interpreter` are those of `service_processes.start`.
    """

    def __init__(
        self,
        redis_url: str,
        postgres_dsn: str,
        logs: Path,
        *,
        twice: Sequence[str] = (),
        forked: bool = True,
        interpreter: str = sys.executable,
    ) -> None:
        redis = urlsplit(redis_url)
        self.port = free_port()
        self._kinds = {name: name for name in PROCESSES} | {f"{name}-2": name for name in twice}
        self.admin_ports = {name: free_port() for name in self._kinds}
        self.environment = {
            **os.environ,
            "REDIS_HOST": redis.hostname or "127.0.0.1",
            "REDIS_PORT": str(redis.port),
            "REDIS_DB": redis.path.strip("/") or "0",
            "DATABASE_URL": postgres_dsn,
            "FILAS_ADMIN_TOKEN": ADMIN_TOKEN,
            "FILAS_SECRET_KEY": "e2e-secret-key-that-is-long-enough",
            "OUTBOUND_ALLOW": "127.0.0.0/8",
            "INGEST_PORT": str(self.port),
            "LOG_FORMAT": "json",
        }
        self.own_environment: dict[str, dict[str, str]] = {}
        self.wrappers: dict[str, tuple[str, ...]] = {}
        self._logs = logs
        self._forked = forked
        self._interpreter = interpreter
        self._processes: dict[str, ServiceProcess | subprocess.Popen[bytes]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._replaced: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        try:
            for name in self._kinds:
                self.start(name)
            for name in self._kinds:
                await self.until_ready(name)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._session is not None:
            await self._session.close()

    def start(self, name: str) -> None:
        """Start the process `name` and return at once."""
        kind = PROCESSES[self._kinds[name]]
        environment = self.environment | {kind.private_port: str(self.admin_ports[name])}
        environment |= self.own_environment.get(name, {})
        wrapper = self.wrappers.get(name, ())
        with (self._logs / f"{name}.log").open("ab") as log:
            self._processes[name] = service_processes.start(
                (*wrapper, *kind.arguments),
                environment,
                log.fileno(),
                log.fileno(),
                forked=self._forked and not wrapper,
                interpreter=self._interpreter,
            )

    def kill(self, name: str) -> None:
        """Kill the process `name` (SIGKILL), as the kernel does when memory runs out."""
        process = self._processes[name]
        if (code := process.poll()) is not None:
            self._replaced[name] = code
        process.kill()
        process.wait()

    def drain(self, name: str) -> None:
        """Ask the process `name` to stop (SIGTERM), and return when it has ended. It is killed after DRAIN_S."""
        process = self._processes[name]
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout=DRAIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code != 0:
            self._replaced[name] = code

    async def replace(self, name: str) -> None:
        """Replace the process as a deploy does: drain it, start it again, and wait until it is ready."""
        await asyncio.to_thread(self.drain, name)
        self.start(name)
        await self.until_ready(name)

    @property
    def ended(self) -> dict[str, int]:
        """The exit code of each process that has ended by itself, or did not end in order when it was drained."""
        codes = {name: process.poll() for name, process in self._processes.items()}
        return self._replaced | {name: code for name, code in codes.items() if code is not None}

    def start_ended(self) -> None:
        """Start each process again that has ended, as a supervisor does. It stays in `ended`."""
        for name, process in self._processes.items():
            if (code := process.poll()) is not None:
                self._replaced[name] = code
                self.start(name)

    async def until_ready(self, name: str) -> None:
        """Wait until `/readyz` of the process answers 200 (bound: two minutes: five interpreters may start at once)."""

        async def ready() -> bool:
            exit_code = self._processes[name].poll()
            assert exit_code is None, f"{name} ended with {exit_code}:\n{self.log(name)[-4000:]}"
            try:
                async with self.session.get(f"http://127.0.0.1:{self.admin_ports[name]}/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(ready, 120)

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each process."""
        return {name: process.pid for name, process in self._processes.items()}

    def log(self, name: str) -> str:
        """The output of the process so far."""
        return (self._logs / f"{name}.log").read_text(errors="replace")

    @property
    def session(self) -> aiohttp.ClientSession:
        """The HTTP client of the tests."""
        assert self._session is not None
        return self._session

    async def api(self, method: str, route: str, body: Any = None) -> Any:
        """Calls the API with the admin token. Returns the answer's `data`; fails with the whole answer."""
        url = f"http://127.0.0.1:{self.admin_ports['ingest-admin']}{route}"
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        async with self.session.request(method, url, json=body, headers=headers) as answer:
            assert answer.status < 300, f"{method} {route}: {answer.status} {await answer.text()}"
            document = await answer.json()
            assert document["status"] == "success"
            return document["data"]

    async def executions(self, **filters: str) -> list[dict[str, Any]]:
        """Every execution, read page by page."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            query = "&".join(f"{name}={value}" for name, value in {**filters, "limit": "500"}.items())
            url = f"http://127.0.0.1:{self.admin_ports['ingest-admin']}/api/executions?{query}{cursor}"
            async with self.session.get(url, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as answer:
                document = await answer.json()
            found += document["data"]
            if not document.get("nextCursor"):
                return found
            cursor = f"&cursor={document['nextCursor']}"

    async def webhook(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Post raw bytes to the public listener; returns status and decoded answer."""
        url = f"http://127.0.0.1:{self.port}/webhooks/{path}"
        sent = {"Content-Type": "application/json", **(headers or {})}
        async with self.session.post(url, data=body, headers=sent) as answer:
            return answer.status, await answer.json(content_type=None)


class Receiver:
    """An HTTP server outside of Filas that receives messages and API calls and keeps every request."""

    def __init__(self) -> None:
        self.port = free_port()
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def at(self, path: str) -> list[tuple[dict[str, str], bytes]]:
        """Headers and raw body of each request to `path`."""
        return [(headers, body) for where, headers, body in self.requests if where == path]

    def keys(self, path: str) -> Counter[str]:
        """How often each idempotency key arrived at `path`."""
        return Counter(headers["idempotency-key"] for headers, _ in self.at(path))

    def note(self, request: web.Request, body: bytes) -> None:
        """Keep a request that has arrived."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.path, headers, body))

    async def handle(self, request: web.Request) -> web.Response:
        """Note the request, and answer as a CRM would."""
        self.note(request, await request.read())
        return web.json_response({"ok": True, "name": "Maria"})


@asynccontextmanager
async def receiver(outside: Receiver | None = None) -> AsyncIterator[Receiver]:
    """A running Receiver; `outside` may be one of another class."""
    outside = outside or Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", outside.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", outside.port).start()
    try:
        yield outside
    finally:
        await runner.cleanup()


async def until_all_final(pipeline: Pipeline, count: int, *, timeout: float = 120) -> list[dict[str, Any]]:
    """Wait until `count` executions exist and every one has ended; returns them."""
    final = {"succeeded", "failed", "cancelled", "timed-out"}

    async def ended() -> list[dict[str, Any]] | None:
        found = await pipeline.executions()
        await asyncio.sleep(0.2)  # the API is asked five times a second, not without pause
        return found if len(found) >= count and all(one["status"] in final for one in found) else None

    return await eventually(ended, timeout=timeout)
