"""Schedules over real stores and processes: each tick is run once, also over crashes and outages."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from filas.contract.identity import scheduled_execution_id
from filas.flows.timing.schedule_ticks import due_ticks, first_tick
from filas.models.schedules import Misfire, Schedule, ScheduleConversation
from filas.repository.definitions.schedules import ScheduleRepository
from tests.flow_runner.harness import chain, node
from tests.flow_runner.processes import Stores, running, stores
from tests.long_form import by_form
from tests.waiting import eventually

SECOND = timedelta(seconds=1)
END = node("done", "end", output="{{ webhook.body }}")
COUNTS = "select count(*) filter (where status = 'succeeded') as succeeded, count(*) as executions from executions"

LATENESS = """
select max(extract(epoch from queued_at - (trigger->'webhook'->'headers'->>'filas-scheduled-at')::timestamptz))
from executions"""
OVERDUE = """
update schedules set next_run_at = date_trunc('minute', now() - $2::interval) where id = $1 returning next_run_at"""


async def _put(store: Stores, schedule_id: str = "s", **fields: Any) -> Schedule:
    schedule = Schedule(id=schedule_id, **{"flow_id": "flow", **fields})
    return await ScheduleRepository(store.database).store(schedule, first_tick)


async def _get(store: Stores, schedule_id: str = "s") -> Schedule:
    found = await ScheduleRepository(store.database).get(schedule_id)
    assert found is not None
    return found


async def _overdue(store: Stores, since: timedelta, schedule_id: str = "s") -> datetime:
    """Sets the schedule to the state after an outage that began then."""
    due: datetime = await store.database.fetchval(OVERDUE, schedule_id, since)
    return due


async def _due_many(store: Stores, count: int, seconds: int) -> set[Any]:
    """`count` schedules that tick `seconds` times, once a second. Returns the ids of the expected executions."""
    start = datetime.now(UTC).replace(microsecond=0) + 5 * SECOND
    end = start + (seconds - 1) * SECOND
    for number in range(count):
        await _put(store, f"s{number}", cron="* * * * * *", starts_at=start, ends_at=end)
    ticks = [start + n * SECOND for n in range(seconds)]
    return {scheduled_execution_id(f"s{number}", tick) for number in range(count) for tick in ticks}


async def test_a_broken_schedule_does_not_stop_the_others(postgres_dsn: str, redis_url: str) -> None:
    """Its row cannot be decoded, or its ticks cannot be computed. It records the error and ticks no more."""
    async with stores(postgres_dsn, redis_url) as store:
        await store.put_flow(chain(END))
        names = ("deep", "zone", "limit", "error", "sound")
        for name in names:
            await _put(store, name, cron="* * * * *")
            await _overdue(store, timedelta(minutes=1), name)
        broken = {
            "deep": ("input", "[" * 3000 + "]" * 3000),
            "error": ("last_error", '"text"'),
        }
        for name, (column, text) in broken.items():
            await store.database.fetch(f"update schedules set {column} = $2::json where id = $1", name, text)
        await store.database.fetch("update schedules set timezone = 'Nowhere/\u0001' where id = 'zone'")
        await store.database.fetch("update schedules set cron = repeat('*', 5000) where id = 'limit'")
        runs = await ScheduleRepository(store.database).run_due(10, due_ticks)
        assert {run.schedule.id for run in runs if run.started} >= {"sound"}
        found = {name: await _get(store, name) for name in names}
        assert found["sound"].last_run_at is not None
        for name in ("zone", "limit", "error"):
            assert found[name].last_error is not None, name
            assert found[name].next_run_at is None, name
        assert len((await ScheduleRepository(store.database).list()).items) == len(names)


async def _all_succeeded(store: Stores, expected: set[Any], timeout: float) -> None:
    async def succeeded() -> bool:
        row = await store.database.fetchrow(COUNTS)
        return row is not None and row["succeeded"] >= len(expected)

    await eventually(succeeded, timeout)
    assert {row["id"] for row in await store.database.fetch("select id from executions")} == expected
    assert await store.database.fetchval("select count(*) from steps") == 2 * len(expected)
    assert await store.database.fetchval("select count(*) from schedules where next_run_at is not null") == 0


async def test_three_processes_run_each_tick_once(postgres_dsn: str, redis_url: str) -> None:
    """240 ticks of 40 schedules, no more and no fewer. A tick is run within seconds."""
    async with stores(postgres_dsn, redis_url) as store, AsyncExitStack() as stack:
        await store.put_flow(chain(END))
        processes = [await stack.enter_async_context(running(postgres_dsn, redis_url)) for _ in range(3)]
        await asyncio.gather(*(process.ready() for process in processes))
        expected = await _due_many(store, 40, 6)
        await _all_succeeded(store, expected, 90)
        assert await store.database.fetchval(LATENESS) < by_form(15, 2)


@pytest.mark.timeout(150)
async def test_a_killed_process_loses_and_repeats_no_tick(postgres_dsn: str, redis_url: str) -> None:
    """A process is killed while it works, and then the only other one too. Their successors run each tick once."""
    async with stores(postgres_dsn, redis_url) as store:
        await store.put_flow(chain(END))

        async def begun(count: int) -> bool:
            return bool(await store.database.fetchval("select count(*) >= $1 from executions", count))

        async with running(postgres_dsn, redis_url) as first, running(postgres_dsn, redis_url) as second:
            await asyncio.gather(first.ready(), second.ready())
            expected = await _due_many(store, 30, 6)
            await eventually(lambda: begun(20))
            await first.kill()
            await eventually(lambda: begun(80))
            await second.kill()
        async with running(postgres_dsn, redis_url):
            await store.database.fetch("update schedules set misfire = 'catch-up'")
            await _all_succeeded(store, expected, 90)


async def test_a_stored_schedule_is_run_in_its_conversation(postgres_dsn: str, redis_url: str) -> None:
    """A running process uses it without a restart. The input is the body, and the flow sends to the contact."""
    async with stores(postgres_dsn, redis_url) as store, running(postgres_dsn, redis_url) as process:
        hello = node("hello", "message", text="{{ webhook.body.nome }} {{ webhook.headers['filas-scheduled-at'] }}")
        await store.put_flow(chain(hello))
        await process.ready()
        tick = datetime.now(UTC).replace(microsecond=0) + 4 * SECOND
        talk = ScheduleConversation(channel="demo", contact="+5511")
        await _put(store, at=[tick], input={"nome": "Ana"}, conversation=talk)
        execution = scheduled_execution_id("s", tick)
        await eventually(lambda: store.executions.get(execution))
        [done] = await store.finished([execution])
        assert (done.status, done.event_id, done.conversation_id is None) == ("succeeded", None, False)
        row = await store.database.fetchrow("select recipient, channel_id, payload from notifications")
        assert row is not None
        assert (row["recipient"], row["channel_id"]) == ("+5511", "demo")
        assert f"Ana {tick.isoformat()}" in row["payload"]
        after = await _get(store)
        assert (after.last_run_at, after.last_execution_id, after.next_run_at) == (tick, execution, None)


async def test_a_tick_that_was_due_without_a_process_is_run_after_the_start(postgres_dsn: str, redis_url: str) -> None:
    """An hour late it is run once, and the next tick is in the future. After another restart it is not run again."""
    async with stores(postgres_dsn, redis_url) as store:
        await store.put_flow(chain(END))
        await _put(store, cron="0 0 1 1 *")
        due = await _overdue(store, timedelta(hours=1))
        await store.database.fetch("update schedules set at = array[$1::timestamptz], cron = null", due)
        await _until_run(store, postgres_dsn, redis_url, due)
        later = datetime.now(UTC) + timedelta(seconds=4)
        await _put(store, at=[due, later])
        await _until_run(store, postgres_dsn, redis_url, later)
        assert await store.database.fetchval("select count(*) from executions") == 2


async def _until_run(store: Stores, postgres_dsn: str, redis_url: str, tick: datetime) -> None:
    """Runs a process until the tick's execution has ended."""
    async with running(postgres_dsn, redis_url) as process:
        execution = scheduled_execution_id("s", tick)
        await eventually(partial(store.executions.get, execution))
        await store.finished([execution])
        assert await process.stop() == 0


