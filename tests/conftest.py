"""A real Redis and a real Postgres for every test that asks, each test alone in a database of its own."""

import asyncio
import io
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from filas.observability import logs
from filas.repository import migrate
from filas_local.servers import PostgresServer, RedisServer

REDIS_DATABASES = 64
TEMPLATE = "filas_template"

_numbers = itertools.count(1)


@pytest.fixture
def own_log() -> Iterator[io.StringIO]:
    """The process's log as JSON lines, as `logs.configure` sets it up, for this test alone: no logger remembers it."""
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("debug", "json", "tests", stream)
    structlog.configure(cache_logger_on_first_use=False)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The Redis that the tests share. Whoever wants to stop or flush one asks for `own_redis`."""
    with RedisServer(tmp_path_factory.mktemp("redis"), fsync="no", databases=REDIS_DATABASES) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """A numbered Redis database that holds nothing. Numbers come round again; the flush makes them new."""
    number = next(_numbers) % REDIS_DATABASES
    redis_server.execute("FLUSHDB", database=number)
    return f"{redis_server.url}/{number}"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis with an append-only file that belongs to this test alone: to kill, stop, start and flush."""
    with RedisServer(tmp_path / "own-redis", fsync="always") as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The Postgres that the tests share, with a migrated database to clone."""
    with PostgresServer(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        server.ensure_database(TEMPLATE)
        asyncio.run(migrate.migrate(server.dsn(TEMPLATE)))
        yield server


@pytest.fixture
def postgres_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a fresh database with the present schema."""
    database = f"test_{next(_numbers)}"
    postgres_server.execute(f"create database {database} template {TEMPLATE}")
    yield postgres_server.dsn(database)
    postgres_server.execute(f"drop database {database} with (force)")


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """A Postgres that belongs to this test alone, its database `filas` migrated: to kill, stop and start.

    It keeps to disk what it has committed, as the real one does.
    """
    with PostgresServer(tmp_path / "own-postgres") as server:
        server.ensure_database()
        asyncio.run(migrate.migrate(server.dsn()))
        yield server
