"""Postgres for the tests: a cluster that is made once for a run and copied, and databases over one connection."""

import asyncio
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import asyncpg

from filas.repository import migrate, roles
from filas_local.servers import PostgresServer

TEMPLATE = "filas_template"
MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 2 << 30
PREFIX = "filas-tests-"
SETTINGS = """
max_wal_size = 128MB
min_wal_size = 32MB
dynamic_shared_memory_type = mmap
"""
"""A small log, and no shared memory that stays on the machine when a test kills the server."""


def make_cluster(directory: Path) -> None:
    """Make a cluster with two migrated databases: `filas`, and TEMPLATE to clone. Its server is stopped afterwards."""
    with PostgresServer(directory, durable=False) as server:
        for database in ("filas", TEMPLATE):
            server.ensure_database(database)
            asyncio.run(roles.create_roles(server.dsn(database), {}))
            asyncio.run(migrate.migrate(server.dsn(database, user=roles.MIGRATE)))
    with (directory / "postgresql.conf").open("a") as settings:
        settings.write(SETTINGS)


def cluster_of_run(directory: Path) -> Path:
    """The cluster of this run in `directory`: the first of several processes that call this makes it."""
    cluster = directory / "postgres-cluster"
    with (directory / "postgres-cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cluster.exists():
            make_cluster(directory / "postgres-new")
            (directory / "postgres-new").rename(cluster)
    return cluster


def copy_cluster(cluster: Path, directory: Path) -> Path:
    """Copy a cluster whose server is stopped, with the owner of its files; returns `directory`."""
    subprocess.run(["cp", "--archive", str(cluster), str(directory)], check=True)
    return directory


@contextmanager
def fast_directory(fallback: Path) -> Iterator[Path]:
    """A directory in memory where the machine has enough of it, else `fallback`: cloning takes a fifth of the CPU."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < MEMORY_NEEDED:
        yield fallback
        return
    with ExitStack() as stack:
        # Otherwise another process could remove the directory before its lock is held.
        with _locked(os.open(MEMORY, os.O_RDONLY)):
            _remove_left_over()
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY, prefix=PREFIX)))
            stack.enter_context(_locked(os.open(directory / "lock", os.O_RDWR | os.O_CREAT)))
        yield directory


@contextmanager
def _locked(file: int) -> Iterator[None]:
    """Holds the lock of an open file descriptor, and closes it at the end of the block."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _remove_left_over() -> None:
    """Remove the directories of processes that were killed. A process holds the lock of its directory."""
    for path in MEMORY.glob(f"{PREFIX}*/lock"):
        with suppress(OSError), path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent)


class Databases:
    """Makes and drops databases on `server` over one connection. Not for use inside a running event loop."""

    def __init__(self, server: PostgresServer) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection: asyncpg.Connection[Any] = self._loop.run_until_complete(
            asyncpg.connect(server.dsn("postgres"))
        )

    def clone(self, database: str) -> None:
        """Make `database` with the present schema and no rows."""
        self._execute(f"create database {database} template {TEMPLATE} strategy file_copy")

    def drop(self, database: str) -> None:
        """Drop `database`. Sessions that are still open in it are ended."""
        self._execute(f"drop database {database} with (force)")

    def _execute(self, statement: str) -> None:
        self._loop.run_until_complete(self._connection.execute(statement))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()
