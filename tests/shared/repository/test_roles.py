"""The three roles of Postgres have the rights that they need, and no others."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Iterator
from contextlib import suppress

import asyncpg
import pytest

from filas.errors import StoreUnavailable
from filas.repository import migrate, roles, schema
from filas.repository.pauses import PauseRepository
from filas.repository.postgres.database import Database
from filas_local.launching import LocalRunError
from filas_local.servers import PostgresServer
from tests.waiting import PATIENCE_S, eventually

PASSWORDS = {roles.MIGRATE: "migrate-secret", roles.WRITE: "write-secret", roles.READ: "read-secret"}
TABLES = "select tablename from pg_tables where schemaname = 'public' order by 1"
DENIED = asyncpg.InsufficientPrivilegeError


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of an empty database that only the superuser knows."""
    postgres_server.execute("create database roles_test")
    yield "roles_test"
    postgres_server.execute("drop database roles_test with (force)")


async def refused(connection: "asyncpg.Connection[asyncpg.Record]", *statements: str) -> None:
    """Each statement fails, because the user lacks a right."""
    for statement in statements:
        with pytest.raises(DENIED):
            await connection.execute(statement)


async def test_a_role_has_its_rights_and_no_others(postgres_server: PostgresServer, database: str) -> None:
    """Nobody but `filas_migrate` changes the schema. The record of migrations is only read."""
    await roles.create_roles(postgres_server.dsn(database), PASSWORDS)
    await migrate.migrate(postgres_server.dsn(database, user=roles.MIGRATE))
    writer = await asyncpg.connect(postgres_server.dsn(database, user=roles.WRITE))
    reader = await asyncpg.connect(postgres_server.dsn(database, user=roles.READ))
    tables = [row["tablename"] for row in await writer.fetch(TABLES)]
    assert len(tables) > 15
    for table in tables:
        await writer.execute(f"select * from {table}")
        hidden = table in roles.HIDDEN_FROM_READ
        await (refused(reader, f"select * from {table}") if hidden else reader.execute(f"select * from {table}"))
        if table == roles.MIGRATION_RECORD:
            await refused(writer, f"delete from {table}")
        else:
            await writer.execute(f"delete from {table} where false")
        await refused(reader, f"delete from {table} where false", f"truncate {table}")
        await refused(writer, f"truncate {table}", f"drop table {table}", f"alter table {table} add x int")
    for connection in (writer, reader):
        await refused(
            connection,
            "create table x ()",
            "create temporary table x ()",
            "create schema x",
            "create index x on events (id)",
            "create role x",
            "create database x",
            "copy events to '/tmp/x'",
            "copy events to program 'true'",
            "select pg_read_file('postgresql.conf')",
            "select passwd from pg_shadow",
            f"set role {roles.MIGRATE}",
            "alter system set fsync = off",
        )
    assert await reader.fetchval("select current_setting('is_superuser')") == "off"
    for connection in (writer, reader):
        await connection.close()


async def test_the_roles_do_not_reach_what_is_in_other_databases(
    postgres_server: PostgresServer, database: str, postgres_dsn: str
) -> None:
    """No other role reaches the database of Filas, and its roles read no table elsewhere."""
    await roles.create_roles(postgres_server.dsn(database), PASSWORDS)
    postgres_server.execute("create database roles_other")
    postgres_server.execute("create table private (secret text)", database="roles_other")
    try:
        for role in roles.ROLES:
            other = await asyncpg.connect(postgres_server.dsn("roles_other", user=role))
            await refused(other, "select * from private", "create table x ()")
            await other.close()
        postgres_server.execute("create role roles_stranger login")
        with pytest.raises(DENIED):
            await asyncpg.connect(postgres_server.dsn(database, user="roles_stranger"))
    finally:
        postgres_server.execute("drop database roles_other with (force)")
        with suppress(LocalRunError):
            postgres_server.execute("drop role roles_stranger")


async def test_an_installation_with_one_user_gets_the_roles(postgres_server: PostgresServer, database: str) -> None:
    """The tables that exist change their owner, the rows stay, and the later migrations are those of the new owner.

    Several containers may create the roles at the same time, and again at every start.
    """
    await migrate.migrate(postgres_server.dsn(database))
    postgres_server.execute(
        "insert into queue_pauses (queue) values ('notifications')",
        "create sequence numbers",
        "create table counted (id bigserial)",
        database=database,
    )
    for _ in range(2):
        await roles.create_roles(postgres_server.dsn(database), PASSWORDS)
    owners = postgres_server.execute(
        "select distinct pg_get_userbyid(relowner) from pg_class where relnamespace = 'public'::regnamespace",
        database=database,
    )
    assert owners == roles.MIGRATE
    assert await migrate.migrate(postgres_server.dsn(database, user=roles.MIGRATE)) == schema.required_version()
    writer = await asyncpg.connect(postgres_server.dsn(database, user=roles.WRITE))
    assert await writer.fetchval("select count(*) from queue_pauses") == 1
    assert await writer.fetchval("select nextval('numbers')") == 1
    await writer.execute("insert into counted default values")
    await writer.close()


