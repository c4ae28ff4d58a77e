"""The private listener, problem documents, and the start and stop of a process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from filas.errors import StoreUnavailable
from filas.service.health import Health
from filas.service.private_listener import build_private_app, serve_app
from filas.service.problem_documents import problem_response
from filas.service.run_server import ServerParts, run_server
from filas.service.stores import Stores
from filas.settings.process_settings import IngestServeSettings
from filas.settings.settings_reader import load
from tests.waiting import PATIENCE_S

UNREACHABLE = {
    "REDIS_PORT": "1",
    "DATABASE_URL": "postgresql://x@127.0.0.1:1/x",
    "FILAS_SECRET_KEY": "a long and random key of the tests",
}
"""Settings of stores that are not there."""

PROCESS = """
import asyncio, os, sys
from filas.service.health import Health
from filas.service.private_listener import build_private_app, serve_app
from filas.service.run_process import run_process
from filas.settings.process_settings import IngestWorkSettings

async def work(settings: IngestWorkSettings, stop: asyncio.Event) -> None:
    async with serve_app(build_private_app(Health()), "127.0.0.1", settings.ingest_worker_admin_port) as port:
        print("ready", port, flush=True)
        await stop.wait()
        print("stopping", flush=True)
        if "STUBBORN" in os.environ:
            await asyncio.Event().wait()

sys.exit(run_process("ingest-work", IngestWorkSettings, work, os.environ))
"""


@asynccontextmanager
async def listener(health: Health, *routes: web.RouteDef) -> AsyncIterator[aiohttp.ClientSession]:
    app = build_private_app(health, routes, client_max_size=100)
    async with serve_app(app, "127.0.0.1", 0) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (None, 200),
        ("localhost:8081", 200),
        ("LOCALHOST.", 200),
        ("127.0.0.1:8081", 200),
        ("[::1]:8081", 200),
        ("10.1.2.3", 200),
        ("filas.internal", 200),
        ("rebound.example", 421),
        ("rebound.example:8081", 421),
        ("localhost.rebound.example", 421),
        ("127.0.0.1.rebound.example", 421),
        ("[::1].rebound.example", 421),
        ("notlocalhost", 421),
    ],
)
@pytest.mark.parametrize("path", ["/livez", "/metrics", "/nothing"])
async def test_a_request_for_a_foreign_host_is_rejected(host: str | None, status: int, path: str) -> None:
    """On every path. A page of another domain that resolves to this address can read nothing (DNS rebinding)."""
    app = build_private_app(Health(), hosts=["localhost", "filas.internal"])
    async with serve_app(app, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        line = "" if host is None else f"Host: {host}\r\n"
        writer.write(f"GET {path} HTTP/1.0\r\n{line}\r\n".encode())
        answer = (await asyncio.wait_for(reader.read(), PATIENCE_S)).decode()
        writer.close()
    expected = 404 if path == "/nothing" and status == 200 else status
    assert answer.startswith(f"HTTP/1.0 {expected} ")
    assert status == 200 or "ADMIN_HOSTS" in answer


async def test_readyz_names_each_unavailable_store() -> None:
    problems: dict[str, str | None] = {"postgres": "connection refused", "redis": None}
    health = Health()
    health.add("postgres", lambda: problems["postgres"])
    health.add("redis", lambda: problems["redis"])
    async with listener(health) as http:
        answer = await http.get("/readyz")
        assert answer.status == 503
        assert await answer.json() == {"status": "unready", "problems": {"postgres": "connection refused"}}
        metrics = await (await http.get("/metrics")).text()
        assert 'filas_store_up{store="postgres"} 0.0' in metrics
        assert 'filas_store_up{store="redis"} 1.0' in metrics
        problems["postgres"] = None
        answer = await http.get("/readyz")
        assert (answer.status, await answer.json()) == (200, {"status": "ready"})


async def test_livez_reports_alive_without_any_store() -> None:
    health = Health()
    health.add("redis", lambda: "gone")
    async with listener(health) as http:
        answer = await http.get("/livez")
        assert (answer.status, await answer.json()) == (200, {"status": "alive"})


async def test_a_process_that_drains_is_not_ready() -> None:
    health = Health()
    health.draining = True
    async with listener(health) as http:
        assert (await (await http.get("/readyz")).json())["problems"] == {"process": "draining"}


@pytest.fixture
def usual_garbage_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that runs in the process of the tests does not change their garbage collection."""
    monkeypatch.setattr("filas.service.run_server.collect_rarely", lambda: None)


