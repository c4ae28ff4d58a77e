"""Reads the rows that rollups count, and writes buckets under the lease of the builder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from filas.errors import FilasError, StoreBusy
from filas.models.analytics import WIDTHS, Resolution, bucket_of
from filas.models.histograms import BOUNDS_MS
from filas.repository.analytics import rollup_sql as sql
from filas.repository.analytics.rollup_counts import BucketCounts
from filas.repository.analytics.rollup_sources import RECEIVED_EARLIER, Source
from filas.repository.postgres.database import Connection, Database
from filas.repository.postgres.statement_settings import planned_for_arguments

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
LEASE_S: Final = 60.0
PARENT: Final[dict[Resolution, Resolution]] = {"minute": "hour", "hour": "day"}

SLOW_S: Final = 1.0
"""A statement that takes longer reads half of the time range the next time."""

QUICK_S: Final = 0.25
SHORTEST: Final = timedelta(seconds=1)
LONGEST: Final = timedelta(hours=6)
FIRST_RANGE: Final = timedelta(minutes=20)


class BuilderReplaced(FilasError):
    """The lease has expired: another worker may build. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pass has come. `until` is None if it has no end."""

    next_at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Mark:
    """A bucket that must be built again, and when it was marked last."""

    at: datetime
    marked_at: datetime


class RollupStore:
    """The tables of rollups for the builder `owner`.

    After each statement that reads rows or writes buckets it pauses for `pause_share` of the time that the statement
    took.
    """

    def __init__(self, database: Database, owner: str, *, pause_share: float = 1.0) -> None:
        self._database = database
        self._owner = owner
        self._pause_share = pause_share
        self._ranges: dict[str, timedelta] = {}
        self._renew_at = 0.0

    async def now(self) -> datetime:
        """Returns the time by the clock of Postgres. Raises StoreUnavailable."""
        now: datetime = await self._database.fetchval(sql.NOW)
        return now

    async def acquire(self, lease_s: float = LEASE_S) -> bool:
        """Takes or renews the lease. False if another worker has it. Raises StoreUnavailable."""
        try:
            row = await self._database.fetchrow(sql.ACQUIRE, self._owner, lease_s)
        except StoreBusy as error:
            if error.kind != "locked":
                raise
            return False  # another worker is writing
        self._renew_at = time.monotonic() + LEASE_S / 4
        return row is not None

    async def progress(self, source: Source) -> dict[str, Progress]:
        """How far each pass over the source has come. Empty if none has begun. Raises StoreUnavailable."""
        rows = await self._database.fetch(sql.PROGRESS, source.name)
        return {row["pass"]: Progress(row["next_at"], row["until_at"]) for row in rows}

    async def begin(self, source: Source, passes: dict[str, Progress]) -> None:
        """Stores the beginning of the passes. Raises BuilderReplaced and StoreUnavailable."""
        async with self._writing() as connection:
            for name, one in passes.items():
                await connection.execute(sql.INSERT_PROGRESS, source.name, name, one.next_at, one.until)

    async def next_row(self, source: Source, start: datetime = BEGINNING) -> datetime | None:
        """The time of the first row of the source from `start`. Raises StoreUnavailable."""
        found: datetime | None = await self._database.fetchval(source.next, start)
        return found

    async def has_days(self, source: Source) -> bool:
        """Whether there are days of a figure of the source. Raises StoreUnavailable."""
        found: bool = await self._database.fetchval(sql.HAS_DAYS, [figure for figure, _ in source.figures])
        return found

    async def skip(self, source: Source, name: str, next_at: datetime) -> None:
        """Records that a pass has nothing to build before `next_at`. Raises BuilderReplaced and StoreUnavailable."""
        async with self._writing() as connection:
            await connection.execute(sql.ADVANCE, source.name, name, next_at)

    async def marks(self, resolution: Resolution, source: Source, limit: int) -> list[Mark]:
        """The marked buckets, the oldest first. Raises StoreUnavailable."""
        rows = await self._database.fetch(sql.MARKED, resolution, source.name, limit)
        return [Mark(row["at"], row["marked_at"]) for row in rows]

    async def received_earlier(self, start: datetime, end: datetime, before: datetime) -> list[datetime]:
        """The minutes before `before` in which events were received that were processed from `start` to `end`."""
        with planned_for_arguments():
            rows = await self._database.fetch(RECEIVED_EARLIER, start, end, before)
        return [row["at"] for row in rows]

    async def read(self, source: Source, resolution: Resolution, start: datetime, end: datetime) -> BucketCounts:
        """Counts the rows of the source from `start` to before `end`.

        A range with many rows is read in parts, each by a statement that takes about a second at most. Raises
        BuilderReplaced and StoreUnavailable.
        """
        counts = BucketCounts()
        at = start
        while at < end:
            until = min(at + self._ranges.get(source.name, FIRST_RANGE), end)
            began = time.monotonic()
            try:
                with planned_for_arguments():
                    rows = await self._database.fetch(source.statement, at, until, resolution, list(BOUNDS_MS))
                counts.add(rows)
            except StoreBusy as error:
                if error.kind != "slow" or until - at <= SHORTEST:
                    raise
                self._ranges[source.name] = max(SHORTEST, (until - at) / 8)
                continue
            took = time.monotonic() - began
            if took > SLOW_S:
                self._ranges[source.name] = max(SHORTEST, (until - at) / 2)
            elif took < QUICK_S:
                self._ranges[source.name] = min(LONGEST, max(until - at, self._ranges.get(source.name, SHORTEST)) * 2)
            at = until
            await asyncio.sleep(took * self._pause_share)
            if time.monotonic() > self._renew_at and not await self.acquire():
                raise BuilderReplaced(source.name)
        return counts

    async def write(
        self,
        source: Source,
        resolution: Resolution,
        buckets: Sequence[datetime],
        counts: BucketCounts,
        *,
        advance: tuple[str, datetime] | None = None,
        done: Sequence[Mark] = (),
        touched: tuple[Source, Sequence[datetime]] | None = None,
    ) -> None:
        """Replaces the `buckets` of the source by `counts`, and marks the hours or days that contain them.

        `advance`: the pass that has come further, and how far. `done`: marks that are removed. `touched`: minutes of
        another source that are marked. All is one transaction. Raises BuilderReplaced and StoreUnavailable.
        """
        figures, subjects = _figures(source)
        async with self._writing() as connection:
            if not source.grows_only:
                await connection.execute(sql.DELETE, resolution, figures, subjects, list(buckets))
            await connection.execute(sql.INSERT, resolution, *counts.columns())
            await _mark_parents(connection, source, resolution, buckets)
            if touched is not None and touched[1]:
                await connection.execute(sql.MARK, "minute", touched[0].name, list(touched[1]))
            if advance is not None:
                await connection.execute(sql.ADVANCE, source.name, *advance)
            await _unmark(connection, source, resolution, done)

    async def sum_up(self, source: Source, resolution: Resolution, mark: Mark) -> None:
        """Replaces an hour by the sum of its minutes, or a day by that of its hours, and removes its mark.

        Raises BuilderReplaced and StoreUnavailable.
        """
        figures, subjects = _figures(source)
        parts = "minute" if resolution == "hour" else "hour"
        end = mark.at + WIDTHS[resolution]
        async with self._writing() as connection:
            await connection.execute(sql.DELETE, resolution, figures, subjects, [mark.at])
            await connection.execute(sql.SUM_UP, resolution, figures, subjects, mark.at, end, parts)
            await _mark_parents(connection, source, resolution, [mark.at])
            await _unmark(connection, source, resolution, [mark])

    async def unmark(self, source: Source, resolution: Resolution, marks: Sequence[Mark]) -> None:
        """Removes marks without building their buckets. Raises StoreUnavailable."""
        async with self._writing() as connection:
            await _unmark(connection, source, resolution, marks)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Connection]:
        """A transaction that holds the lease. Two builders never write at the same time."""
        began = time.monotonic()
        async with self._database.transaction() as connection:
            if await connection.fetchrow(sql.RENEW, self._owner, LEASE_S) is None:
                raise BuilderReplaced(self._owner)
            yield connection
        self._renew_at = time.monotonic() + LEASE_S / 4
        await asyncio.sleep((time.monotonic() - began) * self._pause_share)


def _figures(source: Source) -> tuple[list[str], list[str | None]]:
    return [figure for figure, _ in source.figures], [subject for _, subject in source.figures]


async def _mark_parents(
    connection: Connection, source: Source, resolution: Resolution, buckets: Sequence[datetime]
) -> None:
    parent = PARENT.get(resolution)
    if parent is not None and buckets:
        starts = sorted({bucket_of(parent, bucket) for bucket in buckets})
        await connection.execute(sql.MARK, parent, source.name, starts)


async def _unmark(connection: Connection, source: Source, resolution: Resolution, marks: Sequence[Mark]) -> None:
    if marks:
        times = [mark.at for mark in marks], [mark.marked_at for mark in marks]
        await connection.execute(sql.UNMARK, resolution, source.name, *times)
