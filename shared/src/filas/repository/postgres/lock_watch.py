"""Which lock a session waits for, and which sessions hold it. Shows no text of a query, because it may contain data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

import asyncpg

from filas.repository.schema import CONNECT_TIMEOUT_S

SAMPLE_S: Final = 0.2

# Postgres shows the columns of another user's session only to a member of pg_read_all_stats: otherwise they are null.
_BLOCKERS = """
with waiting as (
    select coalesce(l.relation::regclass::text, l.locktype) as target
    from pg_locks l where l.pid = $1 and not l.granted limit 1
)
select
    (select target from waiting) as target,
    b.pid,
    nullif(a.application_name, '') as application,
    a.state,
    extract(epoch from clock_timestamp() - a.xact_start)::float8 as open_s,
    a.query_start
from (select distinct unnest(pg_blocking_pids($1)) as pid) b
left join pg_stat_activity a on a.pid = b.pid
order by a.xact_start nulls last, b.pid
"""


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that holds a lock, or waits for it in front of the waiting session. `pid` 0: a prepared transaction.

    `open_s`: the seconds since its transaction began. None, also of other fields, if Postgres does not show it.
    """

    pid: int
    application: str | None
    state: str | None
    open_s: float | None
    query_start: datetime | None

    def __str__(self) -> str:
        """For example: `pid 4242 (psql, idle in transaction, open for 42 s, last query at 2026-11-27T03:01:29Z)`."""
        if not self.pid:
            return "a prepared transaction"
        facts = [self.application or "no application name"]
        if self.state:
            facts.append(self.state)
        if self.open_s is not None:
            facts.append(f"open for {self.open_s:.0f} s")
        if self.query_start is not None:
            facts.append(f"last query at {self.query_start:%Y-%m-%dT%H:%M:%SZ}")
        return f"pid {self.pid} ({', '.join(facts)})"


@dataclass(frozen=True, slots=True)
class LockWait:
    """What a session waits for: `target` is the name of a table, or the kind of another lock such as `virtualxid`."""

    target: str
    blockers: tuple[Blocker, ...]

    def __str__(self) -> str:
        what = "older transactions" if self.target == "virtualxid" else self.target
        return f"{what}, held by {'; '.join(str(blocker) for blocker in self.blockers)}"


class LockWatch:
    """Samples what the session `pid` waits for, over a connection of its own."""

    def __init__(self, connection: asyncpg.Connection[Any], pid: int) -> None:
        self._connection = connection
        self._pid = pid

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str, pid: int) -> AsyncIterator[Self]:
        """A watch whose connection is closed at the end of the block."""
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
        try:
            yield cls(connection, pid)
        finally:
            connection.terminate()

    async def sample(self) -> LockWait | None:
        """What the session waits for at this moment. None if it does not wait."""
        rows = await self._connection.fetch(_BLOCKERS, self._pid)
        if not rows:
            return None
        return LockWait(
            rows[0]["target"] or "a lock",
            tuple(
                Blocker(row["pid"], row["application"], row["state"], row["open_s"], row["query_start"]) for row in rows
            ),
        )

    @asynccontextmanager
    async def watching(self, note: Callable[[LockWait], None]) -> AsyncIterator[None]:
        """Calls `note` every 0.2 s of the block in which the session waits. An error of the sampling is ignored."""
        task = asyncio.create_task(self._watch(note), name="lock-watch")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _watch(self, note: Callable[[LockWait], None]) -> None:
        while True:
            await asyncio.sleep(SAMPLE_S)
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                if (wait := await self.sample()) is not None:
                    note(wait)
