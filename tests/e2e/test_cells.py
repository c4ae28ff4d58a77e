"""Two installations (cells) can share the conversations: ids do not collide, and no webhook needs a lock or key of all.

docs/operations/scale.md describes cells.
"""

import asyncio
import io
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import pytest

from filas.contract.policies import QUEUES
from filas_local.servers import PostgresServer, RedisServer
from tests.databases import Databases
from tests.documents import ROOT
from tests.e2e.pipeline import Pipeline, Receiver, receiver
from tests.e2e.test_main_job import set_up, signed, whatsapp_message
from tests.waiting import eventually

TABLES_OF_WORK: Final = (
    "callbacks",
    "contact_aliases",
    "contacts",
    "conversations",
    "delivery_statuses",
    "event_duplicates",
    "event_keys",
    "events",
    "execution_cancels",
    "executions",
    "job_cancels",
    "message_outcomes",
    "notification_attempts",
    "notification_cancels",
    "notifications",
    "steps",
)
"""The tables that the way of a webhook writes. Each row belongs to one event, execution, message or contact."""

SHARED: Final = {"flows": "the start of an execution takes a lock that others of its kind share (START_MANY)"}
"""Tables whose rows the way of a webhook locks together with others, and does not write."""

KEYS_OF_ALL: Final = {
    r"\{filas-rate\}:": "rate limits, which replicas share: one call counts many requests of many webhooks",
    r"arq:abort$": "stock arq's set of jobs to abort; on a Cluster each queue has its own",
    r"\{?filas:dashboard": "the figures of the overview, from `ingest admin`",
}
"""Keys in Redis that belong to no queue."""

WITHOUT_KEYS: Final = frozenset(
    {"AUTH", "CLIENT", "COMMAND", "HELLO", "INFO", "MONITOR", "PING", "SCRIPT", "SELECT", "TIME"}
)

SAME: Final = whatsapp_message("5511999990001", "oi", "wamid.SAME")
DELIVERED: Final = "select count(*) from notifications where status = 'delivered'"

SEQUENCES: Final = "select relname from pg_class where relkind = 'S' and relnamespace = 'public'::regnamespace"
GENERATED: Final = """
select c.relname, a.attname from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
    and (a.attidentity <> '' or pg_get_expr(d.adbin, d.adrelid) like '%nextval%')"""

FIRST_KEY_TYPES: Final = """
select c.relname, format_type(a.atttypid, null) from pg_class c
join pg_index i on i.indrelid = c.oid and i.indisprimary
join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
where c.relname = any ($1::text[])"""

LOCKING: Final = """
select conrelid::regclass::text, 'foreign key' from pg_constraint
where contype = 'f' and conrelid::regclass::text = any ($1::text[])
union all select tgrelid::regclass::text, 'trigger' from pg_trigger
where not tgisinternal and tgrelid::regclass::text = any ($1::text[])"""

OTHER_TABLES: Final = """
select string_agg(quote_ident(relname), ', ') from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname <> all ($1::text[])"""


