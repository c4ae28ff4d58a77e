"""The one way to Postgres: a pool that comes up when the server does, and says what is wrong meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from filas.backoff import exponential
from filas.errors import StoreUnavailable
from filas.observability import metrics
from filas.observability.logs import get_logger
from filas.repository import schema
from filas.repository.postgres import driver_errors

STORE: Final = "postgres"
CONNECT_TIMEOUT_S: Final = 5.0
CLOSE_TIMEOUT_S: Final = 5.0
FIRST_PROBE_S: Final = 0.1
LONGEST_PROBE_S: Final = 5.0
MAX_RUNS: Final = 3
"""How often a statement is run when it is rolled back for a deadlock or an outdated plan."""

_TAKES_NO_WRITES = "select current_setting('transaction_read_only')::boolean"

_chance = random.SystemRandom()
_log = get_logger("filas.repository")

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"


class Database:
    """A pool of at most `max_size` connections to the server at `dsn`.

    `problem` is None while it can be used, else what is wrong in a few words. Whatever fails for want of
    the server raises StoreUnavailable; after such a failure every call raises it at once, without trying,
    until a probe in the background has found the server well. A statement is ended by the server after
    `statement_timeout_s`, and given up here a second later.
    """

    def __init__(
        self,
        dsn: str,
        *,
        application_name: str,
        min_size: int = 1,
        max_size: int = 10,
        statement_timeout_s: float = 10.0,
        acquire_timeout_s: float = 5.0,
    ) -> None:
        self._dsn = dsn
        self._min_size = min(min_size, max_size)
        self._max_size = max_size
        self._command_timeout_s = statement_timeout_s + 1.0
        self._acquire_timeout_s = acquire_timeout_s
        self._server_settings = {
            "application_name": application_name,
            "statement_timeout": str(int(statement_timeout_s * 1000)),
            "idle_in_transaction_session_timeout": "60000",
            # Our statements are short: compiling one takes longer than running it.
            "jit": "off",
        }
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._trouble = asyncio.Event()
        self._ready = asyncio.Event()
        self._hurry = asyncio.Event()
        self._waiting = 0
        self._problem: str | None = "not connected yet"

    @property
    def problem(self) -> str | None:
        """None while Postgres can be used, else why not."""
        return self._problem

    def start(self) -> None:
        """Begin to connect, in the background, for as long as it takes. Needs a running event loop."""
        if self._keeper is None:
            self._trouble.set()
            self._keeper = asyncio.create_task(self._keep(), name="postgres-keeper")

    async def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until Postgres can be used. Raises StoreUnavailable when `timeout_s` run out first.

        While somebody waits here, the server is probed without back-off.
        """
        self._waiting += 1
        self._hurry.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        except TimeoutError:
            raise StoreUnavailable(STORE, self._problem or "timed out") from None
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Stop connecting and close the pool; what still runs after 5 s is cut off."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        self._problem = "closed"
        self._ready.clear()
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), CLOSE_TIMEOUT_S)
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for several statements; each is a transaction of its own."""
        pool = self._pool
        if pool is None or self._problem is not None:
            raise StoreUnavailable(STORE, self._problem or "not connected yet")
        try:
            connection = await self._acquire(pool)
            try:
                yield connection
            finally:
                await pool.release(connection)
        except Exception as error:
            reason = driver_errors.unavailable(error)
            if reason is None:
                raise
            if driver_errors.says_store_is_down(error):
                self._lose(reason)
            raise StoreUnavailable(STORE, reason) from None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection with an open transaction: committed at the end, rolled back by an exception."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement, in a transaction of its own: one round trip."""
        rows: list[asyncpg.Record] = await self._run("fetch", sql, arguments)
        return rows

    async def fetchrow(self, sql: str, *arguments: object) -> asyncpg.Record | None:
        """The first row of one statement, or None."""
        row: asyncpg.Record | None = await self._run("fetchrow", sql, arguments)
        return row

    async def fetchval(self, sql: str, *arguments: object) -> Any:
        """The first column of the first row of one statement, or None."""
        return await self._run("fetchval", sql, arguments)

    async def _run(self, method: str, sql: str, arguments: Sequence[object]) -> Any:
        for run in range(1, MAX_RUNS + 1):
            try:
                async with self.connection() as connection:
                    return await getattr(connection, method)(sql, *arguments)
            except (asyncpg.PostgresError, asyncpg.InternalClientError) as error:
                if run == MAX_RUNS or not driver_errors.may_run_again(error):
                    raise
        raise AssertionError("unreachable: the last run returns or raises")

    async def _acquire(self, pool: asyncpg.Pool[asyncpg.Record]) -> Connection:
        try:
            return await pool.acquire(timeout=self._acquire_timeout_s)
        except TimeoutError:
            # All of them at work is a crowd, not an outage: to condemn the store would add reconnecting to it.
            if pool.get_size() < self._max_size or pool.get_idle_size():
                raise
            raise StoreUnavailable(STORE, "every connection is busy") from None

    def _lose(self, reason: str) -> None:
        if self._problem is None:
            self._problem = reason
            self._ready.clear()
            self._trouble.set()
            metrics.STORE_UP.labels(STORE).set(0)
            _log.warning("postgres.lost", reason=reason)

    async def _keep(self) -> None:
        """Whenever there is trouble, probe until there is none; see each change logged once."""
        while True:
            await self._trouble.wait()
            attempt = 0
            while (reason := await self._probe()) is not None:
                if reason != self._problem:
                    self._problem = reason
                    metrics.STORE_UP.labels(STORE).set(0)
                    _log.warning("postgres.unavailable", reason=reason)
                attempt += 1
                # Half jittered: a fleet that lost the server together doesn't come back in step.
                jitter = 0.5 + _chance.random() / 2
                delay_s = exponential(attempt, base_s=FIRST_PROBE_S, cap_s=LONGEST_PROBE_S, jitter=jitter)
                await self._pause(FIRST_PROBE_S if self._waiting else delay_s)
            self._trouble.clear()
            self._problem = None
            self._ready.set()
            metrics.STORE_UP.labels(STORE).set(1)
            _log.info("postgres.ready")

    async def _pause(self, delay_s: float) -> None:
        """Sleep, or until somebody begins to wait."""
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._hurry.wait()

    async def _probe(self) -> str | None:
        """What is wrong with the server, by a connection of its own; with nothing wrong, the pool is ready."""
        try:
            async with asyncio.timeout(2 * CONNECT_TIMEOUT_S):
                connection = await asyncpg.connect(self._dsn, timeout=CONNECT_TIMEOUT_S)
                try:
                    reason = await _unfit(connection)
                finally:
                    connection.terminate()
                if reason is None:
                    await self._renew_pool()
                return reason
        except Exception as error:
            # Whatever it is, it is no reason to stop trying: the class says more than nothing.
            return driver_errors.unavailable(error) or f"can't be used ({type(error).__name__})"

    async def _renew_pool(self) -> None:
        """Open the pool, or let its old connections go: after a failover they may lead to a server that only reads."""
        if self._pool is not None:
            await self._pool.expire_connections()
            return
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=self._min_size,
            max_size=self._max_size,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=self._command_timeout_s,
            server_settings=self._server_settings,
            reset=_nothing_to_reset,
        )


async def _nothing_to_reset(_connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """No statement of ours leaves anything in the session, so giving a connection back costs no round trip."""


async def _unfit(connection: asyncpg.Connection[asyncpg.Record]) -> str | None:
    if await connection.fetchval(_TAKES_NO_WRITES):
        return "read-only"
    current, required = await schema.current_version(connection), schema.required_version()
    if current < required:
        return f"schema is at {current}, needs {required}: run `filas migrate`"
    return None
