"""Builds the index of the words in events behind the insert path, in bounded rounds. One process at a time builds.

No insert of an event writes anything for the index. These passes run over the events:

| pass      | reads                                                     | finds                                        |
|-----------|-----------------------------------------------------------|----------------------------------------------|
| `next`    | by the time of receipt, up to GRACE ago                   | nearly every event, once                     |
| `late`    | by the time of processing, up to the last safe moment     | events that were written after `next` had    |
|           |                                                           | passed the time of their receipt             |
| `history` | backwards from the first start                            | the events of before                         |

**Late events.** An event may be committed long after it was received: the write-behind backfill writes it after an
outage, or the clock of the process that received it is behind. Every event is processed in the end, and `processed_at`
is a time of Postgres. An event that was processed within a part of GRACE of its receipt had been committed before
`next` read its time. Each other one is looked up in the segments of its time, and indexed if it is in none.

`late` must not miss events in the same way. The safe moment is a time T at which a snapshot was taken, as soon as every
transaction that had a number then has ended, minus STATEMENT_S. A transaction gets its number with its first write, and
a statement ends within STATEMENT_S (the statement timeout), so a later number is that of a later statement. A
transaction that never ends holds `late` back for LONGEST_S at most.

A segment, the positions of the passes and the lease are written in one transaction: a process that is killed at any
statement leaves a complete index, and its successor continues there.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from filas.repository.search.event_words import words_of
from filas.repository.search.index_store import (
    Advance,
    BuilderReplaced,
    IndexStore,
    Position,
    Progress,
    Snapshot,
)
from filas.repository.search.segments import (
    Segment,
    SegmentDraft,
    ids_of,
    merged,
    microseconds,
    times_of,
    to_merge,
)

GRACE: Final = timedelta(seconds=3)
SURE_PART: Final = 3
STATEMENT_S: Final = timedelta(seconds=15)
LONGEST_S: Final = timedelta(minutes=10)

MERGED_BYTES: Final = 32 * 2**20
"""Segments with more words together are not merged, because a merge reads them into memory."""

SLICE_EVENTS: Final = 100
"""So many events are read for words at a time, so that other tasks of the process run between."""

EXAMINED: Final = 2000
EVERY_S: Final = 2.0
ROUND_S: Final = 1.0
"""A round ends after this time; the next one continues after as long a pause."""


class IndexBuilder:
    """Builds the index. After each chunk it pauses for `pause_share` of the time that the chunk took."""

    def __init__(self, store: IndexStore, *, pause_share: float = 1.0, grace: timedelta = GRACE) -> None:
        self.store = store
        self._pause_share = pause_share
        self._grace = grace
        self._pending: Snapshot | None = None
        self._safe_until: datetime | None = None
        self._large: set[int] = set()

    async def run(self) -> float:
        """One round. Returns the seconds until the next one. Raises StoreUnavailable."""
        began = time.monotonic()
        complete = await self.build()
        took = time.monotonic() - began
        return EVERY_S if complete else max(took * self._pause_share, 0.05)

    async def build(self, *, budget_s: float = ROUND_S) -> bool:
        """Indexes what is due, and stops after about `budget_s` seconds; the next call continues.

        Returns whether everything is indexed. True also if another process has the lease. Raises StoreUnavailable.
        """
        if not await self.store.acquire():
            return True
        try:
            return await self._build(time.monotonic() + budget_s)
        except BuilderReplaced:
            return True

    async def _build(self, until: float) -> bool:
        snapshot = await self.store.snapshot()
        self._note(snapshot)
        if await self.store.progress() is None:
            await self.store.begin(snapshot.now - self._grace, snapshot.now - LONGEST_S)
        for step in (self._next, self._late, self._merge, self._history):
            while await step(snapshot.now):
                if time.monotonic() >= until:
                    return False
        return True

    def _note(self, snapshot: Snapshot) -> None:
        """Moves the safe moment if every transaction of the pending snapshot has ended."""
        pending = self._pending
        if pending is None or snapshot.oldest >= pending.next:
            if pending is not None:
                self._safe_until = pending.now - STATEMENT_S
            self._pending = snapshot

    async def _progress(self) -> Progress:
        progress = await self.store.progress()
        if progress is None:
            raise BuilderReplaced("the index was emptied")
        return progress

    async def _next(self, now: datetime) -> bool:
        """Indexes the next events by the time of their receipt. Returns whether more may follow."""
        after, until = (await self._progress()).next, now - self._grace
        draft, more = SegmentDraft(), True
        while more and not draft.is_full:
            rows = await self.store.read_next(after, until)
            more = bool(rows)
            if rows:
                await self._add(draft, rows)
                after = rows[-1]["received_at"], rows[-1]["id"]
        if len(draft):
            await self._write(draft, Advance(next=after))
        return more

    async def _history(self, _now: datetime) -> bool:
        """Indexes the newest events that are older than the index. Returns whether more may follow."""
        before = (await self._progress()).history
        if before is None:
            return False
        draft, more = SegmentDraft(), True
        while more and not draft.is_full:
            rows = await self.store.read_history(before)
            more = bool(rows)
            if rows:
                await self._add(draft, rows)
                before = rows[-1]["received_at"], rows[-1]["id"]
        await self._write(draft, Advance(history=before) if more else Advance(history_ends=True))
        return more

    async def _late(self, now: datetime) -> bool:
        """Examines the next processed events. Returns whether more may follow."""
        progress = await self._progress()
        until = max(now - LONGEST_S, self._safe_until or now - LONGEST_S)
        rows = await self.store.processed(progress.late, until, EXAMINED)
        if not rows:
            return False
        began = time.monotonic()
        reached = rows[-1]["processed_at"], rows[-1]["id"]
        suspects = [
            _position(row) for row in rows if row["processed_at"] >= row["received_at"] + self._grace / SURE_PART
        ]
        missing = await self._not_indexed([one for one in suspects if _is_covered(one, progress)])
        draft = SegmentDraft()
        while missing:
            found = await self.store.read_missing(list(missing))
            await self._add(draft, found)
            # Without a row, the rest is deleted.
            missing = missing - {row["id"] for row in found} if found else set()
        await self._write(draft, Advance(late=reached))
        await self._pause(began)
        return len(rows) == EXAMINED

    async def _not_indexed(self, suspects: Sequence[Position]) -> set[UUID]:
        """The ids of those events that are in no segment."""
        left = {(microseconds(at), event_id.bytes) for at, event_id in suspects}
        if not left:
            return set()
        for head in await self.store.heads():
            first, last = microseconds(head.first_at), microseconds(head.last_at)
            here = [one for one in left if first <= one[0] <= last]
            places = await self.store.places(head.no) if here else None
            if places is not None:
                left -= await asyncio.to_thread(_indexed, here, *places)
        return {UUID(bytes=event_id) for _, event_id in left}

    async def _merge(self, _now: datetime) -> bool:
        """Merges small segments. Returns whether it has merged some."""
        heads = to_merge(one for one in await self.store.heads() if one.no not in self._large)
        if not heads:
            return False
        began = time.monotonic()
        if await self.store.word_bytes([head.no for head in heads]) > MERGED_BYTES:
            self._large.update(head.no for head in heads)
            return True
        segments = [segment for head in heads if (segment := await self.store.segment(head.no)) is not None]
        await self.store.acquire()
        together = await asyncio.to_thread(merged, segments) if segments else None
        await self.store.write(together, replaced=[head.no for head in heads])
        await self._pause(began)
        return True

    async def _add(self, draft: SegmentDraft, rows: Sequence[asyncpg.Record]) -> None:
        for begin in range(0, len(rows), SLICE_EVENTS):
            began = time.monotonic()
            await asyncio.to_thread(_add, draft, rows[begin : begin + SLICE_EVENTS])
            await self._pause(began)

    async def _write(self, draft: SegmentDraft, advance: Advance) -> None:
        began = time.monotonic()
        segment: Segment | None = await asyncio.to_thread(draft.finish) if len(draft) else None
        await self.store.write(segment, advance)
        await self._pause(began)

    async def _pause(self, began: float) -> None:
        await asyncio.sleep((time.monotonic() - began) * self._pause_share)


def _add(draft: SegmentDraft, rows: Sequence[asyncpg.Record]) -> None:
    for row in rows:
        draft.add(row["received_at"], row["id"], words_of(dict(row)))


def _position(row: asyncpg.Record) -> Position:
    return row["received_at"], row["id"]


def _is_covered(event: Position, progress: Progress) -> bool:
    """Whether the other passes have passed the event."""
    return event <= progress.next and (progress.history is None or event >= progress.history)


def _indexed(events: Sequence[tuple[int, bytes]], times: bytes, ids: bytes) -> set[tuple[int, bytes]]:
    """Those of the events that are in a segment."""
    received, named = times_of(times), ids_of(ids)
    found = set()
    for event in events:
        place = bisect_left(received, event[0])
        while place < len(received) and received[place] == event[0]:
            if named[place] == event[1]:
                found.add(event)
                break
            place += 1
    return found
