"""Measures figures over time: how long their answers take at 90 days and 5 million events, how fast they are built from
rows, and what the indexes that the builder needs cost the writers.

`python -m tests.benchmarks.analytics`, or only one part: `answers`, `building` or `indexes`.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from filas.contract.identity import new_id
from filas.models.analytics import Resolution, bucket_of
from filas.models.executions import ClaimedExecution
from filas.repository import migrate
from filas.repository.analytics.rollup_builder import RollupBuilder
from filas.repository.analytics.rollup_queries import AnalyticsRepository, Span
from filas.repository.analytics.rollup_sql import COLUMNS
from filas.repository.analytics.rollup_store import RollupStore
from filas.repository.analytics.traffic_queries import TrafficRepository
from filas.repository.definitions.flows import FlowRepository
from filas.repository.events import EventRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.postgres.database import Database
from filas_local.servers import PostgresServer
from tests.shared.repository.builders import checkpoint, event, execution, step

WEBHOOKS, FLOWS, NODES, CHANNELS = 100, 50, 10, 20
DAILY = 5_000_000 // 90
RUNS: Final = 20
GOAL_MS: Final = 200
ROUNDS: Final = 5
BATCH: Final = 100
BATCHES: Final = 30

# $1: the resolution. $2: the first bucket, $3: how many, $4: the width. $5: the figure, $6: subjects, $7: parts. $8:
# outcomes. $9: the count of a cell. The counts are spread over ten neighbouring columns of the histogram.
FILL = f"""
insert into rollups (resolution, figure, at, subject, part, outcome, count, sum_ms, {", ".join(COLUMNS[4:14])})
select $1::text, $5::text, $2::timestamptz + n * $4::interval, subject, part, outcome, $9::bigint, $9::bigint * 100,
    {", ".join(["ceil($9::bigint / 10.0)"] * 10)}
from generate_series(0, $3::integer - 1) n
    cross join (select '*' as subject union all select 's' || s from generate_series(1, $6::integer) s) s
    cross join (
        select case when $7::integer = 1 then '' else 'n' || p end as part from generate_series(1, $7::integer) p) p
    cross join unnest($8::text[]) as outcome"""

# 100,000 events, each with an execution of five steps and a message, spread over an hour.
ROWS = (
    """
insert into events (id, webhook_id, flow_id, node_id, status, method, headers, query_params, body, content_type,
    remote_address, config, received_at, processed_at)
select ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'w' || n % 100, 'f', 'start', 'processed', 'POST',
    '{}', '{}', $2, '', '', '{}', $1::timestamptz + n * interval '36 ms', $1::timestamptz + (n + 2) * interval '36 ms'
from generate_series(1, 100000) n""",
    """
insert into executions (id, flow_id, version, node_id, status, trigger, event_id, queued_at, started_at, ended_at)
select id, 'f' || substr(webhook_id, 2)::integer % 50, 1, 'start', 'succeeded', '{}', id, processed_at, processed_at,
    processed_at + interval '100 ms' from events""",
    """
insert into steps (execution_id, seq, node_id, type, status, attempt, started_at, ended_at)
select id, n, 'n' || n, 'message', 'succeeded', 1, started_at, ended_at from executions, generate_series(1, 5) n""",
    """
insert into notifications (id, execution_id, seq, channel_id, recipient, payload, idempotency_key, status, attempts,
    due_at, created_at, updated_at, ended_at)
select id, id, 5, 'c' || substr(flow_id, 2)::integer % 20, '', '{}', id::text, 'sent', 1, ended_at, ended_at, ended_at,
    ended_at + interval '200 ms' from executions""",
    """
