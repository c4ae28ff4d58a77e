"""Version N beside version N+1: every order of replacement and back, a new column, and a migration under load.

Nothing is lost or becomes a dead letter, no attempt is used, and each effect happens once and in its order.
"""

import asyncio
import itertools
import json
import shutil
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from filas.contract.policies import QUEUES
from filas.repository import migrate, schema
from filas.repository.postgres.database import Database
from tests.e2e.pipeline import Receiver, receiver, until_all_final
from tests.hostile.mixed_versions import (
    REPLACED,
    MixedPipeline,
    Sender,
    called,
    define_newer,
    define_plain,
    messages,
)
from tests.hostile.next_version import FUNCTION
from tests.long_form import by_form
from tests.redis_address import connect_url
from tests.waiting import PATIENCE_S, eventually

pytestmark = [pytest.mark.timeout(by_form(480, 1800))]

ORDERS = by_form(
    [REPLACED, tuple(reversed(REPLACED))],
    list(itertools.permutations(REPLACED)),
)
"""`ingest` is the first producer, and the notifier the last worker."""

NEW_COLUMN = """
do $$ declare one record; begin
    for one in select tablename from pg_tables where schemaname = 'public' and tablename not like '\\_pogo%' loop
        execute format('alter table %I add column next_version text not null default ''new''', one.tablename);
    end loop;
end $$"""

LOCK_WAITS = """
select coalesce(max(extract(epoch from clock_timestamp() - query_start)), 0)::float8 from pg_stat_activity
where wait_event_type = 'Lock' and datname = current_database() and application_name <> 'filas migrate'"""


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    """The database of the processes."""
    database = Database(postgres_dsn, application_name="tests", max_size=2)
    database.start()
    await database.wait_ready(PATIENCE_S)
    yield database
    await database.close()


async def assert_nothing_failed(pipeline: MixedPipeline) -> None:
    """No dead letter, no retry and no lost lease: every attempt was the first one."""
    assert await pipeline.api("GET", "/api/dead-letters") == []
    redis = connect_url(_redis_url(pipeline))
    try:
        for policy in QUEUES:
            names = redis.keys(policy.name)
            assert await redis.client.hgetall(names.named("counts")) == {}, policy.name
            assert await redis.client.hlen(names.named("dead")) == 0
            assert await redis.client.hlen(names.named("newer")) == 0
    finally:
        await redis.close()


def _redis_url(pipeline: MixedPipeline) -> str:
    environment = pipeline.environment
    return f"redis://{environment['REDIS_HOST']}:{environment['REDIS_PORT']}/{environment['REDIS_DB']}"


def assert_effects(sender: Sender, outside: Receiver, path: str) -> None:
    """Each body had one call and one message. The calls of a contact came in the order in which it was accepted."""
    sent = {contact: ids for contact, ids in sender.sent.items() if contact.startswith(path)}
    expected = Counter(itertools.chain.from_iterable(sent.values()))
    assert Counter(called(outside, f"/calls/{path}")) == expected
    assert Counter(messages(outside, f"/messages/{path}")) == expected
    arrived = called(outside, f"/calls/{path}")
    for ids in sent.values():
        mine = set(ids)
        assert [one for one in arrived if one in mine] == ids


async def enqueue_next_function(pipeline: MixedPipeline, key: str) -> None:
    """A job of the new function on every queue, as a producer of the next version enqueues it."""
    redis = connect_url(_redis_url(pipeline))
    try:
        for policy in QUEUES:
            job_id = policy.job_id(key)
            await redis.client.set(f"arq:job:{job_id}", json.dumps({"f": FUNCTION, "a": [], "k": {}, "et": 1}))
            await redis.client.zadd(policy.name, {job_id: time.time() * 1000})
    finally:
        await redis.close()


async def _add_column(owner_dsn: str) -> None:
    """As the migration of the next version does. It waits for no lock for longer than a second."""
    connection = await asyncpg.connect(owner_dsn)
    try:
        await connection.execute("set lock_timeout = '1s'")
        while True:
            try:
                await connection.execute(NEW_COLUMN)
                break
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                continue
    finally:
        await connection.close()