@pytest.mark.usefixtures("usual_garbage_collection")
async def test_a_failed_background_task_ends_the_process() -> None:
    """With its error, and without the drain: a supervisor starts the process again."""
    drained: list[str] = []

    async def fails() -> None:
        raise KeyError("a bug")

    async def drain() -> None:
        drained.append("drained")

    def compose(_stores: Stores) -> ServerParts:
        return ServerParts(health=Health(), background=(fails(),), drain=drain)

    settings = load(IngestServeSettings, UNREACHABLE)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(ExceptionGroup) as failed:
            await run_server(settings, asyncio.Event(), name="test", admin_port=0, compose=compose)
    assert [type(error) for error in failed.value.exceptions] == [KeyError]
    assert drained == []


@pytest.mark.usefixtures("usual_garbage_collection")
async def test_a_server_drains_after_its_listeners_are_closed() -> None:
    """In this order: not ready, the delay with open listeners, no listener, drain."""
    steps: list[str] = []
    stop, health = asyncio.Event(), Health()

    @asynccontextmanager
    async def public_listener() -> AsyncIterator[None]:
        steps.append("open")
        stop.set()
        yield
        steps.append("closed")

    async def delay() -> None:
        steps.append(f"delay, draining {health.draining}")

    async def drain() -> None:
        steps.append("drain")

    def compose(_stores: Stores) -> ServerParts:
        return ServerParts(health=health, listener=public_listener(), before_close=delay, drain=drain)

    async with asyncio.timeout(PATIENCE_S):
        settings = load(IngestServeSettings, UNREACHABLE)
        await run_server(settings, stop, name="test", admin_port=0, compose=compose)
    assert steps == ["open", "delay, draining True", "closed", "drain"]


async def test_every_failure_is_a_problem_document() -> None:
    async def bug(_request: web.Request) -> web.Response:
        raise KeyError("pa55word")

    async def unavailable(_request: web.Request) -> web.Response:
        raise StoreUnavailable("postgres", "connection to db.example refused")

    async def read(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def listed(_request: web.Request) -> web.Response:
        return problem_response(422, "The flow has errors", errors=[{"nodeId": "a"}])

    routes = [
        web.get("/bug", bug),
        web.get("/unavailable", unavailable),
        web.post("/read", read),
        web.get("/listed", listed),
    ]
    async with listener(Health(), *routes) as http:
        expected = {
            ("GET", "/bug"): (500, "Internal error"),
            ("GET", "/unavailable"): (503, "Store unavailable"),
            ("GET", "/nowhere"): (404, "Not found"),
            ("DELETE", "/bug"): (405, "Method not allowed"),
            ("POST", "/read"): (413, "Request entity too large"),
            ("GET", "/listed"): (422, "The flow has errors"),
        }
        for (method, path), (status, title) in expected.items():
            async with http.request(method, path, data=b"x" * 200 if method == "POST" else None) as answer:
                assert answer.content_type == "application/problem+json"
                document = await answer.json(content_type=None)
                assert (answer.status, document["status"], document["title"]) == (status, status, title)
                assert "pa55word" not in str(document)
                assert (answer.headers.get("Retry-After") is not None) == (status == 503)
                assert (answer.headers.get("Allow") is not None) == (status == 405)
                assert ("errors" in document) == (status == 422)


@asynccontextmanager
async def process(**environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    given = {"DATABASE_URL": "postgresql://nowhere/", "INGEST_WORKER_ADMIN_PORT": "0", "PATH": os.environ["PATH"]}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, env=given | environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


@pytest.mark.starts_processes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_stops_a_process(number: signal.Signals) -> None:
    async with process() as running:
        assert running.stdout is not None
        assert (await running.stdout.readline()).startswith(b"ready")
        running.send_signal(number)
        assert await running.stdout.readline() == b"stopping\n"
        assert await asyncio.wait_for(running.wait(), PATIENCE_S) == 0


@pytest.mark.starts_processes
async def test_a_second_signal_does_not_wait() -> None:
    async with process(STUBBORN="1") as running:
        assert running.stdout is not None
        await running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        assert await running.stdout.readline() == b"stopping\n"
        running.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.wait(), PATIENCE_S) == 1


@pytest.mark.starts_processes
async def test_a_wrong_setting_is_one_line_and_exit_code_2() -> None:
    async with process(REDIS_PORT="abc") as running:
        _, errors = await asyncio.wait_for(running.communicate(), PATIENCE_S)
        assert running.returncode == 2
        assert errors == b"REDIS_PORT='abc' is not a whole number from 0 to 65535\n"


@pytest.mark.starts_processes
async def test_a_port_in_use_is_one_line_and_exit_code_1() -> None:
    async with (
        serve_app(web.Application(), "127.0.0.1", 0) as taken,
        process(INGEST_WORKER_ADMIN_PORT=str(taken)) as running,
    ):
        _, errors = await asyncio.wait_for(running.communicate(), PATIENCE_S)
    assert running.returncode == 1
    assert b"process.failed" in errors
    assert b"Traceback" not in errors
