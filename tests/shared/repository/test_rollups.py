"""Rollups equal the rows: also after kills at any statement, with rows that come late, and with a second builder."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from filas.errors import StoreBusy
from filas.models.analytics import Resolution, bucket_of
from filas.models.histograms import BOUNDS_MS, BUCKETS, percentile
from filas.repository.analytics.rollup_builder import RollupBuilder
from filas.repository.analytics.rollup_store import RollupStore
from filas.repository.postgres.database import Database
from tests.long_form import by_form
from tests.shared.repository.rollup_rows import Rows, stored
from tests.waiting import PATIENCE_S

NOW = datetime(2026, 11, 22, 12, 34, 56, tzinfo=UTC)
MINUTES_DAYS = 1.05
HOURS_DAYS = 3.0


class Killed(Exception):
    """The process of the builder ends at this statement."""


class KilledDatabase(Database):
    """A database of a process that is killed at its statement number `kill_at`: before or after it."""

    kill_at = 0
    after = False

    def _count(self) -> None:
        self.kill_at -= 1
        if self.kill_at == 0:
            raise Killed

    async def _run(self, method: str, sql: str, arguments: Any) -> Any:
        if not self.after:
            self._count()
        result = await super()._run(method, sql, arguments)
        if self.after:
            self._count()
        return result

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with super().transaction() as connection:
            yield _Counting(connection, self._count)
            self._count()
        self._count()


class _Counting:
    """A connection that counts its statements."""

    def __init__(self, connection: Any, count: Any) -> None:
        self._connection = connection
        self._count = count

    async def execute(self, *arguments: Any) -> Any:
        self._count()
        return await self._connection.execute(*arguments)

    async def fetchrow(self, *arguments: Any) -> Any:
        self._count()
        return await self._connection.fetchrow(*arguments)


def builder_of(database: Database, owner: str = "worker-1") -> RollupBuilder:
    store = RollupStore(database, owner, pause_share=0.0)
    return RollupBuilder(store, minutes_days=MINUTES_DAYS, hours_days=HOURS_DAYS)


@pytest.fixture
async def killed(postgres_dsn: str) -> AsyncIterator[KilledDatabase]:
    """Returns the database of builders that are killed."""
    database = KilledDatabase(postgres_dsn, application_name="killed", max_size=1)
    database.start()
    await database.wait_ready(PATIENCE_S)
    yield database
    await database.close()


async def build_with_kills(database: Database, killed: KilledDatabase, chance: random.Random, now: datetime) -> None:
    """Builds everything. Several times, the builder is killed, and another one takes over after its lease."""
    for run in range(by_form(4, 20)):
        killed.kill_at, killed.after = chance.randint(1, 200), chance.random() < 0.5
        with suppress(Killed):
            await builder_of(killed, f"killed-{run}").build(now, budget_s=60)
        await database.fetch("update rollup_lease set expires_at = '-infinity'")
    assert await builder_of(database).build(now, budget_s=60)


async def check(database: Database, rows: Rows, now: datetime = NOW) -> None:
    """The rollups of the resolutions that are kept equal the rows. `now`: the time of the first round."""
    kept: dict[Resolution, datetime] = {
        "minute": bucket_of("hour", now - timedelta(days=MINUTES_DAYS) + timedelta(hours=3)),
        "hour": bucket_of("day", now - timedelta(days=HOURS_DAYS) + timedelta(days=3)),
        "day": datetime.min.replace(tzinfo=UTC),
    }
    for resolution, since in kept.items():
        expected = {key: cell for key, cell in rows.figures(resolution).items() if key[1] >= since}
        found = {key: cell for key, cell in (await stored(database, resolution)).items() if key[1] >= since}
        differing = sorted(key for key in {*expected, *found} if not _same(expected.get(key), found.get(key)))
        assert [(key, expected.get(key), found.get(key)) for key in differing[:3]] == [], resolution


def _same(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return left is right
    return bool(left[0] == right[0] and abs(left[1] - right[1]) <= 1 and left[2] == right[2])


@pytest.mark.parametrize("seed", range(by_form(1, 20)))
async def test_rollups_equal_the_rows_of_random_histories(
    database: Database, killed: KilledDatabase, seed: int
) -> None:
    """Rows of four days, then rows that come late, receipts and replays, while builders are killed at any statement."""
    chance, rows = random.Random(seed), Rows()
    history = Rows()
    for _ in range(40):
        history.chain(chance, NOW - timedelta(seconds=chance.uniform(0, 4 * 86_400) ** chance.choice([1, 0.6])))
    await rows.write(database, history)
    await build_with_kills(database, killed, chance, NOW)
    await check(database, rows)
    now = NOW
    for _ in range(2):
        now += timedelta(minutes=chance.randint(1, 10))
        late = Rows()
        for _ in range(8):
            late.chain(chance, now - timedelta(seconds=chance.uniform(0, 600)))
        await rows.write(database, late)
        await build_with_kills(database, killed, chance, now)
    await rows.write(database, rows.changed(chance, NOW, now))
    await build_with_kills(database, killed, chance, now + timedelta(hours=21))
    await check(database, rows)


async def test_events_that_are_written_late_are_counted_when_they_are_processed(database: Database) -> None:
    """The write-behind backfill writes an event hours after it was received: the minute of its receipt is built again,
    without waiting for the next pass."""
    rows, chance = Rows(), random.Random(1)
    await builder_of(database).build(NOW, budget_s=60)
    late = Rows()
    late.chain(chance, NOW + timedelta(hours=5))
    [event] = late.tables["events"]
    event["received"] = NOW + timedelta(hours=1)
    await builder_of(database).build(NOW + timedelta(hours=4), budget_s=60)
    await rows.write(database, late)
    await builder_of(database).build(NOW + timedelta(hours=5, minutes=1), budget_s=60)
    await check(database, rows)


async def test_a_source_that_is_added_later_counts_the_rows_that_exist(database: Database) -> None:
    """As after an update that brings new figures. The oldest day, whose rows are being deleted, stays as it was."""
    rows, chance = Rows(), random.Random(4)
    added = Rows()
    for age in (0, 1, 2, 3):
        for _ in range(4):
            added.chain(chance, NOW - timedelta(days=age, seconds=chance.uniform(0, 3600)))
    await rows.write(database, added)
    assert await builder_of(database).build(NOW, budget_s=60)
    await database.fetch("delete from rollups where figure in ('outputs', 'endings')")
    await database.fetch("delete from rollup_progress where source = 'steps'")
    oldest = bucket_of("day", NOW - timedelta(days=3))
    await database.fetch("delete from executions where ended_at = (select min(ended_at) from executions)")
    before = {key: cell for key, cell in (await stored(database, "day")).items() if key[1] == oldest}
    assert before
    assert await builder_of(database).build(NOW, budget_s=60)
    days = await stored(database, "day")
    assert {key: cell for key, cell in days.items() if key[1] == oldest} == before
    expected = {key: cell for key, cell in rows.figures("day").items() if key[1] > oldest}
    assert {key for key in days if key[1] > oldest} == expected.keys()


async def test_one_worker_builds_at_a_time_and_another_takes_over(database: Database) -> None:
    """A builder whose lease has expired while it read writes nothing."""
    rows, chance = Rows(), random.Random(1)
    first, second = builder_of(database, "worker-1"), builder_of(database, "worker-2")
    assert await first.build(NOW, budget_s=60)
    assert not await second.build(NOW, budget_s=60)
    added = Rows()
    added.chain(chance, NOW + timedelta(minutes=1))
    await rows.write(database, added)
    await database.fetch("update rollup_lease set expires_at = '-infinity'")
    assert await second.build(NOW + timedelta(minutes=2), budget_s=60)
    assert not await first.build(NOW + timedelta(minutes=3), budget_s=60)
    await check(database, rows)


async def test_a_second_round_changes_nothing(database: Database) -> None:
    rows, chance = Rows(), random.Random(1)
    added = Rows()
    for _ in range(5):
        added.chain(chance, NOW - timedelta(seconds=chance.uniform(0, 86_400)))
    await rows.write(database, added)
    for _ in range(2):
        assert await builder_of(database).build(NOW, budget_s=60)
        await check(database, rows)


async def test_a_round_ends_when_its_time_is_over_and_the_next_one_continues(database: Database) -> None:
    rows, chance = Rows(), random.Random(2)
    added = Rows()
    for _ in range(5):
        added.chain(chance, NOW - timedelta(seconds=chance.uniform(0, 86_400)))
    await rows.write(database, added)
    rounds = 1
    while not await builder_of(database).build(NOW, budget_s=0.001):
        rounds += 1
    assert rounds > 2
    await check(database, rows)


async def test_a_range_that_is_read_too_slowly_is_read_in_parts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement timeout of the pool would otherwise end the same statement in every round."""
    rows, chance = Rows(), random.Random(3)
    added = Rows()
    for _ in range(5):
        added.chain(chance, NOW - timedelta(seconds=chance.uniform(0, 1200)))
    await rows.write(database, added)
    ranges: list[timedelta] = []

    async def fetch(sql: str, *arguments: Any) -> list[asyncpg.Record]:
        if len(arguments) == 4 and arguments[2] == "minute":
            ranges.append(arguments[1] - arguments[0])
            if ranges[-1] > timedelta(minutes=1):
                raise StoreBusy("slow", "statement timeout")
        return await Database.fetch(database, sql, *arguments)

    monkeypatch.setattr(database, "fetch", fetch)
    assert await builder_of(database).build(NOW, budget_s=60)
    assert min(ranges) <= timedelta(minutes=1)
    await check(database, rows)


@pytest.mark.parametrize(
    ("times_ms", "share", "low", "high"),
    [
        pytest.param([], 0.5, None, None, id="without times"),
        pytest.param([300.0], 0.5, 256, 512, id="one time, within its bucket"),
        pytest.param([1.0] * 99 + [5000.0], 0.95, 1, 2, id="most are short"),
        pytest.param([1.0] * 99 + [5000.0], 0.999, 4096, 8192, id="one is long"),
        pytest.param([0.0] * 10, 0.99, 0, 1, id="below 1 ms"),
        pytest.param([2.0**40], 0.5, 2.0**30, 2.0**30, id="longer than the last bound"),
    ],
)
def test_a_percentile_is_in_the_bucket_of_the_exact_one(
    times_ms: list[float], share: float, low: float | None, high: float | None
) -> None:
    counts = [0] * BUCKETS
    for ms in times_ms:
        counts[sum(ms >= bound for bound in BOUNDS_MS)] += 1
    found = percentile(counts, share)
    if low is None or high is None:
        assert found is None
    else:
        assert found is not None
        assert low <= found <= high