@asynccontextmanager
async def superuser(server: PostgresServer, database: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A session of the superuser."""
    connection = await asyncpg.connect(server.dsn(database))
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
def second_database(databases: Databases) -> Iterator[str]:
    """The database of the second cell."""
    databases.clone("second_cell")
    yield "second_cell"
    databases.drop("second_cell")


async def test_no_id_comes_from_a_sequence(postgres_server: PostgresServer, fresh_database: str) -> None:
    """Two cells would count the same numbers. Ids are derived from the event, or random."""
    async with superuser(postgres_server, fresh_database) as connection:
        assert [row[0] for row in await connection.fetch(SEQUENCES)] == []
        assert [tuple(row) for row in await connection.fetch(GENERATED)] == []
        types = dict(await connection.fetch(FIRST_KEY_TYPES, TABLES_OF_WORK))
        assert types.keys() == set(TABLES_OF_WORK)
        assert {table: kind for table, kind in types.items() if kind not in ("uuid", "text")} == {}


async def test_a_row_of_work_refers_to_no_row_of_all(postgres_server: PostgresServer, fresh_database: str) -> None:
    """A foreign key to a webhook or a flow would lock its row in every transaction. A trigger could do anything."""
    async with superuser(postgres_server, fresh_database) as connection:
        assert [tuple(row) for row in await connection.fetch(LOCKING, TABLES_OF_WORK)] == []


def test_only_operators_commands_take_an_advisory_lock() -> None:
    """It is one lock of the whole database."""
    found = {
        path.relative_to(ROOT).as_posix()
        for directory in ("shared/src", "services")
        for path in (ROOT / directory).rglob("*.py")
        if "advisory" in path.read_text()
    }
    assert found == {
        "shared/src/filas/repository/access/audit.py",  # a change of a definition, by its subject
        "shared/src/filas/repository/migrate.py",  # one migration at a time
    }


async def deliver(pipeline: Pipeline, outside: Receiver, bodies: Sequence[bytes]) -> None:
    """Posts the messages of WhatsApp, and returns when the answer to each has arrived."""
    before = len(outside.at("/messages"))
    for body in bodies:
        status, _ = await pipeline.webhook("whatsapp", body, signed(body))
        assert status == 200
    await eventually(lambda: len(outside.at("/messages")) >= before + len(bodies))


async def until_recorded(server: PostgresServer, database: str, count: int) -> None:
    """Returns when `count` messages are recorded as delivered."""
    async with superuser(server, database) as connection:

        async def recorded() -> bool:
            return bool(await connection.fetchval(DELIVERED) >= count)

        await eventually(recorded)


async def ids(connection: "asyncpg.Connection[Any]", table: str) -> set[str]:
    """The primary keys of a table, as text."""
    columns = await connection.fetchval(
        "select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_index i join pg_attribute a"
        " on a.attrelid = i.indrelid and a.attnum = any (i.indkey) where i.indisprimary and i.indrelid = $1::regclass",
        table,
    )
    return {row[0] for row in await connection.fetch(f"select concat_ws(' ', {columns}) from {table}")}


async def merge(source: "asyncpg.Connection[Any]", target: "asyncpg.Connection[Any]", table: str) -> None:
    """Inserts the rows whose primary key `target` does not have. Any other conflict is an error."""
    rows = io.BytesIO()
    await source.copy_from_table(table, output=rows)
    rows.seek(0)
    async with target.transaction():
        await target.execute(f"create temporary table incoming (like {table}) on commit drop")
        await target.copy_to_table("incoming", source=rows)
        await target.execute(
            f"insert into {table} select * from incoming on conflict on constraint {table}_pkey do nothing"
        )


async def test_the_rows_of_two_cells_can_be_merged(
    redis_url: str,
    own_redis: RedisServer,
    postgres_server: PostgresServer,
    fresh_database: str,
    second_database: str,
    tmp_path: Path,
) -> None:
    """The same webhook has the same ids in both cells, so that a cell may continue the work of another. Different
    webhooks have different ids, so that all rows of one cell may move to the other."""
    cells = ((redis_url, fresh_database), (own_redis.url, second_database))
    for number, (redis, database) in enumerate(cells):
        logs = tmp_path / database
        logs.mkdir()
        own = whatsapp_message(f"551199999001{number}", "oi", f"wamid.CELL-{number}")
        dsn = postgres_server.dsn(database)
        async with receiver() as outside, Pipeline(redis, dsn, logs) as pipeline:
            await set_up(pipeline, outside)
            await deliver(pipeline, outside, [SAME, own])
            await until_recorded(postgres_server, database, 2)

    async with superuser(postgres_server, cells[0][1]) as first, superuser(postgres_server, cells[1][1]) as second:
        for table in TABLES_OF_WORK:
            of_first, of_second = await ids(first, table), await ids(second, table)
            same, total = of_first & of_second, of_first | of_second
            assert len(same) == len(of_first) / 2 == len(of_second) / 2, f"{table}: {of_first} and {of_second}"
            await merge(second, first, table)
            assert await ids(first, table) == total
        assert await first.fetchval(DELIVERED) == 3


async def _record_commands(url: str, commands: list[str]) -> None:
    """Adds what the server runs to `commands`, until cancelled."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1 << 26)
    try:
        writer.write(b"MONITOR\r\n")
        while line := await reader.readline():
            commands.append(line.decode(errors="replace"))
    finally:
        writer.close()


def keys_of(command: str) -> list[str]:
    """The keys of a command, from the line that MONITOR writes for it."""
    name, *arguments = re.findall(r'"((?:[^"\\]|\\.)*)"', command) or ("PING",)
    match name.upper():
        case "EVALSHA" | "EVAL":
            return arguments[2 : 2 + int(arguments[1])]
        case "MGET" | "DEL" | "UNLINK" | "EXISTS":
            return arguments
        case "BLPOP" | "BRPOP" | "BZPOPMIN":
            return arguments[:-1]
        case keyless if keyless in WITHOUT_KEYS:
            return []
        case _:
            return arguments[:1]


def queue_of(key: str) -> str | None:
    """The queue that the key belongs to, or None."""
    return next((queue.name for queue in QUEUES if key == queue.name or f"{{{queue.name}}}" in key), None)


async def test_a_webhook_needs_no_lock_and_no_key_of_all(
    own_redis: RedisServer, postgres_server: PostgresServer, fresh_database: str, tmp_path: Path
) -> None:
    """Messages are delivered while a session keeps other ones from every row outside of the tables of work, and each
    command to Redis uses the keys of one queue."""
    commands: list[str] = []
    pipeline = Pipeline(own_redis.url, postgres_server.dsn(fresh_database), tmp_path)
    async with receiver() as outside, pipeline, superuser(postgres_server, fresh_database) as connection:
        await set_up(pipeline, outside)
        await deliver(pipeline, outside, [SAME])
        others = await connection.fetchval(OTHER_TABLES, [*TABLES_OF_WORK, *SHARED])

        async def lock() -> bool:
            """Another session may lock two of the tables in another order: one of both then ends."""
            await connection.execute("begin")
            try:
                await connection.execute(f"lock table {others} in exclusive mode")
                for table in SHARED:
                    await connection.execute(f"lock table {table} in share mode")
                    await connection.execute(f"select from {table} for share")
            except asyncpg.DeadlockDetectedError:
                await connection.execute("rollback")
                return False
            return True

        await eventually(lock)
        recording = asyncio.create_task(_record_commands(own_redis.url, commands))
        await eventually(lambda: commands)
        bodies = [whatsapp_message(f"551199999002{one}", "oi", f"wamid.{one}") for one in range(5)]
        await deliver(pipeline, outside, bodies)
        await until_recorded(postgres_server, fresh_database, 1 + len(bodies))
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)
        await connection.execute("rollback")

    used: set[str] = set()
    for command in commands:
        keys = [key for key in keys_of(command) if not any(re.match(of_all, key) for of_all in KEYS_OF_ALL)]
        queues = {queue_of(key) for key in keys}
        assert None not in queues, f"a key of no queue: {command}"
        assert len(queues) <= 1, f"keys of several queues: {command}"
        used |= {queue for queue in queues if queue is not None}
    assert used == {queue.name for queue in QUEUES}