@pytest.mark.parametrize("order", ORDERS, ids=["-".join(order) for order in ORDERS])
async def test_processes_are_replaced_in_any_order_and_back_under_load(
    order: tuple[str, ...], redis_url: str, postgres_dsn: str, owner_dsn: str, tmp_path: Path, database: Database
) -> None:
    """The new definitions are stored, and the new function is enqueued, before the first process is replaced."""
    async with receiver() as outside, MixedPipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        await define_plain(pipeline, outside)
        await define_newer(pipeline, database, outside)
        sender = Sender(pipeline, ("plain", "newer"), pause_s=by_form(0.2, 0.05))
        async with sender.sending():
            await enqueue_next_function(pipeline, "before")
            for name in order:
                await pipeline.replace(name, by_next=True)
            await _add_column(owner_dsn)
            await enqueue_next_function(pipeline, "between")
            for name in order:
                await pipeline.replace(name, by_next=False)
            await enqueue_next_function(pipeline, "after")
        # The present version cannot read what is left. It keeps it until the next version is back.
        for name in order:
            await pipeline.replace(name, by_next=True)
        executions = await until_all_final(pipeline, sender.count)
        assert {one["status"] for one in executions} == {"succeeded"}
        assert len(executions) == sender.count
        await eventually(lambda: len(messages(outside, "/messages/newer")) == sender.count // 2, timeout=60)
        await eventually(lambda: len(_effects(pipeline)) == 9)
        assert set(_effects(pipeline)) == {
            f"{policy.job_id(key)} 1" for policy in QUEUES for key in ("before", "between", "after")
        }
        await assert_nothing_failed(pipeline)
        assert_effects(sender, outside, "plain")
        assert_effects(sender, outside, "newer")


def _effects(pipeline: MixedPipeline) -> list[str]:
    return pipeline.effects.read_text().splitlines() if pipeline.effects.exists() else []


async def test_a_webhook_of_a_newer_version_is_answered_503_and_affects_no_other(
    redis_url: str, postgres_dsn: str, tmp_path: Path, database: Database
) -> None:
    """Accepting it would skip a check that this version does not know. The sender repeats the request."""
    changes: dict[str, tuple[str, dict[str, Any]]] = {
        "auth-type": ("auth", {"type": "courier", "key": "enc:x"}),
        "auth-field": ("auth", {"type": "none", "onlyFrom": "10.0.0.0/8"}),
        "dedupe-field": ("dedupe", {"query": "id"}),
        "conversation-field": ("conversation", {"thread": "{{ body.thread }}"}),
        "rate-limit-field": ("rate_limit", {"max": 5, "windowMs": 1000, "burst": 3}),
    }
    async with receiver() as outside, MixedPipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        await define_plain(pipeline, outside)
        for name, (column, value) in changes.items():
            await pipeline.api("PUT", f"/api/webhooks/{name}", {"flowId": "plain", "auth": {"type": "none"}})
            update = f"update webhooks set {column} = $2::json, revision = revision + 1000 where id = $1"
            await database.fetch(update, name, json.dumps(value))
        await database.fetch("update configuration_revision set revision = revision + 5000")

        async def all_refused() -> bool:
            answers = [await pipeline.webhook(name, b"{}") for name in changes]
            return all(status == 503 for status, _ in answers)

        await eventually(all_refused)
        status, _ = await pipeline.webhook("plain", json.dumps({"id": uuid.uuid4().hex, "from": "a"}).encode())
        assert status == 200
        listed = await pipeline.api("GET", "/api/webhooks")
        assert {*changes, "plain"} <= {one["id"] for one in listed}


async def test_a_migration_under_load_with_an_open_reader_stops_nothing(
    redis_url: str, postgres_dsn: str, owner_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No statement of a process waits longer than two seconds for the migration's locks. Every flow ends."""
    directory = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, directory)
    newest = max(path.stem for path in directory.glob("*.pre.sql"))
    (directory / "9000_column.pre.sql").write_text(
        f"-- A column\n-- depends: {newest}\n-- migrate: apply\nalter table executions add column extra text;\n"
        "alter table events add column extra text;\n-- migrate: rollback\n"
    )
    (directory / "9001_index.pre.sql").write_text(
        "-- An index\n-- depends: 9000_column.pre\n-- transaction: false\n-- migrate: apply\n"
        "create index concurrently executions_extra on executions (extra);\n-- migrate: rollback\n"
    )
    waits: list[float] = []
    async with receiver() as outside, MixedPipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        await define_plain(pipeline, outside)
        sender = Sender(pipeline, ("plain",), pause_s=0.02)
        watcher, reader = await asyncpg.connect(postgres_dsn), await asyncpg.connect(postgres_dsn)
        watching = asyncio.create_task(_watch(watcher, waits))
        try:
            async with sender.sending():
                await eventually(lambda: len(called(outside, "/calls/plain")) > 20)
                await reader.execute("begin")
                await reader.fetch("select * from executions limit 1")
                monkeypatch.setattr(schema, "MIGRATIONS", directory)
                reports: list[str] = []
                migrating = asyncio.create_task(migrate.migrate(owner_dsn, report=reports.append))
                await eventually(lambda: len(reports) >= 2)
                before = len(called(outside, "/calls/plain"))
                await eventually(lambda: len(called(outside, "/calls/plain")) > before + 20)
                await reader.execute("commit")
                assert await asyncio.wait_for(migrating, 120) == 9001
        finally:
            watching.cancel()
            reader.terminate()
            watcher.terminate()
        executions = await until_all_final(pipeline, sender.count)
        assert len(executions) == sender.count
        await eventually(lambda: len(messages(outside, "/messages/plain")) == sender.count, timeout=60)
        await assert_nothing_failed(pipeline)
        assert_effects(sender, outside, "plain")
    # The limit is two seconds. The rest is the time in which a statement that got its lock is scheduled and seen.
    assert max(waits) < by_form(6.0, 3.0)


async def _watch(connection: "asyncpg.Connection[Any]", waits: list[float]) -> None:
    while True:
        waits.append(await connection.fetchval(LOCK_WAITS))
        await asyncio.sleep(0.05)
