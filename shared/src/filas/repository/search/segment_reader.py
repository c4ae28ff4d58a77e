"""Reads the events of segments that have words, in the order of their receipt."""

from __future__ import annotations

import asyncio
import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import and_, or_
from typing import Final, TypeAlias
from uuid import UUID

from filas.repository.postgres.database import Connection
from filas.repository.search import search_sql as sql
from filas.repository.search.event_words import Clause, Query, Term
from filas.repository.search.index_store import Position, head_of
from filas.repository.search.segments import SegmentHead, ids_of, microseconds, moment, times_of
from filas.repository.search.word_parts import found_in

RESOLVED: Final = 64
"""How many events of a segment are read at a time."""

SPAN: Final = 4096
MANY_WORDS: Final = 1000
FIRST_OPENED: Final = 4
MOST_OPENED: Final = 128
QUICK_BYTES: Final = 64 * 1024
"""So much is decompressed in a millisecond or two: another thread would take longer to start."""

FEW_BYTES: Final = 256 * 1024
"""If the parts of the segments that were opened together are smaller, more are opened the next time."""

_AFTER_WORD: Final = {True: b"\0", False: b"\xff"}
_ID_LIMIT: Final = 2**128

Place: TypeAlias = tuple[int, int]
"""An event as numbers: the microseconds of its receipt, and its id."""


def place_of(position: Position) -> Place:
    """The numbers of a position."""
    return microseconds(position[0]), position[1].int


@dataclass(slots=True)
class _Stream:
    """The events of one segment that match: `left` are those that were not read, `ready` the next ones that were."""

    head: SegmentHead
    left: int | None = None
    ready: list[Place] = field(default_factory=list)


