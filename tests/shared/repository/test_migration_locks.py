"""A migration waits for no lock so long that other sessions stop, and can be repeated after any failure."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
from pogo_core.error import BadMigrationError

from filas.repository import migrate, migration_runs, schema
from filas.repository.migration_runs import MigrationBlocked
from filas_local.servers import PostgresServer
from tests.waiting import eventually

LAST = "0005_delivery_statuses.pre"
ADD_COLUMN = "alter table queue_pauses add column reason text;"
BUILD_INDEX = "create unique index concurrently pauses_time on queue_pauses (paused_at);"
INVALID = "select count(*) from pg_index where not indisvalid"
VALID = "select indisvalid from pg_index where indexrelid = to_regclass('pauses_time')"
INSERT = "insert into queue_pauses (queue, paused_at) values ($1, '2026-01-01')"

Session: TypeAlias = "asyncpg.Connection[Any]"
AddMigration: TypeAlias = Callable[..., None]


@pytest.fixture
def add_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddMigration:
    """Adds a migration `9000_new.pre` to those of this version. Returns the function that does."""
    directory = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, directory)
    monkeypatch.setattr(schema, "MIGRATIONS", directory)
    monkeypatch.setattr(migration_runs, "PAUSE_S", 0.05)

    def add(apply: str, *, in_transaction: bool = True) -> None:
        option = "" if in_transaction else "-- transaction: false\n"
        (directory / "9000_new.pre.sql").write_text(
            f"-- A new one\n-- depends: {LAST}\n{option}\n-- migrate: apply\n{apply}\n-- migrate: rollback\n"
        )

    return add


@pytest.fixture
async def reader(owner_dsn: str) -> AsyncIterator[Session]:
    """A session that has read `queue_pauses` in a transaction that is still open."""
    connection = await asyncpg.connect(owner_dsn, server_settings={"application_name": "a reader"})
    await connection.execute("begin")
    await connection.fetch("select * from queue_pauses")
    yield connection
    connection.terminate()


@pytest.fixture
async def session(owner_dsn: str) -> AsyncIterator[Session]:
    """Another session."""
    connection = await asyncpg.connect(owner_dsn)
    yield connection
    connection.terminate()


async def test_an_open_reader_stops_no_other_session(
    add_migration: AddMigration, owner_dsn: str, reader: Session, session: Session
) -> None:
    """The attempt is rolled back while the reader is open. The report names the table and the reader, not its query."""
    add_migration(ADD_COLUMN)
    reports: list[str] = []
    migrating = asyncio.create_task(migrate.migrate(owner_dsn, report=reports.append))
    await eventually(lambda: reports)
    await session.execute(INSERT, "notifications")
    assert "9000_new.pre waits for queue_pauses, held by pid " in reports[0]
    assert "(a reader, idle in transaction, open for " in reports[0]
    assert "select" not in reports[0]
    await reader.execute("commit")
    assert await migrating == 9000
    assert await session.fetchval("select reason from queue_pauses") is None


async def test_a_reader_that_stays_ends_the_migration(
    add_migration: AddMigration, owner_dsn: str, reader: Session, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the table and the session. Nothing of the migration is left, also not on other tables."""
    monkeypatch.setattr(migration_runs, "MAX_ATTEMPTS", 2)
    monkeypatch.setattr(migration_runs, "LOCK_TIMEOUT_S", 0.5)
    add_migration(f"create table extra (id text);\n{ADD_COLUMN}")
    with pytest.raises(MigrationBlocked, match=r"waits for queue_pauses, held by pid .*a reader.*all 2 attempts"):
        await migrate.migrate(owner_dsn)
    assert await session.fetchval("select to_regclass('extra')") is None
    assert await session.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0
    assert not reader.is_closed()