@pytest.mark.parametrize(("misfire", "least", "most"), [("skip", 0, 2), ("run-once", 1, 1), ("catch-up", 20, 20)])
async def test_an_outage_of_an_hour_ends_as_the_misfire_policy_defines(
    postgres_dsn: str, redis_url: str, misfire: Misfire, least: int, most: int
) -> None:
    """The schedule ticked every minute until now. The newest ticks are run, and no tick follows."""
    async with stores(postgres_dsn, redis_url) as store:
        await store.put_flow(chain(END))
        await _put(store, cron="* * * * *", misfire=misfire, catch_up_limit=20, ends_at=datetime.now(UTC))
        await _overdue(store, timedelta(hours=1))
        [run] = await ScheduleRepository(store.database).run_due(10, due_ticks)
        assert run.ticks.missed
        assert least <= len(run.started) <= most
        assert await ScheduleRepository(store.database).run_due(10, due_ticks) == []
        after = await _get(store)
        assert after.next_run_at is None
        assert await store.database.fetchval("select count(*) from executions") == len(run.started)
        assert after.last_run_at == (run.ticks.run[-1] if run.ticks.run else None)


async def test_concurrent_calls_share_the_due_schedules(postgres_dsn: str, redis_url: str) -> None:
    """Twelve calls at a time over 60 schedules: each schedule is returned to one of them."""
    async with stores(postgres_dsn, redis_url) as store:
        await store.put_flow(chain(END))
        for number in range(60):
            await _put(store, f"s{number}", cron="0 0 1 1 *")
            await _overdue(store, timedelta(seconds=90), f"s{number}")
        rows = ScheduleRepository(store.database)
        runs = await asyncio.gather(*(rows.run_due(7, due_ticks) for _ in range(12)))
        names = Counter(run.schedule.id for each in runs for run in each)
        assert set(names.values()) == {1}
        while more := await rows.run_due(7, due_ticks):
            names.update(run.schedule.id for run in more)
        assert names == {f"s{number}": 1 for number in range(60)}


