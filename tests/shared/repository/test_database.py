"""The pool connects when its server is available, reports what is wrong meanwhile, and recovers by itself."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from filas.errors import StoreUnavailable
from filas.repository import schema
from filas.repository.postgres.database import Database, ReadDatabase
from filas_local.servers import PostgresServer
from tests.ports import free_port
from tests.waiting import PATIENCE_S, eventually


@pytest.fixture
async def own_database(own_postgres: PostgresServer) -> AsyncIterator[Database]:
    """Returns a database whose server the test may kill."""
    database = Database(own_postgres.dsn(), application_name="test", max_size=4, statement_timeout_s=1.0)
    database.start()
    await database.wait_ready(PATIENCE_S)
    yield database
    await database.close()


@pytest.fixture
async def patient_database(own_postgres: PostgresServer) -> AsyncIterator[Database]:
    """Returns another connection to it, whose statements may take half a minute."""
    database = Database(own_postgres.dsn(), application_name="test", max_size=1, statement_timeout_s=30.0)
    database.start()
    await database.wait_ready(PATIENCE_S)
    yield database
    await database.close()


async def ask(database: Database) -> int:
    answer: int = await database.fetchval("select 1")
    return answer


async def test_it_starts_without_a_server_and_reports_it() -> None:
    """Starting returns at once. Every call raises an error with the reason."""
    database = Database(f"postgresql://user@127.0.0.1:{free_port()}/none", application_name="test")
    database.start()
    await eventually(lambda: database.problem == "connection refused")
    with pytest.raises(StoreUnavailable, match="postgres: connection refused"):
        await ask(database)
    with pytest.raises(StoreUnavailable, match="connection refused"):
        await database.wait_ready(0.05)
    await database.close()


async def test_it_connects_when_the_server_comes_up_later(own_postgres: PostgresServer) -> None:
    """A service may start before its database."""
    own_postgres.stop()
    database = Database(own_postgres.dsn(), application_name="test")
    database.start()
    await eventually(lambda: database.problem in ("connection refused", "unreachable"))
    await asyncio.to_thread(own_postgres.start)
    await database.wait_ready(PATIENCE_S)
    assert database.problem is None
    assert await ask(database) == 1
    await database.close()


async def test_a_killed_server_is_unavailable_until_it_runs_again(
    own_database: Database, patient_database: Database, own_postgres: PostgresServer
) -> None:
    """The running call and the calls after it raise StoreUnavailable. The pool reconnects by itself."""
    under_way = asyncio.create_task(patient_database.fetchval("select pg_sleep(20)"))
    await eventually(lambda: asyncio.to_thread(_sleeping, own_postgres))
    await asyncio.to_thread(own_postgres.kill)
    with pytest.raises(StoreUnavailable):
        await under_way
    assert patient_database.problem is not None
    with pytest.raises(StoreUnavailable):
        await ask(own_database)
    await asyncio.to_thread(own_postgres.start)
    await own_database.wait_ready(PATIENCE_S)
    assert await ask(own_database) == 1


async def test_a_stopped_server_is_unavailable_until_it_runs_again(
    own_database: Database, own_postgres: PostgresServer
) -> None:
    """An orderly stop (for an upgrade) ends the sessions. That is not an error of the caller."""
    await asyncio.to_thread(own_postgres.stop)
    await eventually(lambda: _refused(own_database))
    await asyncio.to_thread(own_postgres.start)
    await own_database.wait_ready(PATIENCE_S)
    assert await ask(own_database) == 1


async def test_a_server_that_turns_read_only_is_unavailable(
    own_database: Database, own_postgres: PostgresServer
) -> None:
    """As after a failover: a write fails, and the probe reports it until the server accepts writes again."""
    own_postgres.execute("alter database filas set default_transaction_read_only = on")
    own_postgres.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'test'")
    await eventually(lambda: _refused(own_database))
    await eventually(lambda: own_database.problem == "read-only")
    own_postgres.execute(
        "set default_transaction_read_only = off", "alter database filas reset default_transaction_read_only"
    )
    await own_database.wait_ready(PATIENCE_S)
    assert await ask(own_database) == 1


async def test_a_database_for_reading_may_be_a_replica(own_postgres: PostgresServer) -> None:
    """A replica refuses every write, and answers reads."""
    own_postgres.execute("alter database filas set default_transaction_read_only = on")
    database = ReadDatabase(own_postgres.dsn(), application_name="test")
    database.start()
    try:
        await database.wait_ready(PATIENCE_S)
        assert await database.fetchval("select count(*) from events") == 0
        assert database.problem is None
    finally:
        await database.close()


async def test_sessions_ended_by_an_administrator_are_replaced(
    own_database: Database, patient_database: Database, own_postgres: PostgresServer
) -> None:
    """57P01 during a statement is StoreUnavailable. The next statement gets a new connection."""
    under_way = asyncio.create_task(patient_database.fetchval("select pg_sleep(20)"))
    await eventually(lambda: asyncio.to_thread(_sleeping, own_postgres))
    own_postgres.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'test'")
    with pytest.raises(StoreUnavailable):
        await under_way
    await own_database.wait_ready(PATIENCE_S)

    async def answered() -> bool:
        # The pool may have had other connections, which were ended too.
        with suppress(StoreUnavailable):
            return await ask(own_database) == 1
        return False

    await eventually(answered)


async def test_a_slow_statement_is_ended_and_affects_no_other(own_database: Database) -> None:
    """A statement that exceeds its time is StoreUnavailable, but the store stays available."""
    with pytest.raises(StoreUnavailable, match="too long"):
        await own_database.fetchval("select pg_sleep(30)")
    assert own_database.problem is None
    assert await ask(own_database) == 1


async def test_a_frozen_server_is_unavailable(own_database: Database, own_postgres: PostgresServer) -> None:
    """A session that does not answer is given up one second after the statement's time."""
    backend = await own_database.fetchval("select pg_backend_pid()")
    frozen = [backend, own_postgres.pid]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match="timed out"):
            await ask(own_database)
        assert own_database.problem is not None
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    await own_database.wait_ready(PATIENCE_S)
    assert await ask(own_database) == 1