async def test_a_slow_statement_does_not_hold_its_locks(
    add_migration: AddMigration, owner_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole transaction is limited, whatever takes the time."""
    monkeypatch.setattr(migration_runs, "MAX_ATTEMPTS", 1)
    monkeypatch.setattr(migration_runs, "MAX_TRANSACTION_S", 0.3)
    add_migration(f"{ADD_COLUMN}\nselect pg_sleep(60);")
    with pytest.raises(MigrationBlocked, match=r"takes longer than 0\.3 s"):
        await migrate.migrate(owner_dsn)


async def test_a_frozen_migration_loses_its_locks(
    add_migration: AddMigration, owner_dsn: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres ends the transaction of a migrating process that is stopped between two statements."""
    add_migration(f"{ADD_COLUMN}\n{ADD_COLUMN}")
    stopped = asyncio.Event()

    async def limit(_run: object, *_limits: float) -> None:
        if await session.fetchval("select count(*) from pg_locks where mode = 'AccessExclusiveLock'"):
            stopped.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(migration_runs.MigrationRun, "_limit", limit)
    migrating = asyncio.create_task(migrate.migrate(owner_dsn))
    await stopped.wait()
    await session.execute(INSERT, "notifications")
    migrating.cancel()
    with suppress(asyncio.CancelledError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        await migrating


async def test_an_index_is_built_while_a_reader_and_writers_continue(
    add_migration: AddMigration,
    owner_dsn: str,
    reader: Session,
    session: Session,
    postgres_server: PostgresServer,
    fresh_database: str,
) -> None:
    """A time limit of the database for statements does not end the build."""
    postgres_server.execute(f"alter database {fresh_database} set statement_timeout = '1500ms'")
    add_migration(BUILD_INDEX, in_transaction=False)
    migrating = asyncio.create_task(migrate.migrate(owner_dsn))
    await eventually(lambda: session.fetchval("select to_regclass('pauses_time')::text"))
    await session.execute(INSERT, "notifications")
    await asyncio.wait([migrating], timeout=2.0)
    assert not migrating.done()
    await reader.execute("commit")
    assert await migrating == 9000
    assert await session.fetchval(VALID)


async def test_a_failed_build_leaves_no_index(add_migration: AddMigration, owner_dsn: str, session: Session) -> None:
    """An invalid unique index would still refuse rows. The migration succeeds once the rows are right."""
    await session.execute(INSERT, "a")
    await session.execute(INSERT, "b")
    add_migration(BUILD_INDEX, in_transaction=False)
    with pytest.raises(asyncpg.UniqueViolationError):
        await migrate.migrate(owner_dsn)
    assert await session.fetchval(INVALID) == 0
    await session.execute("delete from queue_pauses where queue = 'b'")
    assert await migrate.migrate(owner_dsn) == 9000


async def test_a_killed_build_is_done_again(
    add_migration: AddMigration, owner_dsn: str, reader: Session, session: Session
) -> None:
    """The index that the killed session has left is invalid: it is dropped and built again."""
    add_migration(f"{BUILD_INDEX}\ncreate index concurrently other on queue_pauses (paused_at);", in_transaction=False)
    migrating = asyncio.create_task(migrate.migrate(owner_dsn))
    await eventually(lambda: session.fetchval("select to_regclass('pauses_time')::text"))
    await session.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'filas migrate'"
    )
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
        await migrating
    assert await session.fetchval(INVALID) == 1
    await reader.execute("commit")
    versions = await asyncio.gather(*(migrate.migrate(owner_dsn) for _ in range(2)))
    assert versions == [9000, 9000]
    assert await session.fetchval(INVALID) == 0
    assert await session.fetchval(VALID)


async def test_only_repeatable_statements_run_without_a_transaction(
    add_migration: AddMigration, owner_dsn: str
) -> None:
    """A file that a killed process has half applied is applied again from its beginning."""
    add_migration(ADD_COLUMN, in_transaction=False)
    with pytest.raises(BadMigrationError, match="may only contain"):
        await migrate.migrate(owner_dsn)