async def test_a_tick_is_never_run_twice(postgres_dsn: str, redis_url: str) -> None:
    """A schedule is set back to a tick that has its execution: that execution is found again."""
    async with stores(postgres_dsn, redis_url) as store:
        await store.put_flow(chain(END))
        due = datetime.now(UTC) - timedelta(seconds=30)
        await _put(store, at=[due])
        rows = ScheduleRepository(store.database)
        for _ in range(2):
            await store.database.fetch("update schedules set next_run_at = $1", due)
            [run] = await rows.run_due(10, due_ticks)
            assert [one.id for one in run.started] == [scheduled_execution_id("s", due)]
        assert await store.database.fetchval("select count(*) from executions") == 1


async def test_a_flow_that_cant_be_started_is_an_error_of_the_schedule(postgres_dsn: str, redis_url: str) -> None:
    """No flow, no published version, an unknown version, and then a valid one: the schedule keeps ticking, also
    after its flow was deleted."""
    async with stores(postgres_dsn, redis_url) as store:
        rows = ScheduleRepository(store.database)

        async def run(**fields: Any) -> str | None:
            await _put(store, cron="* * * * *", **fields)
            await _overdue(store, timedelta(seconds=10))
            [found] = await rows.run_due(10, due_ticks)
            shown = await _get(store)
            assert shown.next_run_at is not None
            assert (shown.last_error is None) == bool(found.started)
            return shown.last_error.message if shown.last_error else None

        assert await run() == "flow flow does not exist"
        await store.flows.store("flow", chain(END), "flow", publish=False)
        assert await run() == "flow flow has no published version"
        assert await run(version=2) == "flow flow has no version 2"
        assert await run(version=1) is None
        await store.put_flow(chain(END))
        assert await run() is None
        await store.database.fetch("update executions set ended_at = now()")
        assert await store.flows.delete("flow")
        assert await run() == "flow flow does not exist"
        kept = (await _get(store)).last_run_at
        assert kept is not None, "the last run stays known"
