"""`python -m ingest serve`, `admin` and `work` as processes: their start, readiness and end."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientError, ClientSession

from filas_local.servers import PostgresServer, RedisServer
from tests.ports import free_port
from tests.process_table import PROCESSES
from tests.waiting import PATIENCE_S, eventually

PORTS = {
    process.arguments[1]: process.private_port for process in PROCESSES.values() if process.arguments[0] == "ingest"
}


class Process:
    """One running process and its private listener."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, session: ClientSession) -> None:
        self.process = process
        self.port = port
        self.session = session

    async def get(self, path: str) -> tuple[int, Any]:
        """Returns status and text from the private listener; 0 while it does not answer."""
        try:
            async with self.session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
                return answer.status, await answer.text()
        except ClientError:
            return 0, ""


TOKEN = "a long and random token of the tests"


def environment(redis: str, dsn: str, **more: str) -> dict[str, str]:
    """Returns the variables of a process on these stores."""
    where = urlsplit(redis)
    return {
        **os.environ,
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(where.port),
        "REDIS_DB": where.path.strip("/") or "0",
        "DATABASE_URL": dsn,
        "FILAS_ADMIN_TOKEN": TOKEN,
        "FILAS_SECRET_KEY": "a long and random key of the tests",
        "INGEST_PORT": str(free_port()),
        **more,
    }


@contextlib.asynccontextmanager
async def running(command: str, variables: dict[str, str]) -> AsyncIterator[Process]:
    """Runs the process until the block ends. The process must then end on SIGTERM with exit code 0."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ingest", command, env={**variables, PORTS[command]: str(port)},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with ClientSession() as session:
            yield Process(process, port, session)
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    finally:
        if process.returncode is None:  # a test that fails leaves no process
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    assert b"Traceback" not in errors, errors.decode()


@pytest.mark.parametrize("command", PORTS)
async def test_a_process_starts_before_its_stores(
    command: str, own_redis: RedisServer, own_postgres: PostgresServer
) -> None:
    """It is alive at once. It is not ready while a store is unavailable, and names that store. It is ready when both
    are available.
    """
    own_redis.kill()
    own_postgres.kill()
    async with running(command, environment(own_redis.url, own_postgres.dsn())) as process:

        async def answers(path: str, status: int, *words: str) -> bool:
            found, text = await process.get(path)
            return found == status and all(word in text for word in words)

        await eventually(lambda: answers("/livez", 200))
        await eventually(lambda: answers("/readyz", 503, "redis", "postgres"))
        own_redis.start()
        own_postgres.start()
        await eventually(lambda: answers("/readyz", 200))
        assert (await process.get("/metrics"))[0] == 200


async def test_the_listener_stays_ready_with_one_store(own_redis: RedisServer, own_postgres: PostgresServer) -> None:
    """It accepts with one store, so it stays ready; without both it is not ready."""
    async with running("serve", environment(own_redis.url, own_postgres.dsn())) as process:

        async def ready(status: int) -> bool:
            return (await process.get("/readyz"))[0] == status

        await eventually(lambda: ready(200))
        own_redis.kill()

        async def noticed() -> bool:
            return 'filas_store_up{store="redis"} 0.0' in (await process.get("/metrics"))[1]

        await eventually(noticed)
        assert await ready(200)
        own_postgres.kill()
        await eventually(lambda: ready(503))


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    ("arguments", "variables", "named"),
    [
        (["serve"], {"DATABASE_URL": ""}, "DATABASE_URL"),
        (["serve"], {"INGEST_PORT": "eighty"}, "INGEST_PORT"),
        (["admin"], {"FILAS_ADMIN_TOKEN": ""}, "FILAS_ADMIN_TOKEN"),
        (["admin"], {"FILAS_ADMIN_TOKEN": "x"}, "FILAS_ADMIN_TOKEN has 1 characters"),
        (["admin"], {"FILAS_SECRET_KEY": "x" * 31}, "FILAS_SECRET_KEY has 31 characters"),
        (["serve"], {"FILAS_SECRET_KEY": "x"}, "FILAS_SECRET_KEY has 1 characters"),
        (["admin"], {"INGEST_ADMIN_POOL_SIZE": "0"}, "INGEST_ADMIN_POOL_SIZE"),
        (["work"], {"INGEST_WORKER_CONCURRENCY": "0"}, "INGEST_WORKER_CONCURRENCY"),
        ([], {}, "usage"),
        (["both"], {}, "usage"),
    ],
)
async def test_a_wrong_setting_is_one_line_that_names_the_variable(
    arguments: list[str], variables: dict[str, str], named: str
) -> None:
    """The exit code is 2."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ingest", *arguments,
        env={**environment("redis://127.0.0.1:1", "postgresql://unknown@127.0.0.1:1/x"), **variables},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 2
    assert named in errors.decode()
    assert len(errors.decode().splitlines()) == 1


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    ("root", "absent"),
    [
        ("ingest.app", ("ingest.api", "ingest.scaling", "ingest.process")),
        (
            "ingest.admin_app",
            ("ingest.public_endpoint", "ingest.http.listener", "ingest.resume", "ingest.receive.handler"),
        ),
        ("ingest.worker_app", ("liquid", "jmespath", "filas.crypto.secret_box", "ingest.api", "ingest.verify")),
    ],
)
async def test_a_process_imports_only_what_it_needs(root: str, absent: tuple[str, ...]) -> None:
    """`serve` holds no API, `admin` no public endpoint, and `work` neither of them nor templates."""
    code = f"import {root}, sys; print([name for name in {absent} if name in sys.modules])"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert output.decode().strip() == "[]"
