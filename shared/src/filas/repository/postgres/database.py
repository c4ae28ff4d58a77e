"""The connections to Postgres: a pool that opens as soon as the server is available, and reports what is wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias
from weakref import WeakSet

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from filas.backoff import exponential
from filas.errors import StoreBusy, StoreUnavailable
from filas.observability.logs import get_logger
from filas.observability.store_circuits import report_circuit
from filas.periodic import periodic
from filas.repository import schema
from filas.repository.postgres import driver_errors, joined_transaction, statement_settings
from filas.repository.postgres.beat import Beat
from filas.repository.postgres.table_growth import CHECK_INTERVAL_S, TABLE_ROWS, TableGrowth
from filas.store_circuit import StoreCircuit
from filas.store_watch import NO_ANSWER, WORKER_PATIENCE_S, StoreWatch

STORE: Final = "postgres"
NOT_CONNECTED: Final = "not connected yet"
CLOSE_TIMEOUT_S: Final = 5.0
FIRST_PROBE_S: Final = 0.1
LONGEST_PROBE_S: Final = 1.0
LOCK_WAIT_S: Final = 1.2
"""How long a statement waits for a lock. The statements of Filas hold their locks for milliseconds, so a longer wait
means that another session has stopped in a transaction. It is longer than the `deadlock_timeout` of Postgres (1 s), so
that a deadlock ends one of its statements only. See `batch_bisection`."""

_IS_READ_ONLY = "select current_setting('transaction_read_only')::boolean"

_chance = random.SystemRandom()
_log = get_logger("filas.repository")

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"


class Database:
    """A pool of at most `max_size` connections to the server at `dsn`.

    `problem` is None while Postgres is available, otherwise it states what is wrong. A call that fails because of a
    lock, a deadlock, its own duration or a busy pool raises StoreBusy. A call that fails because the server is
    unavailable raises StoreUnavailable. After such a failure every call raises it at once, until a probe in the
    background finds the server available again. The same happens when the server does not answer for the patience of
    `watch`, which also ends the statements that wait for it.

    The server ends a statement after `statement_timeout_s` seconds; the client gives it up one second later. A
    statement waits for a lock for at most `lock_wait_s` seconds (0: without such a limit). Plans are made again when
    tables have grown, so that no statement keeps a plan that was made for few rows. With `plan_once`, one plan of a
    statement is used for all of its arguments. A server that refuses writes counts as unavailable.
    """

    may_refuse_writes = False

    def __init__(
        self,
        dsn: str,
        *,
        application_name: str,
        max_size: int = 10,
        statement_timeout_s: float = 10.0,
        acquire_timeout_s: float = 5.0,
        lock_wait_s: float = LOCK_WAIT_S,
        plan_once: bool = False,
        growth_check_interval_s: float = CHECK_INTERVAL_S,
    ) -> None:
        self._dsn = dsn
        self._max_size = max_size
        self._command_timeout_s = statement_timeout_s + 1.0
        self._acquire_timeout_s = acquire_timeout_s
        self._growth_check_interval_s = growth_check_interval_s
        self._growth = TableGrowth()
        self._server_settings = {
            "application_name": application_name,
            "statement_timeout": str(int(statement_timeout_s * 1000)),
            "lock_timeout": str(int(lock_wait_s * 1000)),
            "idle_in_transaction_session_timeout": "60000",
            # The statements are short: compiling one would take longer than running it.
            "jit": "off",
            # A plan is made while the tables are nearly empty, and is kept when they have grown. A sequential scan that
            # is the cheapest plan for ten rows would then read the whole table. tests/shared/repository/test_plans.py
            # checks the plans on empty tables.
            "enable_seqscan": "off",
            # The planner plans a statement again for each batch if it takes the batch for smaller than the average,
            # which costs more than the batch. The plan for all arguments is the one that the tests check.
            "plan_cache_mode": "force_generic_plan" if plan_once else "auto",
        }
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._planner: asyncio.Task[None] | None = None
        self._failed = asyncio.Event()
        self._ready = asyncio.Event()
        self._waiter_arrived = asyncio.Event()
        self._waiting = 0
        self._in_use: set[Connection] = set()
        self._sessions: WeakSet[asyncpg.Connection[asyncpg.Record]] = WeakSet()
        self._outdated_plans: set[int] = set()
        self._beat = Beat(dsn, application_name)
        self._circuit = StoreCircuit(STORE, patience_s=WORKER_PATIENCE_S, problem=NOT_CONNECTED)
        self._circuit.on_change = report_circuit
        self.watch = StoreWatch(self._circuit, self._send_beat, self._give_up, _is_answer)

    @property
    def problem(self) -> str | None:
        """None while Postgres is available, otherwise the reason why it is not."""
        return self._circuit.problem

    def start(self) -> None:
        """Starts to connect in the background, for as long as that takes. Needs a running event loop."""
        if self._keeper is None:
            report_circuit(self._circuit)
            self._failed.set()
            self._keeper = asyncio.create_task(self._keep(), name="postgres-keeper")
            renewal = periodic("plan renewal", self._renew_plans, self._growth_check_interval_s, on_error="log")
            self._planner = asyncio.create_task(renewal, name="postgres-plan-renewal")

    async def wait_ready(self, timeout_s: float | None = None) -> None:
        """Waits until Postgres is available. Raises StoreUnavailable after `timeout_s` seconds.

        While a caller waits, the server is probed without backoff.
        """
        self._waiting += 1
        self._waiter_arrived.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        except TimeoutError:
            raise StoreUnavailable(STORE, self.problem or NO_ANSWER) from None
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Stops connecting and closes the pool. Statements that still run after 5 s are terminated."""
        for task in (self._keeper, self._planner):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._keeper = self._planner = None
        self._circuit.open("closed")
        self._ready.clear()
        await self.watch.close()
        self._beat.close()
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), CLOSE_TIMEOUT_S)
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for several statements, each in a transaction of its own, or in that of `in_transaction`."""
        shared = joined_transaction.connection_of(self)
        if shared is not None:
            yield shared
            return
        pool = self._pool
        if pool is None:
            raise StoreUnavailable(STORE, self.problem or NOT_CONNECTED)
        try:
            with self.watch.call():
                async with self.watch.abandonable():
                    connection = await self._acquire(pool)
                self._in_use.add(connection)
                try:
                    if self._outdated_plans:
                        await self._discard_plans(connection)
                    yield connection
                except asyncio.CancelledError:
                    # The server may not answer. A connection whose statement was given up is not used again.
                    connection.terminate()
                    raise
                finally:
                    self._in_use.discard(connection)
                    await pool.release(connection)
        except Exception as error:
            busy = driver_errors.busy(error)
            if busy is not None:
                raise busy from None
            reason = driver_errors.unavailable(error)
            if reason is None:
                raise
            self._lose(reason)
            raise StoreUnavailable(STORE, self.problem or reason) from None

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
        shared = joined_transaction.connection_of(self)
        if shared is not None:
            # A failed statement ends the whole transaction, which runs again as a whole.
            return await getattr(shared, method)(sql, *arguments)
        for run in range(1, driver_errors.MAX_RUNS + 1):
            try:
                async with self.connection() as connection:
                    settings = statement_settings.current()
                    if not settings:
                        return await getattr(connection, method)(sql, *arguments)
                    async with connection.transaction():
                        await connection.execute(statement_settings.SET_LOCAL, [*settings], [*settings.values()])
                        return await getattr(connection, method)(sql, *arguments)
            except (StoreBusy, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
                if run == driver_errors.MAX_RUNS or not driver_errors.is_repeatable(error):
                    raise
        raise AssertionError("unreachable: the last run returns or raises")

    async def _acquire(self, pool: asyncpg.Pool[asyncpg.Record]) -> Connection:
        try:
            return await pool.acquire(timeout=self._acquire_timeout_s)
        except TimeoutError:
            # If all connections are busy, the server is overloaded and not down: reconnecting would add to its load.
            if pool.get_size() < self._max_size or pool.get_idle_size():
                raise
            raise StoreBusy("pool", "every connection is busy") from None

    def _lose(self, reason: str) -> None:
        if self._circuit.state == "closed":
            self._circuit.open(reason)
            self._lost()

    def _lost(self) -> None:
        self._ready.clear()
        self._failed.set()
        _log.warning("postgres.unavailable", reason=self.problem)

    def _give_up(self) -> None:
        """The server does not answer: ends the statements that wait for it."""
        self._lost()
        for connection in tuple(self._in_use):
            connection.terminate()

    async def _send_beat(self) -> None:
        try:
            await self._beat.send()
        except asyncpg.TooManyConnectionsError:
            return  # that is an answer
        except Exception as error:
            raise StoreUnavailable(STORE, _reason_of(error)) from error

    async def _keep(self) -> None:
        """After each failure, probes until the server is available. Logs each change once."""
        while True:
            await self._failed.wait()
            attempt, known = 0, self.problem
            while True:
                self._circuit.probe()
                reason = await self._probe()
                if reason is None:
                    break
                self._circuit.open(reason)
                if reason != known:
                    known = reason
                    _log.warning("postgres.unavailable", reason=reason)
                attempt += 1
                # Half of the delay is random, so that many processes do not reconnect at the same moment.
                jitter = 0.5 + _chance.random() / 2
                delay_s = exponential(attempt, base_s=FIRST_PROBE_S, cap_s=LONGEST_PROBE_S, jitter=jitter)
                await self._pause(FIRST_PROBE_S if self._waiting else delay_s)
            self._failed.clear()
            self._circuit.close()
            self._ready.set()
            _log.info("postgres.available")

    async def _pause(self, delay_s: float) -> None:
        """Sleeps for `delay_s` seconds, or until a caller starts to wait."""
        self._waiter_arrived.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._waiter_arrived.wait()

    async def _probe(self) -> str | None:
        """Tests the server with a connection of its own, and then renews the pool. Returns what is wrong, or None."""
        try:
            async with asyncio.timeout(2 * schema.CONNECT_TIMEOUT_S):
                reason = await _problem_of(await self._beat.connect(), writes=not self.may_refuse_writes)
                if reason is None:
                    await self._renew_pool()
                return reason
        except Exception as error:
            # No error ends the probing. An unknown one is reported by its class.
            return _reason_of(error)

    async def _renew_plans(self) -> None:
        """Lets each session discard its plans before its next statement, after tables have grown."""
        try:
            rows = {row["relname"]: row["rows"] for row in await self.fetch(TABLE_ROWS)}
        except StoreUnavailable:
            return
        if self._growth.needs_new_plans(rows):
            self._outdated_plans = {one.get_server_pid() for one in self._sessions if not one.is_closed()}
            _log.debug("postgres.plans_renewed")

    async def _discard_plans(self, connection: Connection) -> None:
        """A new connection would have new plans too, but it costs as much as a hundred statements."""
        session = connection.get_server_pid()
        if session in self._outdated_plans:
            self._outdated_plans.discard(session)
            await connection.execute("discard plans")

    async def _remember_session(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._sessions.add(connection)

    async def _renew_pool(self) -> None:
        """Opens the pool, or replaces its connections: after a failover they may lead to a read-only server."""
        if self._pool is not None:
            await self._pool.expire_connections()
            return
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=1,
            max_size=self._max_size,
            timeout=schema.CONNECT_TIMEOUT_S,
            command_timeout=self._command_timeout_s,
            server_settings=self._server_settings,
            init=self._remember_session,
            reset=_nothing_to_reset,
        )


class ReadDatabase(Database):
    """A database for statements that only read: its server may be a replica."""

    may_refuse_writes = True


def _reason_of(error: Exception) -> str:
    return driver_errors.unavailable(error) or f"unusable ({type(error).__name__})"


def _is_answer(error: Exception) -> bool:
    """Whether the error came from the server or the network, and not from a time limit."""
    return not isinstance(error.__cause__ or error, TimeoutError)


async def _nothing_to_reset(_connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """No statement of Filas leaves state in the session, so releasing a connection needs no round trip."""


async def _problem_of(connection: asyncpg.Connection[asyncpg.Record], *, writes: bool) -> str | None:
    if writes and await connection.fetchval(_IS_READ_ONLY):
        return "read-only"
    current, required = await schema.current_version(connection), schema.required_version()
    if current < required:
        return f"schema is at {current}, needs {required}: run `filas migrate`"
    return None
