"""Every process checks `Host` on its private listener, as it is composed: protection against DNS rebinding."""

import asyncio
import importlib

import aiohttp
import pytest

from filas.settings.settings_reader import load
from tests.ports import free_port
from tests.process_table import PROCESSES
from tests.waiting import eventually

ENTRIES = {"ingest-admin": "administer", "ingest-worker": "work"}
"""The functions that run a process, where they are not called `serve`."""


@pytest.mark.parametrize("name", PROCESSES)
async def test_the_private_listener_of_each_process_rejects_a_foreign_host(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the routes that need no token too. Names of `ADMIN_HOSTS` and IP addresses are accepted."""
    for module in ("run_server", "run_worker"):
        monkeypatch.setattr(f"filas.service.{module}.collect_rarely", lambda: None)
    process, port = PROCESSES[name], free_port()
    environ = {
        "REDIS_PORT": "1",
        "DATABASE_URL": "postgresql://x@127.0.0.1:1/x",
        "FILAS_SECRET_KEY": "a secret key of 32 characters or more",
        "FILAS_ADMIN_TOKEN": "an admin token of 32 characters or more",
        "ADMIN_HOSTS": "localhost,filas.internal",
        "INGEST_PORT": str(free_port()),
        process.private_port: str(port),
    }
    entry = getattr(importlib.import_module(process.composition_root), ENTRIES.get(name, "serve"))
    running = asyncio.create_task(entry(load(process.settings, environ), asyncio.Event(), environ))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:

            async def status(path: str, host: str) -> int:
                try:
                    async with http.get(path, headers={"Host": host}) as answer:
                        return answer.status
                except aiohttp.ClientError:
                    return 0

            async def is_open() -> bool:
                return await status("/livez", "localhost") == 200

            await eventually(is_open)
            for path in ("/livez", "/metrics", "/readyz", "/api/flows"):
                assert await status(path, "rebound.example") == 421
            for host in ("filas.internal", f"127.0.0.1:{port}", "10.1.2.3"):
                assert await status("/livez", host) == 200
    finally:
        running.cancel()
        await asyncio.wait([running])
