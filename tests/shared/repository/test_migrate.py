"""Several processes may migrate at the same time, and a migrated database is not changed."""

import asyncio
import json
import re
from pathlib import Path

import asyncpg
import pytest
from pogo_core.migration import read_sql_migration, strip_comments

from filas.repository import migrate, schema
from filas.repository.migration_runs import check_concurrent
from filas_local.servers import PostgresServer

NEW_TABLE = re.compile(r"create table (?:if not exists )?(\w+)")
TABLES = "select count(*) from pg_tables where schemaname = 'public' and tablename not like '\\_pogo%'"


async def test_several_at_once_migrate_once(postgres_server: PostgresServer) -> None:
    """Every process of a deploy may migrate. All of them end with the schema in place."""
    postgres_server.execute("create database migrate_at_once")
    dsn = postgres_server.dsn("migrate_at_once")
    versions = await asyncio.gather(*(migrate.migrate(dsn) for _ in range(4)))
    assert versions == [schema.required_version()] * 4
    connection = await asyncpg.connect(dsn)
    written = "\n".join(path.read_text() for path in schema.MIGRATIONS.glob("*.sql"))
    assert await connection.fetchval(TABLES) == len(set(NEW_TABLE.findall(written)))
    assert await connection.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0
    await connection.close()


async def test_a_migrated_database_is_not_changed(owner_dsn: str) -> None:
    """In either phase."""
    connection = await asyncpg.connect(owner_dsn)
    await connection.execute("insert into queue_pauses (queue) values ('webhook-processing')")
    assert await migrate.migrate(owner_dsn, phase="pre") == schema.required_version()
    assert await migrate.migrate(owner_dsn) == schema.required_version()
    assert await connection.fetchval("select count(*) from queue_pauses") == 1
    await connection.close()


async def test_a_migration_of_an_existing_database_is_audited(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it has applied. The first migration of a database has no entry, and neither has one without effect."""
    postgres_server.execute("create database migrate_audited")
    dsn = postgres_server.dsn("migrate_audited")
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", tmp_path)
        for path in schema_files():
            if int(path.stem[:4]) <= RELEASED_IN_0_1_0:
                (tmp_path / path.name).write_bytes(path.read_bytes())
        assert await migrate.migrate(dsn) == RELEASED_IN_0_1_0
    newest = await migrate.migrate(dsn)
    await migrate.migrate(dsn)
    connection = await asyncpg.connect(dsn)
    [entry] = await connection.fetch("select * from audit_entries")
    assert (entry["who"], entry["action"], entry["subject"]) == ("command line", "migrateDatabase", "database")
    assert json.loads(entry["before"]) == {"schema": RELEASED_IN_0_1_0}
    after = json.loads(entry["after"])
    assert (after["schema"], "0090_keys_and_audit.pre" in after["applied"]) == (newest, True)
    await connection.close()


def schema_files() -> list[Path]:
    """The files of all migrations of this version."""
    return sorted((Path(schema.__file__).parent / "migrations").glob("*.sql"))


async def test_an_empty_database_is_at_version_0(postgres_server: PostgresServer) -> None:
    """The version can be read before the first migration."""
    postgres_server.execute("create database migrate_empty")
    connection = await asyncpg.connect(postgres_server.dsn("migrate_empty"))
    assert await schema.current_version(connection) == 0
    await connection.close()


async def test_a_migration_that_is_missing_before_others_counts_as_missing(owner_dsn: str) -> None:
    """The version is that of the migrations without a gap. What a newer version has applied is ignored."""
    connection = await asyncpg.connect(owner_dsn)
    await connection.execute(
        "update _pogo_migration set migration_hash = 'x', migration_id = '9999_newer.pre'"
        " where migration_id = '0005_delivery_statuses.pre'"
    )
    assert await schema.current_version(connection) == 4
    await connection.close()


def test_every_migration_is_numbered_and_named_by_its_phase() -> None:
    """A number is used once. The code requires the newest `pre` migration."""
    names = sorted(path.stem for path in schema.MIGRATIONS.iterdir())
    assert len({name[:4] for name in names}) == len(names)
    assert all(name[:4].isdigit() and name.endswith((".pre", ".post")) for name in names)
    assert schema.pre_number("0007_drop_it.post") == 0
    assert schema.pre_number("0007_add_it.pre") == 7


INDEXED = re.compile(r"create (?:unique )?index (?!concurrently)(?:if not exists )?\w+\s+on (\w+)")
REMOVING = re.compile(
    r"drop (?:table|column|constraint)|rename|set not null|alter column \w+ (?:set data )?type|\bset default"
)
RELEASED_IN_0_1_0 = 5


@pytest.mark.parametrize("path", sorted(schema.MIGRATIONS.glob("*.sql")), ids=lambda path: str(path.stem))
def test_a_migration_stops_no_process_of_the_older_version(path: Path) -> None:
    """A `pre` migration only adds. The index of a table that has rows is built concurrently, in a file of its own."""
    if int(path.stem[:4]) <= RELEASED_IN_0_1_0:
        pytest.skip("no release had a part of these migrations")
    *_, in_transaction, found, _ = read_sql_migration(path)
    statements = [strip_comments(one).strip() for one in found]
    if not in_transaction:
        check_concurrent(path.stem, [one for one in statements if one])
        return
    text = "\n".join(statements).lower()
    assert not set(INDEXED.findall(text)) - set(NEW_TABLE.findall(text)), "use `create index concurrently`"
    assert path.stem.endswith(".post") or not REMOVING.search(text), "only a `post` migration may remove or change"
