"""Each fault of a store has its effect, and the store works again afterwards."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import asyncpg
import pytest
import pytest_asyncio
import redis as redis_py

from filas.errors import StoreUnavailable
from filas.queue.redis_client.connection import Redis, connect
from filas.settings.setting_groups import RedisSettings
from filas.settings.value_types import Addresses
from tests.chaos.faults import FAULTS
from tests.chaos.installation import Installation
from tests.chaos.postgres_faults import LOCKED_TABLES, backed_up
from tests.chaos.redis_stores import WatchedRedis
from tests.chaos.schedule import Fault
from tests.chaos.stores import Stores, running_stores
from tests.waiting import eventually

# A server that a fault starts again ends with the thread that started it, and so with the event loop of the test.
pytestmark = [pytest.mark.starts_processes, pytest.mark.asyncio(loop_scope="module")]

TABLES = [f"create table {name} (text text)" for name in LOCKED_TABLES]
BIG = "x" * 20_000_000
"""More than the space that a server has reserved on its disk."""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """With one Redis. Each test leaves it as it was, except for its data."""
    with running_stores(tmp_path_factory.mktemp("stores"), sentinels=False) as stores:
        stores.postgres.execute(*TABLES)
        yield stores


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """With Sentinels."""
    with running_stores(tmp_path_factory.mktemp("watched"), sentinels=True) as stores:
        yield stores


@pytest.fixture(params=["stores", "watched"])
def any_stores(request: pytest.FixtureRequest) -> Stores:
    found: Stores = request.getfixturevalue(request.param)
    return found


@pytest.fixture(autouse=True)
def emptied(request: pytest.FixtureRequest) -> None:
    for name in {"stores", "watched"} & set(request.fixturenames):
        request.getfixturevalue(name).redis.current.execute("FLUSHALL")
    if "stores" in request.fixturenames:
        request.getfixturevalue("stores").postgres.execute(*(f"truncate {name}" for name in LOCKED_TABLES))


def broken(stores: Stores, kind: str, target: str) -> AbstractAsyncContextManager[None]:
    """The fault."""
    unused: Any = None
    installation = Installation(unused, stores, "postgres", {}, {}, unused)
    return FAULTS[kind](installation, Fault(1, kind, target, 0.0, 1.0))


async def test_a_killed_store_is_back_with_its_data(any_stores: Stores) -> None:
    redis, postgres = any_stores.redis.current, any_stores.postgres
    redis.execute("SET a 1", "WAIT 1 1000")
    async with broken(any_stores, "store-kill", "redis"):
        assert not redis.answers()
    assert "$1\r\n1" in any_stores.redis.current.execute("GET a")
    async with broken(any_stores, "store-kill", "postgres"):
        assert not postgres.answers()
    assert postgres.execute("select 1") == "1"


async def test_a_full_redis_refuses_writes(any_stores: Stores) -> None:
    async with broken(any_stores, "store-full", "redis"):
        assert "OOM" in any_stores.redis.current.execute("SET a 1")
    assert "OK" in any_stores.redis.current.execute("SET a 1")


async def test_a_full_postgres_accepts_no_connection(stores: Stores) -> None:
    async with broken(stores, "store-full", "postgres"):
        with pytest.raises(asyncpg.TooManyConnectionsError):
            await asyncpg.connect(stores.postgres.dsn("postgres"))
    await (await asyncpg.connect(stores.postgres.dsn("postgres"))).close()


async def test_locked_tables_accept_no_row(stores: Stores) -> None:
    session = await asyncpg.connect(stores.postgres.dsn("postgres"))
    async with broken(stores, "postgres-lock", "postgres"):
        await session.execute("set lock_timeout = 50")
        for table in LOCKED_TABLES:
            with pytest.raises(asyncpg.LockNotAvailableError):
                await session.execute(f"insert into {table} values ('a')")
    await session.execute("insert into events values ('a')")
    await session.close()


async def test_an_emptied_redis_is_empty(any_stores: Stores) -> None:
    any_stores.redis.current.execute("SET a 1")
    async with broken(any_stores, "redis-flush", "redis"):
        assert "$-1" in any_stores.redis.current.execute("GET a")


@pytest.fixture
def disk_of(stores: Stores) -> Stores:
    if "store-disk-full" in stores.impossible:
        pytest.skip(stores.impossible["store-disk-full"])
    return stores


async def test_a_redis_on_a_full_disk_refuses_writes(disk_of: Stores) -> None:
    """Its data stay. It has noticed by the second write."""
    redis = disk_of.redis.current
    redis.execute("SET a 1")

    async def answer(start: str) -> bool:
        return start in await asyncio.to_thread(redis.execute, "SET b 2")

    client: Any = redis_py.Redis(port=redis.port)  # its methods have no types
    async with broken(disk_of, "store-disk-full", "redis"):
        client.set("big", BIG)
        await eventually(lambda: answer("MISCONF"))
    await eventually(lambda: answer("OK"))
    assert client.get("a") == b"1"
    client.close()


async def test_a_postgres_on_a_full_disk_refuses_writes_and_is_started_again(disk_of: Stores) -> None:
    """It ends when it cannot write its log. What was committed is there afterwards."""
    postgres = disk_of.postgres
    postgres.execute("insert into events values ('before')")
    session = await asyncpg.connect(postgres.dsn("postgres"))
    async with broken(disk_of, "store-disk-full", "postgres"):
        with pytest.raises(asyncpg.DiskFullError):
            await session.execute("insert into executions select $1 from generate_series(1, 10000)", "x" * 1000)
        before = postgres.pid
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await session.execute("select pg_logical_emit_message(true, '', $1)", BIG)
        await eventually(lambda: postgres.pid != before)
    session.terminate()
    assert postgres.execute("select text from events") == "before"
    postgres.execute("insert into events values ('after')")


async def test_a_failover_of_postgres_loses_nothing(stores: Stores) -> None:
    """The last commit is in the part of the log that was not archived. The address stays the same."""
    postgres = stores.postgres
    dsn = postgres.dsn("postgres")
    async with backed_up(postgres):
        for number in range(2):
            data_dir = postgres.data_dir
            session = await asyncpg.connect(dsn)
            async with broken(stores, "postgres-failover", "postgres"):
                assert not postgres.answers()
                with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)):
                    await session.execute("select 1")
            session.terminate()
            assert not data_dir.exists()
            session = await asyncpg.connect(dsn)
            await session.execute("insert into events values ($1)", str(number))
            await session.close()
            await eventually(lambda: postgres.is_backed_up)
    assert postgres.execute("select text from events order by text").split() == ["0", "1"]


@pytest_asyncio.fixture(loop_scope="module")
async def client(watched: Stores) -> AsyncIterator[Redis]:
    """A client that knows only its own links."""
    async with watched.redis.links() as links:
        sentinels = [one.rpartition(":") for one in links.environment["REDIS_SENTINELS"].split(",")]
        settings = RedisSettings(
            redis_sentinels=Addresses([(host, int(port)) for host, _, port in sentinels]),
            redis_sentinel_master=links.environment["REDIS_SENTINEL_MASTER"],
        )
        redis = connect(settings)
        yield redis
        links.set("cut")
        with pytest.raises(StoreUnavailable):
            await redis.command("GET", "a")
        await redis.close()


async def test_a_failover_of_redis_promotes_the_replica(watched: Stores, client: Redis) -> None:
    """A process finds it through its own links. The old master becomes the replica, and the next failover works too."""
    redis = cast("WatchedRedis", watched.redis)
    for number in range(2):
        master, replica = redis.current, redis.replica
        await client.command("SET", "a", str(number))
        await eventually(lambda: f"\r\n{number}\r\n" in replica.execute("READONLY", "GET a"))  # noqa: B023 # in this turn
        async with broken(watched, "redis-failover", "redis"):
            assert not master.answers()
        assert (redis.current, redis.replica) == (replica, master)
        assert f"master_port:{replica.port}" in master.execute("INFO replication")

        async def answered() -> bool:
            try:
                return bool(await client.command("GET", "a") == str(number).encode())  # noqa: B023 # in this turn
            except StoreUnavailable:
                return False

        await eventually(answered)


async def test_a_stalled_master_is_replaced_and_comes_back_as_the_replica(watched: Stores) -> None:
    redis = cast("WatchedRedis", watched.redis)
    master = redis.current
    async with broken(watched, "store-stall", "redis"):
        await asyncio.to_thread(redis.wait_promoted, master)
    assert redis.replica is master
