"""Reads the events that are to be indexed, and writes segments under the lease of the builder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg

from filas.errors import FilasError, StoreBusy
from filas.repository.postgres.database import Connection, Database
from filas.repository.search import search_sql as sql
from filas.repository.search.segments import Segment, SegmentHead

LEASE_S: Final = 60.0
FIRST: Final = UUID(int=0)

Position: TypeAlias = tuple[datetime, UUID]


class BuilderReplaced(FilasError):
    """The lease has expired: another process may build. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the index has come. Each position is an event, by the time of its receipt (`late`: of its processing).

    Events up to `next` and from `history` are indexed. `history` is None if all older events are. `is_built`: a
    process has the lease.
    """

    next: Position
    history: Position | None
    late: Position
    is_built: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The transactions that write: `oldest` is the first one that has not ended, `next` the first one that has not
    begun. `now` is the time by the clock of Postgres."""

    now: datetime
    oldest: int
    next: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """How far the index has come with a segment. None: as far as before. `history_ends`: all old events are indexed."""

    next: Position | None = None
    late: Position | None = None
    history: Position | None = None
    history_ends: bool = False


NO_ADVANCE: Final = Advance()


def progress_of(row: asyncpg.Record | None) -> Progress | None:
    """The progress in a row, None if nothing was built yet."""
    if row is None or row["next_at"] is None:
        return None
    return Progress(
        next=(row["next_at"], row["next_id"]),
        history=None if row["history_at"] is None else (row["history_at"], row["history_id"]),
        late=(row["late_at"], row["late_id"]),
        is_built=row["is_built"],
    )


def head_of(row: asyncpg.Record) -> SegmentHead:
    """The segment in a row, without its content."""
    return SegmentHead(row["no"], row["events"], row["first_at"], row["last_at"])


class IndexStore:
    """The tables of the index for the builder `owner`. Each method raises StoreUnavailable."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = owner

    async def acquire(self, lease_s: float = LEASE_S) -> bool:
        """Takes or renews the lease. False if another process has it."""
        try:
            return await self._database.fetchrow(sql.ACQUIRE, self._owner, lease_s) is not None
        except StoreBusy as error:
            if error.kind != "locked":
                raise
            return False  # another process is writing

    async def snapshot(self) -> Snapshot:
        """The present time and transactions."""
        [row] = await self._database.fetch(sql.SNAPSHOT)
        return Snapshot(row["now"], row["oldest"], row["next"])

    async def progress(self) -> Progress | None:
        """How far the index has come. None if nothing was built yet."""
        return progress_of(await self._database.fetchrow(sql.PROGRESS))

    async def begin(self, at: datetime, processed_at: datetime) -> None:
        """Stores the beginning: events before `at` are old."""
        async with self._writing() as connection:
            await connection.execute(sql.BEGIN, at, FIRST, processed_at)

    async def read_next(self, after: Position, until: datetime) -> list[asyncpg.Record]:
        """The next events by the time of their receipt, before `until`, with the columns of their words."""
        return await self._database.fetch(sql.READ_NEXT, *after, until, sql.CHUNK_ROWS)

    async def read_history(self, before: Position) -> list[asyncpg.Record]:
        """The newest events before a position."""
        return await self._database.fetch(sql.READ_HISTORY, *before, sql.CHUNK_ROWS)

    async def read_missing(self, event_ids: Sequence[UUID]) -> list[asyncpg.Record]:
        """These events, at least one if any exists. There may be fewer, because the answer is bounded in bytes."""
        return await self._database.fetch(sql.READ_MISSING, list(event_ids))

    async def processed(self, after: Position, until: datetime, limit: int) -> list[asyncpg.Record]:
        """The next events by the time of their processing, up to `until`."""
        return await self._database.fetch(sql.PROCESSED, *after, until, limit)

    async def heads(self) -> list[SegmentHead]:
        """All segments."""
        return [head_of(row) for row in await self._database.fetch(sql.HEADS)]

    async def places(self, no: int) -> tuple[bytes, bytes] | None:
        """The times and the ids of a segment. None if it does not exist any more."""
        row = await self._database.fetchrow(sql.PLACES, no)
        return None if row is None else (row["times"], row["ids"])

    async def word_bytes(self, numbers: Sequence[int]) -> int:
        """The size of the words of these segments together."""
        size: int = await self._database.fetchval(sql.WORD_BYTES, list(numbers))
        return size

    async def segment(self, no: int) -> Segment | None:
        """A segment. None if it does not exist any more."""
        row = await self._database.fetchrow(sql.ALL_PARTS, no)
        if row is None:
            return None
        return Segment(
            events=row["events"],
            first_at=row["first_at"],
            last_at=row["last_at"],
            times=row["times"],
            ids=row["ids"],
            parts=list(zip(row["firsts"] or (), row["words"] or (), strict=True)),
        )

    async def write(self, segment: Segment | None, advance: Advance = NO_ADVANCE, replaced: Sequence[int] = ()) -> None:
        """Stores a segment in place of the segments `replaced`, and how far the index has come, in one transaction.

        Raises BuilderReplaced.
        """
        async with self._writing() as connection:
            if replaced:
                await connection.execute(sql.DELETE_WORDS, list(replaced))
                await connection.execute(sql.DELETE_SEGMENTS, list(replaced))
            if segment is not None:
                no = await connection.fetchval(sql.NEXT_NO)
                head = segment.first_at, segment.last_at, segment.times, segment.ids
                await connection.execute(sql.INSERT_SEGMENT, no, segment.events, *head)
                await connection.execute(
                    sql.INSERT_WORDS, no, [first for first, _ in segment.parts], [words for _, words in segment.parts]
                )
            if advance.next is not None:
                await connection.execute(sql.ADVANCE_NEXT, *advance.next)
            if advance.late is not None:
                await connection.execute(sql.ADVANCE_LATE, *advance.late)
            if advance.history is not None or advance.history_ends:
                await connection.execute(sql.ADVANCE_HISTORY, *(advance.history or (None, None)))

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Connection]:
        """A transaction that holds the lease. Two builders never write at the same time."""
        async with self._database.transaction() as connection:
            if await connection.fetchrow(sql.RENEW, self._owner, LEASE_S) is None:
                raise BuilderReplaced(self._owner)
            yield connection