async def test_a_busy_pool_is_not_an_outage(postgres_dsn: str) -> None:
    """A caller that gets no connection in time gets an error. The store stays available."""
    database = Database(postgres_dsn, application_name="test", max_size=1, acquire_timeout_s=0.1)
    database.start()
    await database.wait_ready(PATIENCE_S)
    async with database.connection():
        with pytest.raises(StoreUnavailable, match="busy"):
            await ask(database)
    assert database.problem is None
    assert await ask(database) == 1
    await database.close()


async def test_a_database_without_its_schema_is_not_ready(own_postgres: PostgresServer) -> None:
    """The reason names the command to run."""
    own_postgres.ensure_database("empty")
    database = Database(own_postgres.dsn("empty"), application_name="test")
    database.start()
    problem = f"schema is at 0, needs {schema.required_version()}: run `filas migrate`"
    await eventually(lambda: database.problem == problem)
    with pytest.raises(StoreUnavailable, match="filas migrate"):
        await ask(database)
    await database.close()


async def test_a_transaction_is_rolled_back_by_an_exception(database: Database) -> None:
    """The connection can be used for the next one."""

    async def fail_half_way() -> None:
        async with database.transaction() as connection:
            await connection.execute("insert into queue_pauses (queue) values ('a')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_half_way()
    assert await database.fetchval("select count(*) from queue_pauses") == 0


async def test_a_wrong_statement_is_no_outage(database: Database) -> None:
    """A programming error must not be reported as an outage: it would be retried forever."""
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await database.fetch("selekt 1")
    with pytest.raises(asyncpg.InterfaceError):
        await database.fetch("select $1::int", 1, 2)
    assert database.problem is None


async def test_two_statements_in_a_deadlock_both_succeed(database: Database) -> None:
    """The statement that the server rolls back is repeated."""
    crossed = "select pg_advisory_xact_lock($1), pg_sleep(0.3), pg_advisory_xact_lock($2)"
    await asyncio.gather(database.fetch(crossed, 1, 2), database.fetch(crossed, 2, 1))
    await eventually(
        lambda: database.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
    )


async def test_a_closed_database_stays_closed(database: Database, tmp_path: Path) -> None:
    """Closing twice is harmless. Calls after it are rejected."""
    await database.close()
    await database.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await ask(database)


def _sleeping(server: PostgresServer) -> bool:
    return "1" in server.execute(
        "select 1 from pg_stat_activity where query like 'select pg_sleep%' and state='active'"
    )


async def _refused(database: Database) -> bool:
    try:
        await ask(database)
    except StoreUnavailable:
        return True
    return False


async def test_a_statement_that_is_rolled_back_again_and_again_is_no_fault_of_its_job(postgres_dsn: str) -> None:
    """A migration locks its tables in another order, for example: the job is requeued and uses no attempt."""
    database = Database(postgres_dsn, application_name="tests")
    database.start()
    await database.wait_ready(PATIENCE_S)
    try:
        with pytest.raises(StoreUnavailable, match="waited for each other"):
            await database.fetch("do $$ begin raise exception using errcode = '40P01'; end $$")
        assert database.problem is None
        assert await database.fetchval("select 1") == 1
    finally:
        await database.close()
