"""Several processes may migrate at the same time, and a migrated database is not changed."""

import asyncio

import asyncpg

from filas.repository import migrate, schema
from filas_local.servers import PostgresServer

TABLES = "select count(*) from pg_tables where schemaname = 'public' and tablename not like '\\_pogo%'"


async def test_several_at_once_migrate_once(postgres_server: PostgresServer) -> None:
    """Every process of a deploy may migrate. All of them end with the schema in place."""
    postgres_server.execute("create database migrate_at_once")
    dsn = postgres_server.dsn("migrate_at_once")
    versions = await asyncio.gather(*(migrate.migrate(dsn) for _ in range(4)))
    assert versions == [schema.required_version()] * 4
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval(TABLES) == 17
    assert await connection.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0
    await connection.close()


async def test_a_migrated_database_is_not_changed(postgres_dsn: str) -> None:
    """In either phase."""
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("insert into queue_pauses (queue) values ('webhook-processing')")
    assert await migrate.migrate(postgres_dsn, phase="pre") == schema.required_version()
    assert await migrate.migrate(postgres_dsn) == schema.required_version()
    assert await connection.fetchval("select count(*) from queue_pauses") == 1
    await connection.close()


async def test_an_empty_database_is_at_version_0(postgres_server: PostgresServer) -> None:
    """The version can be read before the first migration."""
    postgres_server.execute("create database migrate_empty")
    connection = await asyncpg.connect(postgres_server.dsn("migrate_empty"))
    assert await schema.current_version(connection) == 0
    await connection.close()


def test_every_migration_is_numbered_and_named_by_its_phase() -> None:
    """Numbers have no gaps. The code requires the newest `pre` migration."""
    names = sorted(path.stem for path in schema.MIGRATIONS.iterdir())
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    assert all(name.endswith((".pre", ".post")) for name in names)
    assert schema.pre_number("0007_drop_it.post") == 0
    assert schema.pre_number("0007_add_it.pre") == 7
