"""Compares deletes in chunks with partitions by day, by the latency of inserting a batch.

300,000 events are present, most of them past their age; batches of 100 new events come at a steady pace
while nothing else happens, while the purge deletes, and while the oldest partition is dropped.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filas.contract.identity import new_id
from filas.models.events import NewEvent
from filas.repository import migrate
from filas.repository.events import EventRepository
from filas.repository.postgres.database import Database
from filas.repository.retention import Ages, Retention
from filas_local.servers import PostgresServer

PRESENT = 300_000
EXPIRED_SHARE = 0.9
BATCH = 100
EVERY_S = 0.05
RUN_S = 15.0
BODY = b'{"object":"whatsapp_business_account","text":"' + b"x" * 700 + b'"}'
NOW = datetime.now(UTC)

FILL = """
insert into events (id, webhook_id, flow_id, node_id, status, method, headers, query_params, body, content_type,
    remote_address, config, received_at, processed_at)
select gen_random_uuid(), 'w' || n % 10, 'f', 'start', 'processed', 'POST', '{"a":"b"}', '{}', $2, 'application/json',
    '192.0.2.1', '{}', $1::timestamptz + n * interval '10 milliseconds', now()
from generate_series(1, $3::integer) as n"""

# The alternative: partitions, whose keys must contain the time, beside a narrow table that keeps ids unique.
PARTITIONED = """
create table parted (like events including defaults) partition by range (received_at);
create index on parted (received_at, id);
create index on parted (id);
create index on parted (webhook_id, received_at, id);
create index on parted (received_at, id) where status = 'received';
create table event_keys (id uuid primary key, received_at timestamptz not null);
create index on event_keys (received_at);
create table parted_old partition of parted for values from ('-infinity') to ('{day}');
create table parted_new partition of parted for values from ('{day}') to ('infinity');
insert into parted select * from events;
insert into event_keys select id, received_at from events;
analyze parted; analyze event_keys"""

INSERT_PARTED = """
with new as (
    insert into event_keys (id, received_at) select * from unnest($1::uuid[], $2::timestamptz[])
    on conflict do nothing returning id, received_at
)
insert into parted (id, webhook_id, flow_id, node_id, method, headers, query_params, body, content_type,
    remote_address, config, received_at)
select id, 'orders', 'welcome', 'start', 'POST', '{"a":"b"}', '{}', $3, 'application/json', '192.0.2.1', '{}',
    received_at
from new returning id"""

DROP_KEYS = """
delete from event_keys where id in (
    select id from event_keys where received_at < $1 order by received_at limit 2000)"""

Insert = Callable[[], Awaitable[object]]


def batch() -> list[NewEvent]:
    """Returns new events as ingest writes them."""
    return [
        NewEvent(
            id=new_id(),
            webhook_id="orders",
            flow_id="welcome",
            node_id="start",
            method="POST",
            headers='{"a":"b"}',
            query_params="{}",
            body=BODY,
            content_type="application/json",
            remote_address="192.0.2.1",
            duplicate_key=None,
            group_key=None,
            config="{}",
            received_at=datetime.now(UTC),
        )
        for _ in range(BATCH)
    ]


async def insert_while(insert: Insert, other: Awaitable[object] | None) -> tuple[list[float], object]:
    """Inserts batches at a steady pace for RUN_S. Returns the latency of each batch in ms, and the result of the
    other work.
    """
    work = asyncio.ensure_future(other) if other is not None else None
    latencies = []
    end = time.monotonic() + RUN_S
    while (began := time.monotonic()) < end:
        await insert()
        took = time.monotonic() - began
        latencies.append(took * 1000)
        await asyncio.sleep(max(0.0, EVERY_S - took))
    return latencies, await work if work is not None else None


def show(name: str, latencies: list[float], note: str = "") -> None:
    """Prints one line of the table."""
    cuts = statistics.quantiles(latencies, n=100)
    print(f"| {name:<34} | {cuts[49]:7.1f} | {cuts[98]:7.1f} | {max(latencies):7.1f} | {note} |", flush=True)


async def measure(dsn: str) -> None:
    """Measures the three cases, one after the other, on one server."""
    database = Database(dsn, application_name="bench", max_size=4, statement_timeout_s=120.0)
    database.start()
    await database.wait_ready(10)
    expired = int(PRESENT * EXPIRED_SHARE)
    await database.fetch(FILL, NOW - timedelta(days=40), BODY, expired)
    await database.fetch(FILL, NOW - timedelta(days=1), BODY, PRESENT - expired)
    await database.fetch("analyze events")
    async with database.connection() as connection:
        await connection.execute(PARTITIONED.format(day=NOW - timedelta(days=30)))
        await connection.execute("checkpoint")
    events, retention = EventRepository(database), Retention(database)

    async def insert() -> object:
        return await events.insert_many(batch())

    async def insert_parted() -> object:
        ids = [new_id() for _ in range(BATCH)]
        return await database.fetch(INSERT_PARTED, ids, [datetime.now(UTC)] * BATCH, BODY)

    async def drop() -> int:
        await asyncio.sleep(RUN_S / 3)
        await database.fetch("drop table parted_old")
        rows = 0
        while (status := await _delete_keys(database)) > 0:
            rows += status
            await asyncio.sleep(0.02)
        return rows

    print("| 100 events a batch, 20 batches/s   |  p50 ms |  p99 ms |  max ms | beside it |")
    print("|---|---|---|---|---|")
    latencies, _ = await insert_while(insert, None)
    show("one table, nothing beside", latencies)
    latencies, counts = await insert_while(insert, retention.purge(NOW, Ages(), budget_s=RUN_S))
    show("one table, purge in chunks", latencies, f"deleted {counts}")
    latencies, _ = await insert_while(insert_parted, None)
    show("partitions, nothing beside", latencies)
    latencies, rows = await insert_while(insert_parted, drop())
    show("partitions, one dropped", latencies, f"and {rows} keys deleted")
    await database.close()


async def _delete_keys(database: Database) -> int:
    async with database.connection() as connection:
        return int((await connection.execute(DROP_KEYS, NOW - timedelta(days=30))).split()[-1])


def main() -> None:
    """Runs the measurements on a Postgres that syncs its commits to disk."""
    with tempfile.TemporaryDirectory() as home, PostgresServer(Path(home) / "postgres") as server:
        server.ensure_database()
        asyncio.run(migrate.migrate(server.dsn()))
        asyncio.run(measure(server.dsn()))


if __name__ == "__main__":
    main()
