"""Real Redis and Postgres servers for the tests. Each test has a database of its own.

With pytest-xdist each worker starts its own servers.
"""

import io
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from filas.observability import logs
from filas.repository import roles
from filas_local.servers import PostgresServer, RedisServer
from tests import process_guard
from tests.databases import Databases, cluster_of_run, copy_cluster, fast_directory
from tests.long_form import examples
from tests.ports import free_port

REDIS_DATABASES = 64

_numbers = itertools.count(1)

# Otherwise every process that the tests start compiles the product's source again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How long an example takes depends on the load of the machine, so it is not checked.
settings.register_profile(
    "filas", deadline=None, max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("filas")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--quick`, for `make test-quick`."""
    parser.addoption("--quick", action="store_true", help="only the tests that start no process")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that start processes, where `--quick` asks for that."""
    if config.getoption("--quick"):
        config.hook.pytest_deselected(items=[item for item in items if process_guard.starts_processes(item)])
        items[:] = [item for item in items if not process_guard.starts_processes(item)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test that starts a process without the marker for it fails, whether or not the run is a quick one."""
    process_guard.watch(item)
    try:
        return (yield)
    finally:
        process_guard.watch(None)


@pytest.fixture(autouse=True)
def _log_of_one_test() -> Iterator[None]:
    """What a test configures, such as a command that logs errors alone, ends with it."""
    with logs.redirected():
        yield


@pytest.fixture
def own_log() -> Iterator[io.StringIO]:
    """The process's log as JSON lines, configured by `logs.configure` for this test alone."""
    stream = io.StringIO()
    with logs.redirected():
        logs.configure("debug", "json", "tests", stream)
        yield stream


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The Redis that the tests of one worker share. A test that stops or flushes a server uses `own_redis`."""
    with RedisServer(
        tmp_path_factory.mktemp("redis"), port=free_port(), fsync="no", databases=REDIS_DATABASES
    ) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of an empty numbered Redis database. A number is used again after a flush."""
    number = next(_numbers) % REDIS_DATABASES
    redis_server.execute("FLUSHDB", database=number)
    return f"{redis_server.url}/{number}"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis with an append-only file for one test alone: the test may kill, stop, start and flush it."""
    with RedisServer(tmp_path / "own-redis", port=free_port(), fsync="always") as server:
        yield server


@pytest.fixture(scope="session")
def postgres_cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped Postgres cluster with migrated databases. The workers of a run share it and copy it."""
    directory = tmp_path_factory.getbasetemp()
    # A worker's directory is in that of the run.
    return cluster_of_run(directory.parent if "PYTEST_XDIST_WORKER" in os.environ else directory)


@pytest.fixture(scope="session")
def postgres_server(postgres_cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The Postgres that the tests of one worker share, with a migrated database to clone."""
    with fast_directory(tmp_path_factory.mktemp("postgres")) as directory:
        data = copy_cluster(postgres_cluster, directory / "data")
        with PostgresServer(data, durable=False) as server:
            yield server


@pytest.fixture(scope="session")
def databases(postgres_server: PostgresServer) -> Iterator[Databases]:
    """The connection over which databases are made and dropped."""
    with Databases(postgres_server) as databases:
        yield databases


@pytest.fixture
def fresh_database(databases: Databases) -> Iterator[str]:
    """The name of a fresh database with the present schema."""
    database = f"test_{next(_numbers)}"
    databases.clone(database)
    yield database
    databases.drop(database)


@pytest.fixture
def postgres_dsn(postgres_server: PostgresServer, fresh_database: str) -> str:
    """The address of a fresh database, as the role of the processes: it may not change the schema."""
    return postgres_server.dsn(fresh_database, user=roles.WRITE)


@pytest.fixture
def owner_dsn(postgres_server: PostgresServer, fresh_database: str) -> str:
    """The same database as `postgres_dsn`, as the role that owns the schema."""
    return postgres_server.dsn(fresh_database, user=roles.MIGRATE)


@pytest.fixture
def own_postgres(postgres_cluster: Path, tmp_path: Path) -> Iterator[PostgresServer]:
    """A Postgres for one test alone, with a migrated database `filas`: the test may kill, stop and start it.

    Its commits are durable, as in production.
    """
    with PostgresServer(copy_cluster(postgres_cluster, tmp_path / "own-postgres")) as server:
        yield server