class SegmentReader:
    """Yields the events that match `query`, after `after` and within [`low`, `high`]; `after` is None at the beginning.

    The newest come first, or the oldest with `oldest_first`. All is read in the transaction of `connection`.
    """

    def __init__(
        self, connection: Connection, query: Query, low: Place, high: Place, *, oldest_first: bool = False
    ) -> None:
        self._connection = connection
        self._query = sorted(query, key=_expected_bytes)
        self._low, self._high = low, high
        self._sign = 1 if oldest_first else -1
        self._heap: list[tuple[Place, int, _Stream]] = []
        self._opened_together = FIRST_OPENED
        self._number = 0

    async def open(self) -> None:
        """Reads which segments there are."""
        low, high = moment(self._low[0]), moment(self._high[0])
        for row in await self._connection.fetch(sql.HEADS_BETWEEN, low, high):
            self._push(_Stream(head_of(row)))

    @property
    def next_at(self) -> datetime | None:
        """The time of the next event, or one that comes before it in the order of the search. None at the end."""
        return moment(self._sign * self._heap[0][0][0]) if self._heap else None

    async def read(self, limit: int) -> list[Position]:
        """Up to `limit` further events, maybe fewer or none although more follow: it opens segments once at most. None
        follow if `next_at` is None."""
        found: list[Position] = []
        while self._heap and len(found) < limit:
            stream = self._heap[0][2]
            if stream.left is None:
                await self._open()
                break
            heapq.heappop(self._heap)
            if stream.ready:
                time, number = stream.ready.pop(0)
                found.append((moment(time), UUID(int=number)))
            else:
                await self._resolve(stream)
            self._push(stream)
        return found

    def _push(self, stream: _Stream) -> None:
        if stream.ready:
            time, number = stream.ready[0]
            key = (self._sign * time, self._sign * number)
        elif stream.left == 0:
            return
        else:
            # Before all of its events, so that it is opened, or read further, before an event of another segment.
            edge = stream.head.first_at if self._sign > 0 else stream.head.last_at
            key = (self._sign * microseconds(edge), -_ID_LIMIT)
        self._number += 1
        heapq.heappush(self._heap, (key, self._number, stream))

    async def _open(self) -> None:
        """Reads the words of the next segments."""
        streams: list[_Stream] = []
        while self._heap and len(streams) < self._opened_together and self._heap[0][2].left is None:
            streams.append(heapq.heappop(self._heap)[2])
        size = 0
        for stream in streams:
            stream.left = (1 << stream.head.events) - 1
        for clause in self._query:
            # Most segments have no event with the rarest word, and need not be read further.
            size += await self._apply(clause, [stream for stream in streams if stream.left])
        if size < FEW_BYTES:
            self._opened_together = min(FIRST_OPENED * self._opened_together, MOST_OPENED)
        elif size > 2 * FEW_BYTES:
            self._opened_together = max(self._opened_together // FIRST_OPENED, 1)
        for stream in streams:
            if stream.left:
                stream.left &= await self._window(stream.head)
            self._push(stream)

    async def _apply(self, clause: Clause, streams: Sequence[_Stream]) -> int:
        """Leaves the events that match a clause. Returns the bytes that were read."""
        if not streams:
            return 0
        terms = sorted({term for alternative in clause for term in alternative})
        asked = [(stream, term) for stream in streams for term in terms]
        rows = await self._connection.fetch(
            sql.PARTS,
            [stream.head.no for stream, _ in asked],
            [term.word for _, term in asked],
            [term.word + _AFTER_WORD[term.exact] for _, term in asked],
        )
        parts = [(row["number"] - 1, row["words"]) for row in rows]
        size = sum(len(words) for _, words in parts)
        looked_up = [term for _, term in asked]
        bits = _bits(looked_up, parts) if size < QUICK_BYTES else await asyncio.to_thread(_bits, looked_up, parts)
        for number, stream in enumerate(streams):
            found = dict(zip(terms, bits[number * len(terms) : (number + 1) * len(terms)], strict=True))
            matching = reduce(or_, (reduce(and_, (found[term] for term in alternative)) for alternative in clause))
            stream.left = (stream.left or 0) & matching
        return size

    async def _window(self, head: SegmentHead) -> int:
        """The bits of the events of a segment whose time is within the bounds."""
        everything = (1 << head.events) - 1
        low, high = self._low[0], self._high[0]
        if low <= microseconds(head.first_at) and microseconds(head.last_at) <= high:
            return everything
        times = times_of(await self._connection.fetchval(sql.TIMES, head.no) or b"")
        begin, end = bisect_left(times, low), bisect_right(times, high)
        return (everything >> begin << begin) & ((1 << end) - 1)

    async def _resolve(self, stream: _Stream) -> None:
        """Reads the next events of a segment."""
        bits = stream.left or 0
        places: list[int] = []
        while bits and len(places) < RESOLVED:
            place = (bits & -bits).bit_length() - 1 if self._sign > 0 else bits.bit_length() - 1
            places.append(place)
            bits ^= 1 << place
        stream.left = bits
        found = await self._places(stream.head.no, places)
        stream.ready = [one for one in found if self._low <= one <= self._high]

    async def _places(self, no: int, places: Sequence[int]) -> list[Place]:
        first, last = min(places), max(places)
        if last - first < SPAN:
            row = await self._connection.fetchrow(sql.PLACES_BETWEEN, no, first, last - first + 1)
            times, ids = (times_of(row["times"]), ids_of(row["ids"])) if row is not None else ((), [])
            return [(times[one - first], int.from_bytes(ids[one - first], "big")) for one in places]
        rows = await self._connection.fetch(sql.PLACES_AT, no, list(places))
        return [(times_of(row["times"])[0], int.from_bytes(row["ids"], "big")) for row in rows]


def _expected_bytes(clause: Clause) -> int:
    """Orders the clauses of a query: first those that read little. A short beginning of a word has many words."""
    terms = [term for alternative in clause for term in alternative]
    return sum(1 if term.exact else MANY_WORDS // len(term.word) for term in terms)


def _bits(terms: Sequence[Term], parts: Sequence[tuple[int, bytes]]) -> list[int]:
    bits = [0] * len(terms)
    for number, words in parts:
        bits[number] |= found_in(words, terms[number])
    return bits
