"""One transaction for the statements of several repositories, such as a change and its entry in the audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Protocol, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from filas.errors import StoreBusy
from filas.repository.postgres import driver_errors

T = TypeVar("T")
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"


class Transactions(Protocol):
    """What opens transactions (`Database`)."""

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Opens a transaction for a block."""


_open: ContextVar[tuple[Transactions, Connection] | None] = ContextVar("joined_transaction", default=None)


def connection_of(database: Transactions) -> Connection | None:
    """The connection of the transaction that is open here in `database`, or None."""
    found = _open.get()
    return found[1] if found is not None and found[0] is database else None


async def in_transaction(database: Transactions, work: Callable[[], Awaitable[T]]) -> T:
    """Runs `work`. All statements that it runs through `database` are one transaction, also those of repositories.

    `work` runs again if a deadlock or an outdated plan rolls it back. So it changes nothing outside of Postgres, and it
    starts no task that runs statements. Raises what `work` raises, after the rollback.
    """
    for run in range(1, driver_errors.MAX_RUNS + 1):
        try:
            async with database.transaction() as connection:
                token = _open.set((database, connection))
                try:
                    return await work()
                finally:
                    _open.reset(token)
        except (StoreBusy, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
            if run == driver_errors.MAX_RUNS or not driver_errors.is_repeatable(error):
                raise
    raise AssertionError("unreachable: the last run returns or raises")