insert into notification_attempts (notification_id, attempt, outcome, started_at, ended_at)
select id, 1, 'sent', created_at, ended_at from notifications""",
    "analyze",
)

INDEXES = {
    "events_processed": "events (processed_at) where processed_at is not null",
    "executions_ended": "executions (ended_at) where ended_at is not null",
    "notifications_ended": "notifications (ended_at) where ended_at is not null",
}

Call = Callable[[], Awaitable[object]]


async def fill_rollups(database: Database, now: datetime) -> int:
    """Writes the rollups of 90 days. Returns the number of rows."""
    kinds = (
        ("received", WEBHOOKS, 1, [""]),
        ("events", WEBHOOKS, 1, ["processed", "ignored", "failed"]),
        ("executions", FLOWS, 1, ["succeeded", "failed", "timed-out"]),
        ("nodes", FLOWS, NODES, ["succeeded", "failed"]),
        ("outputs", FLOWS, NODES, ["out", "error"]),
        ("endings", FLOWS, NODES, ["succeeded", "failed", "timed-out", "cancelled"]),
        ("deliveries", CHANNELS, 1, ["sent", "delivered", "read", "failed"]),
        ("latency", WEBHOOKS, 1, [""]),
        ("refusals", WEBHOOKS, 1, ["signature"]),
        ("flow-retries", FLOWS, 1, [""]),
        ("node-retries", FLOWS, NODES, [""]),
        ("channel-retries", CHANNELS, 1, [""]),
    )
    widths: tuple[tuple[Resolution, timedelta, int], ...] = (
        ("day", timedelta(days=1), 180),  # 90 days, and the period before
        ("hour", timedelta(hours=1), 14 * 24),
        ("minute", timedelta(minutes=1), 6 * 60),
    )
    for resolution, width, buckets in widths:
        first = bucket_of(resolution, now) - (buckets - 1) * width
        for figure, subjects, parts, outcomes in kinds:
            count = max(1, int(DAILY * width.total_seconds() / 86_400 / subjects / parts))
            await database.fetch(FILL, resolution, first, buckets, width, figure, subjects, parts, outcomes, count)
    await database.fetch("analyze rollups")
    rows: int = await database.fetchval("select count(*) from rollups")
    return rows


async def measure(name: str, call: Call) -> None:
    """Prints the median and the largest time of the call in milliseconds."""
    await call()
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        await call()
        times.append((time.perf_counter() - began) * 1000)
    verdict = "" if max(times) <= GOAL_MS else "  (goal missed)"
    print(f"{name:54} {statistics.median(times):8.1f} {max(times):8.1f}{verdict}")


async def answers(database: Database) -> None:
    """The answers of the API, without HTTP and JSON."""
    now = datetime.now(UTC)
    rows = await fill_rollups(database, now)
    print(f"{rows} rollups; ms: median, largest of {RUNS}")
    analytics = AnalyticsRepository(database)

    def span(step: Resolution, width: timedelta, buckets: int) -> Span:
        until = bucket_of(step, now) + width
        return Span(step, until - buckets * width, until)

    days = span("day", timedelta(days=1), 90)
    hours = span("hour", timedelta(hours=1), 192)
    minutes = span("minute", timedelta(minutes=1), 360)
    traffic = TrafficRepository(database)
    calls: dict[str, Call] = {
        "traffic of one flow, 90 days": lambda: traffic.figures("s7", days),
        "traffic of one flow, 8 days by hour": lambda: traffic.figures("s7", hours),
        "traffic of one flow, 6 hours by minute": lambda: traffic.figures("s7", minutes),
        "overview, 90 days": lambda: analytics.overview(days),
        "executions of all flows, 90 days": lambda: analytics.series("executions", days, subject=None, part=None),
        "executions of one flow, 90 days": lambda: analytics.series("executions", days, subject="s7", part=None),
        "one node, 90 days": lambda: analytics.series("nodes", days, subject="s7", part="n3"),
        "webhooks by events, 90 days": lambda: analytics.groups("events", days, subject=None, limit=50),
        "nodes of one flow, 90 days": lambda: analytics.groups("nodes", days, subject="s7", limit=50),
        "nodes of all flows, 90 days": lambda: analytics.groups("nodes", days, subject=None, limit=50),
        "executions and the period before, 90 days": lambda: analytics.series(
            "executions", days, subject=None, part=None, with_previous=True
        ),
        "nodes by failures, 90 days": lambda: analytics.groups("nodes", days, subject=None, limit=5, order="failures"),
        "nodes by time, 90 days": lambda: analytics.groups("nodes", days, subject=None, limit=5, order="slowest"),
        "retries of nodes, 90 days": lambda: analytics.groups("node-retries", days, subject=None, limit=500),
        "overview, 8 days by hour": lambda: analytics.overview(hours),
        "webhooks by events, 8 days by hour": lambda: analytics.groups("events", hours, subject=None, limit=50),
        "overview, 6 hours by minute": lambda: analytics.overview(minutes),
        "nodes of one flow, 6 hours by minute": lambda: analytics.groups("nodes", minutes, subject="s7", limit=50),
    }
    for name, call in calls.items():
        await measure(name, call)


async def building(database: Database) -> None:
    """How fast rows are counted, without the pauses."""
    await database.fetch("truncate rollups, rollup_progress, rollup_marks, events, executions, steps")
    now = datetime.now(UTC)
    for statement in ROWS:
        arguments = (bucket_of("hour", now) - timedelta(hours=2), b"x" * 700) if "$1" in statement else ()
        await database.fetch(statement, *arguments)
    began = time.perf_counter()
    await RollupBuilder(RollupStore(database, "benchmark", pause_share=0.0)).build(now, budget_s=600)
    took = time.perf_counter() - began
    print(f"100,000 events with execution, 5 steps and message of an hour: built in {took:.1f} s")


async def writes(database: Database) -> tuple[float, float]:
    """Accepts, starts, claims and ends executions. Returns the milliseconds and the bytes of WAL of each."""
    events, executions = EventRepository(database), ExecutionRepository(database)
    before = await database.fetchval("select pg_current_wal_insert_lsn()")
    began = time.perf_counter()
    for _ in range(BATCHES):
        accepted = [event() for _ in range(BATCH)]
        await events.insert_many(accepted)
        new = [execution(one.id, contact=str(new_id()), channel="c") for one in accepted]
        await executions.start_many([(one.event_id, [one]) for one in new])
        claims = await executions.claim_many([(one.id, 1) for one in new], "worker", 30.0)
        ended = [checkpoint(one, "succeeded", steps=[step(1)]) for one in claims if isinstance(one, ClaimedExecution)]
        assert len(ended) == BATCH
        await executions.checkpoint_many(ended)
    took = time.perf_counter() - began
    written = await database.fetchval("select pg_current_wal_insert_lsn() - $1::pg_lsn", before)
    return took * 1000 / (BATCH * BATCHES), float(written) / (BATCH * BATCHES)


async def index_costs(database: Database) -> None:
    """The same writes with and without the indexes, in turn."""
    await FlowRepository(database).store("welcome", {"nodes": [], "settings": {}}, "Welcome", True)
    await writes(database)
    measured: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for _ in range(ROUNDS):
        for indexed in (False, True):
            for name, definition in INDEXES.items():
                change = (
                    f"create index if not exists {name} on {definition}" if indexed else f"drop index if exists {name}"
                )
                await database.fetch(change)
            await database.fetch("checkpoint")
            measured[indexed].append(await writes(database))
    for indexed, found in measured.items():
        ms, wal = (statistics.median(values) for values in zip(*found, strict=True))
        label = "with" if indexed else "without"
        print(f"accept, start, claim and end, {label:7} the indexes: {ms:.3f} ms and {wal:.0f} bytes of WAL each")


async def main() -> None:
    """Runs the parts on a server of their own."""
    chosen = sys.argv[1:] or ["indexes", "answers", "building"]
    parts = {"indexes": index_costs, "answers": answers, "building": building}
    with tempfile.TemporaryDirectory() as directory, PostgresServer(Path(directory)) as server:
        dsn = server.dsn("postgres")
        await migrate.migrate(dsn)
        database = Database(dsn, application_name="benchmark", statement_timeout_s=600.0)
        database.start()
        await database.wait_ready(10)
        try:
            for name in chosen:
                await parts[name](database)
        finally:
            await database.close()


if __name__ == "__main__":
    asyncio.run(main())
