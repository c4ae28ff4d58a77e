"""Redis and Postgres as every process holds them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from filas.errors import StoreUnavailable
from filas.queue.redis_client.connection import Redis, connect
from filas.repository.postgres.database import Database
from filas.settings.process_settings import ProcessSettings

PROBE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Stores:
    """The two stores, connected or about to be."""

    redis: Redis
    database: Database

    async def probe(self) -> None:
        """Ask Redis every second, until cancelled: `redis.problem` is what the last command has met."""
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            with suppress(StoreUnavailable):
                await self.redis.command("PING")


@asynccontextmanager
async def open_stores(settings: ProcessSettings, name: str) -> AsyncIterator[Stores]:
    """The stores of the process `name` while the block runs. They may be away: Postgres is connected to in the
    background, Redis has been asked once."""
    redis = connect(settings.redis)
    database = Database(
        settings.postgres.database_url.reveal(),
        application_name=name,
        max_size=settings.postgres.database_pool_size,
    )
    database.start()
    try:
        with suppress(StoreUnavailable):
            await redis.command("PING")
        yield Stores(redis, database)
    finally:
        await database.close()
        await redis.close()


async def cancelled(*tasks: "asyncio.Task[None]") -> None:
    """Cancel the tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
