"""CPU seconds of each process, and the bytes that the two stores write, between two moments of a measurement."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import asyncpg

from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.flows.measurements import cpu_of_tree, redis_number, usage_of

SAMPLE_S = 1.0
WRITTEN = """
select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as wal,
    pg_database_size(current_database())::float8 as tables"""


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds by process, and bytes: of Postgres' log (`wal`) and files (`tables`), of Redis' log (`redis log`) and
    memory (`redis memory`)."""

    cpu_s: dict[str, float]
    written: dict[str, float]

    def __sub__(self, before: "Used") -> "Used":
        return Used(_less(self.cpu_s, before.cpu_s), _less(self.written, before.written))

    def per_thousand(self, count: int) -> dict[str, float | None]:
        """The figures for each thousand of `count`: `cpu NAME` in seconds, and bytes."""
        cpu = {f"cpu {name}": seconds for name, seconds in self.cpu_s.items()}
        filas = sum(seconds for name, seconds in self.cpu_s.items() if name != "senders")
        return {
            name: value * 1000 / count if count else None
            for name, value in ({"cpu": filas} | cpu | self.written).items()
        }


def _less(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {name: value - before[name] for name, value in after.items()}


@dataclass
class Meter:
    """Reads what the processes and the stores have used so far."""

    database: "asyncpg.Pool[asyncpg.Record]"
    pids: Mapping[str, int]
    postgres: PostgresServer
    redis: RedisServer
    _log_size: int = 0
    _log_written: int = 0
    _sampling: "asyncio.Task[None] | None" = field(default=None)

    async def __aenter__(self) -> Self:
        self._log_size = redis_number(self.redis, "aof_current_size")
        self._sampling = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._sampling is not None:
            self._sampling.cancel()

    async def read(self) -> Used:
        """What was used since the processes started."""
        cpu = {name: usage_of(pid).cpu_s for name, pid in self.pids.items()}
        cpu |= {"postgres": cpu_of_tree(self.postgres.pid or 0), "redis": usage_of(self.redis.pid or 0).cpu_s}
        cpu["senders"] = time.process_time()
        row = (await self.database.fetch(WRITTEN))[0]
        self._count_log()
        memory = redis_number(self.redis, "used_memory")
        return Used(cpu, dict(row) | {"redis log": float(self._log_written), "redis memory": float(memory)})

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_S)
            self._count_log()

    def _count_log(self) -> None:
        # Redis rewrites its log when it has doubled, and the log is shorter then.
        size = redis_number(self.redis, "aof_current_size")
        self._log_written += max(0, size - self._log_size)
        self._log_size = size