async def test_a_new_table_can_be_used_at_once(postgres_server: PostgresServer, database: str) -> None:
    """A later migration creates a table. The writing role has it with the table, the reading role with `grant`."""
    await roles.create_roles(postgres_server.dsn(database), PASSWORDS)
    await migrate.migrate(postgres_server.dsn(database, user=roles.MIGRATE))
    owner = await asyncpg.connect(postgres_server.dsn(database, user=roles.MIGRATE))
    await owner.execute("create table later (id bigserial)")
    await owner.close()
    writer = await asyncpg.connect(postgres_server.dsn(database, user=roles.WRITE))
    await writer.execute("insert into later default values")
    await writer.close()
    # A superuser who migrates acts as the owner, so that no table belongs to the superuser.
    await migrate.migrate(postgres_server.dsn(database))
    reader = await asyncpg.connect(postgres_server.dsn(database, user=roles.READ))
    assert await reader.fetchval("select count(*) from later") == 1
    await reader.close()


async def test_a_second_migration_grants_nothing_again(postgres_server: PostgresServer, database: str) -> None:
    """A grant invalidates the plans of every session, so present rights are left alone."""
    dsn = postgres_server.dsn(database, user=roles.MIGRATE)
    await roles.create_roles(postgres_server.dsn(database), PASSWORDS)
    await migrate.migrate(dsn)
    versions = "select string_agg(relname || xmin, ',' order by relname) from pg_class where relkind = 'r'"
    before = postgres_server.execute(versions, database=database)
    await migrate.migrate(dsn)
    assert postgres_server.execute(versions, database=database) == before


async def test_one_user_for_everything_needs_no_roles(postgres_server: PostgresServer, database: str) -> None:
    """`filas migrate` grants nothing in a database that has not been given to the roles."""
    await roles.create_roles(postgres_server.dsn("filas"), PASSWORDS)
    await migrate.migrate(postgres_server.dsn(database))
    writer = await asyncpg.connect(postgres_server.dsn(database, user=roles.WRITE))
    await refused(writer, "select * from events")
    await writer.close()


async def test_the_passwords_are_those_that_were_given(postgres_server: PostgresServer, database: str) -> None:
    """The server stores them as SCRAM verifiers, and its log does not contain them."""
    log = postgres_server.log_path
    postgres_server.execute("alter system set log_statement = 'all'", "select pg_reload_conf()")
    try:
        await roles.create_roles(postgres_server.dsn(database), PASSWORDS)
    finally:
        postgres_server.execute("alter system reset log_statement", "select pg_reload_conf()")
    written = log.read_text()
    assert "alter role filas_write" in written or "create role filas_write" in written
    assert not [password for password in PASSWORDS.values() if password in written]
    for role, password in PASSWORDS.items():
        stored = postgres_server.execute(f"select rolpassword from pg_authid where rolname = '{role}'")
        assert matches(stored, password)
        assert not matches(stored, f"{password}x")


def matches(stored: str, password: str) -> bool:
    """Whether a SCRAM verifier of Postgres is that of the password."""
    _, parameters, keys = stored.split("$")
    iterations, salt = parameters.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    return keys.split(":")[0] == base64.b64encode(stored_key).decode()


async def test_a_password_that_is_not_ascii_is_refused(postgres_server: PostgresServer, database: str) -> None:
    """Its verifier would be another one than that of clients, which normalize it."""
    with pytest.raises(roles.RolesNotCreated, match="filas_read"):
        await roles.create_roles(postgres_server.dsn(database), {roles.READ: "sen\u00e7a"})


async def test_a_process_without_rights_reports_which_command_helps(
    postgres_server: PostgresServer, database: str
) -> None:
    """A missing right is a fault of the store: no job fails because of it."""
    await roles.create_roles(postgres_server.dsn(database), PASSWORDS)
    await migrate.migrate(postgres_server.dsn(database, user=roles.MIGRATE))
    store = Database(postgres_server.dsn(database, user=roles.READ), application_name="tests")
    store.start()
    try:
        await store.wait_ready(PATIENCE_S)
        with pytest.raises(StoreUnavailable, match="filas migrate"):
            await PauseRepository(store).pause("notifications")
    finally:
        await store.close()


async def test_a_locked_table_delays_the_change_of_owner_only(postgres_server: PostgresServer, database: str) -> None:
    """The change gives up its place in the queue for the lock, so that other sessions are not held up behind it."""
    await migrate.migrate(postgres_server.dsn(database))
    reader = await asyncpg.connect(postgres_server.dsn(database))
    transaction = reader.transaction()
    await transaction.start()
    await reader.execute("select * from events")
    changing = asyncio.create_task(roles.create_roles(postgres_server.dsn(database), PASSWORDS))
    other = await asyncpg.connect(postgres_server.dsn(database))
    waiting = "select count(*) from pg_locks where not granted"
    await eventually(lambda: other.fetchval(waiting))
    await asyncio.wait_for(other.execute("select * from events"), PATIENCE_S)
    await transaction.rollback()
    await changing
    await other.close()
    await reader.close()
