"""Builds rollups from rows, in the background and in bounded rounds. One worker at a time builds: it has the lease.

Rows count in the bucket of a time that the row gets when it ends (or is received), so most buckets never change after
their time is over. These passes run over each source:

| pass          | builds                                               | what it adds                                 |
|---------------|------------------------------------------------------|----------------------------------------------|
| `fresh`       | each minute up to the present one, in every round    | everything up to now                         |
|               | until it has been over for TRAIL                     |                                              |
| `settle-soon` | each minute again, when it is 15 minutes old         | rows whose transaction took long; receipts   |
| `settle-late` | each minute again, when it is 20 hours old           | receipts and replays of a day                |
| `history`     | what was there before the first round                | days, then hours, then minutes               |

An event that the write-behind backfill writes late is found when it is processed: the minute of its receipt is marked
and built again. Hours are the sums of their minutes, and days those of their hours; both are marked in the transaction
that writes a part of them. A bucket is replaced as a whole, in one transaction with the progress of its pass. A worker
that is killed at any statement leaves either the old bucket or the new one, and its successor continues there.

No other process writes anything for rollups. They cost the other writers three index entries, one at the end of each
event, execution and notification (`0096_rollup_indexes`; measured in `tests/benchmarks/analytics`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from filas.models.analytics import WIDTHS, Resolution, bucket_of
from filas.repository.analytics.rollup_sources import SOURCES, Source
from filas.repository.analytics.rollup_store import LEASE_S, BuilderReplaced, Mark, Progress, RollupStore

FRESH: Final = "fresh"
HISTORY: Final = "history"
SETTLING: Final = {"settle-soon": timedelta(minutes=15), "settle-late": timedelta(hours=20)}

TRAIL: Final = timedelta(seconds=90)
"""A statement that ends a row takes 10 s at most (the statement timeout), and names the time at which it began."""

SURELY_KEPT: Final = timedelta(hours=23)
"""How long every row is kept at least: the shortest retention is a day. An older minute is not built again."""

CHUNK: Final[dict[Resolution, int]] = {"minute": 20, "hour": 1, "day": 1}
MARKS: Final = 20
ROUND_S: Final = 10.0
EVERY_S: Final = 30.0
BUSY_SHARE: Final = 10.0
LONGEST_PAUSE_S: Final = 300.0
"""The next round begins after ten times as long as the last one took: at least EVERY_S, at most five minutes."""

Step = Callable[[Source], Awaitable[bool]]


class RollupBuilder:
    """Builds the rollups of all sources. Minutes are kept for `minutes_days` days (2 at least), hours for `hours_days`
    days (4 at least)."""

    def __init__(self, store: RollupStore, *, minutes_days: float = 2.0, hours_days: float = 14.0) -> None:
        self._store = store
        self._minutes_kept = timedelta(days=minutes_days)
        self._hours_kept = timedelta(days=hours_days)

    async def run(self) -> float:
        """One round. Returns the seconds until the next one. Raises StoreUnavailable."""
        began = time.monotonic()
        await self.build(await self._store.now())
        pause_s = min(max(EVERY_S, (time.monotonic() - began) * BUSY_SHARE), LONGEST_PAUSE_S)
        # The builder keeps the lease until its next round, so that the workers do not take turns.
        await self._store.acquire(pause_s + LEASE_S / 2)
        return pause_s

    async def build(self, now: datetime, *, budget_s: float = ROUND_S) -> bool:
        """Builds what is due at `now`, and stops after about `budget_s` seconds; the next call continues.

        Returns whether everything is built. False also if another worker has the lease. Raises StoreUnavailable.
        """
        if not await self._store.acquire():
            return False
        try:
            return await _Round(self._store, now, self._minutes_kept, self._hours_kept, budget_s).build()
        except BuilderReplaced:
            return False


class _Round:
    """One round at the time `now`."""

    def __init__(
        self, store: RollupStore, now: datetime, minutes_kept: timedelta, hours_kept: timedelta, budget_s: float
    ) -> None:
        self._store = store
        self._now = now
        self._until = time.monotonic() + budget_s
        # Older minutes and hours may be deleted by retention.
        self._oldest_minute = bucket_of("hour", now - minutes_kept + timedelta(hours=2))
        self._oldest_hour = bucket_of("day", now - hours_kept + timedelta(days=2))

    async def build(self) -> bool:
        """Runs the passes in the order of their importance. Returns whether everything is built."""
        for source in SOURCES:
            await self._begin(source)
        complete = True
        for step in (
            self._fresh,
            self._sum_up,
            self._rebuild_marked,
            self._settle_soon,
            self._settle_late,
            self._history,
            self._sum_up,
        ):
            complete = await self._repeat(step) and complete
        return complete

    async def _repeat(self, step: Step) -> bool:
        """Calls the step for each source until it has nothing more to do, and at least once, within the budget."""
        pending = list(SOURCES)
        while pending:
            pending = [source for source in pending if await step(source)]
            if pending and time.monotonic() >= self._until:
                return False
        return True

    async def _begin(self, source: Source) -> None:
        if await self._store.progress(source):
            return
        start = bucket_of("hour", self._now)
        oldest = await self._store.next_row(source)
        first = start if oldest is None else min(bucket_of("day", oldest), start)
        if oldest is not None and await self._store.has_days(source):
            # Another source has built them before. Rows of the oldest day may be deleted, so its bucket stays.
            first = min(first + WIDTHS["day"], start)
        passes = {FRESH: Progress(start, None), HISTORY: Progress(first, start)}
        passes |= {name: Progress(bucket_of("hour", self._now - age), None) for name, age in SETTLING.items()}
        await self._store.begin(source, passes)

    async def _fresh(self, source: Source) -> bool:
        begun = (await self._store.progress(source))[FRESH]
        end = bucket_of("minute", self._now) + WIDTHS["minute"]
        return await self._build_chunk(source, FRESH, begun.next_at, end)

    async def _settle_soon(self, source: Source) -> bool:
        return await self._settle(source, "settle-soon")

    async def _settle_late(self, source: Source) -> bool:
        return await self._settle(source, "settle-late")

    async def _settle(self, source: Source, name: str) -> bool:
        passes = await self._store.progress(source)
        start = max(passes[name].next_at, bucket_of("hour", self._now - SURELY_KEPT))
        end = min(bucket_of("minute", self._now - SETTLING[name]), passes[FRESH].next_at)
        return await self._build_chunk(source, name, start, end)

    async def _history(self, source: Source) -> bool:
        begun = (await self._store.progress(source))[HISTORY]
        end = begun.until
        if end is None or begun.next_at >= end:
            return False
        found = await self._store.next_row(source, begun.next_at)
        if found is None or found >= end:
            await self._store.skip(source, HISTORY, end)
            return False
        return await self._build_chunk(source, HISTORY, max(begun.next_at, bucket_of("minute", found)), end)

    async def _build_chunk(self, source: Source, name: str, start: datetime, end: datetime) -> bool:
        """Builds the next buckets of a pass that goes from `start` to `end`. Returns whether more follow."""
        if start >= end:
            return False
        resolution = self._resolution(start)
        first = bucket_of(resolution, start)
        width = WIDTHS[resolution]
        if resolution != "minute" and first + width > end:
            return False  # the pass has not reached the end of the hour
        until = min(first + CHUNK[resolution] * width, end)
        buckets = [first]
        while buckets[-1] + width < until:
            buckets.append(buckets[-1] + width)
        counts = await self._store.read(source, resolution, first, until)
        touched = None
        if source.name == "events" and name == FRESH:
            received = (await self._store.progress(SOURCES[0]))[FRESH].next_at
            touched = SOURCES[0], await self._store.received_earlier(first, until, received)
        reached = until
        if name == FRESH:
            reached = max(start, min(until, bucket_of("minute", self._now - TRAIL)))
        await self._store.write(source, resolution, buckets, counts, advance=(name, reached), touched=touched)
        return until < end

    def _resolution(self, start: datetime) -> Resolution:
        """The buckets that are built from rows: older ones are not kept by minute, or by hour."""
        if bucket_of("day", start) < self._oldest_hour:
            return "day"
        return "hour" if bucket_of("hour", start) < self._oldest_minute else "minute"

    async def _rebuild_marked(self, source: Source) -> bool:
        marks = await self._store.marks("minute", source, MARKS)
        for mark in marks:
            if mark.at < self._oldest_minute:
                await self._store.unmark(source, "minute", [mark])
            else:
                await self._rebuild(source, "minute", mark)
        return len(marks) == MARKS

    async def _rebuild(self, source: Source, resolution: Resolution, mark: Mark) -> None:
        counts = await self._store.read(source, resolution, mark.at, mark.at + WIDTHS[resolution])
        await self._store.write(source, resolution, [mark.at], counts, done=[mark])

    async def _sum_up(self, source: Source) -> bool:
        """Builds the marked hours, then the marked days. From the rows, if their parts are not kept any more."""
        more = False
        oldest_parts: dict[Resolution, datetime] = {"hour": self._oldest_minute, "day": self._oldest_hour}
        for resolution, oldest in oldest_parts.items():
            marks = await self._store.marks(resolution, source, MARKS)
            for mark in marks:
                if mark.at < oldest:
                    await self._rebuild(source, resolution, mark)
                else:
                    await self._store.sum_up(source, resolution, mark)
            more = more or len(marks) == MARKS
        return more
