"""Redis and Postgres as every process holds them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from filas.errors import StoreUnavailable
from filas.periodic import periodic
from filas.queue.redis_client.connection import Redis, connect
from filas.repository.postgres.database import LOCK_WAIT_S, Database, ReadDatabase
from filas.settings.process_settings import ProcessSettings
from filas.settings.value_types import Secret

PROBE_EVERY_S: Final = 1.0
FIRST_PING_S: Final = 1.0
"""How long a process that starts waits for Redis. It starts without an answer too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """The bounds of the process's Postgres pool. `size` None: DATABASE_POOL_SIZE. See Database for the times.

    `plan_once` is for processes whose statements do not depend on their arguments, unlike those of a search.
    With `read_url`, statements that only read have a pool of their own, with the same bounds.
    """

    size: int | None = None
    statement_timeout_s: float = 10.0
    lock_wait_s: float = LOCK_WAIT_S
    acquire_timeout_s: float = 5.0
    plan_once: bool = True
    read_url: Secret | None = None


DEFAULT_POOL = PoolLimits()


@dataclass(frozen=True, slots=True)
class Stores:
    """The two stores, connected or connecting.

    `read_database` is for statements that only read. It is `database`, unless DATABASE_READ_URL names another user or a
    replica.
    """

    redis: Redis
    database: Database
    read_database: Database

    async def probe(self) -> None:
        """Sends PING to Redis every second until cancelled, so that `redis.problem` is up to date without traffic."""
        await periodic("probe-redis", self._ping, PROBE_EVERY_S, wait_first=True)

    async def _ping(self) -> None:
        with suppress(StoreUnavailable):
            await self.redis.command("PING")


@asynccontextmanager
async def open_stores(settings: ProcessSettings, name: str, pool: PoolLimits = DEFAULT_POOL) -> AsyncIterator[Stores]:
    """Opens the stores of the process `name` while the block runs. Its connections to Postgres have its name and its
    version, for the doctor.

    The stores may be unavailable: Postgres is connected to in the background, and Redis gets one PING.
    """
    redis = connect(settings.redis)
    databases = [
        kind(
            url.reveal(),
            application_name=f"{name} {version('filas')}",
            max_size=pool.size or settings.postgres.database_pool_size,
            statement_timeout_s=pool.statement_timeout_s,
            lock_wait_s=pool.lock_wait_s,
            acquire_timeout_s=pool.acquire_timeout_s,
            plan_once=pool.plan_once,
        )
        for kind, url in ((Database, settings.postgres.database_url), (ReadDatabase, pool.read_url))
        if url is not None
    ]
    for database in databases:
        database.start()
    try:
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(FIRST_PING_S):
                await redis.command("PING")
        yield Stores(redis, databases[0], databases[-1])
    finally:
        for database in databases:
            await database.close()
        await redis.close()
