"""Indexes millions of events with several processes, to set up a benchmark. The segments are those that the builder of
`ingest admin` makes in the end: full ones, without overlap."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from filas.repository.search import search_sql as sql
from filas.repository.search.event_words import words_of
from filas.repository.search.segments import FULL_EVENTS, SegmentDraft

PROCESSES: Final = 4
RANGES: Final = 16
FIRST: Final = UUID(int=0)

DONE: Final = """
update search_progress set next_at = $1, next_id = $2, history_at = null, history_id = null, late_at = $3, late_id = $2,
    next_no = (select coalesce(max(no), 0) + 1 from search_segments)"""


def index_range(dsn: str, number: int, begin: datetime, end: datetime) -> int:
    """Indexes the events of [begin, end). Returns their number. Runs in a process of its own."""
    return asyncio.run(_index_range(dsn, number, begin, end))


async def _index_range(dsn: str, number: int, begin: datetime, end: datetime) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        position, total, no = (begin - timedelta(microseconds=1), FIRST), 0, number * 10_000
        draft = SegmentDraft()
        while True:
            rows = await connection.fetch(sql.READ_NEXT, *position, end, sql.CHUNK_ROWS)
            for row in rows:
                draft.add(row["received_at"], row["id"], words_of(dict(row)))
            if len(draft) >= FULL_EVENTS or (not rows and len(draft)):
                no, total = no + 1, total + len(draft)
                await _write(connection, no, draft)
                draft = SegmentDraft()
            if not rows:
                return total
            position = rows[-1]["received_at"], rows[-1]["id"]
    finally:
        await connection.close()


async def _write(connection: Any, no: int, draft: SegmentDraft) -> None:
    segment = draft.finish()
    async with connection.transaction():
        await connection.execute("set local synchronous_commit = off")
        head = segment.first_at, segment.last_at, segment.times, segment.ids
        await connection.execute(sql.INSERT_SEGMENT, no, segment.events, *head)
        first, words = [one for one, _ in segment.parts], [one for _, one in segment.parts]
        await connection.execute(sql.INSERT_WORDS, no, first, words)


async def index_all(dsn: str, until: datetime, now: datetime) -> int:
    """Indexes every event before `until`. Returns their number."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("truncate search_segments, search_words")
        await connection.execute("update search_progress set expires_at = '-infinity'")
        oldest = await connection.fetchval("select min(received_at) from events")
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(PROCESSES) as pool:
            jobs = [
                loop.run_in_executor(pool, index_range, dsn, number, *bounds)
                for number, bounds in enumerate(_ranges(oldest, until))
            ]
            total = sum(await asyncio.gather(*jobs))
        await connection.execute(DONE, until, FIRST, now)
        await connection.execute("vacuum (analyze) search_words")
        await connection.execute("vacuum (analyze) search_segments")
        return total
    finally:
        await connection.close()


def _ranges(begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    width = (end - begin) / RANGES
    for number in range(RANGES):
        yield begin + number * width, end if number == RANGES - 1 else begin + (number + 1) * width
