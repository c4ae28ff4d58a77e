"""Finds the events with words: through the index, and beside it among the events that are not in it yet.

In the order of their receipt, the newest first:

1. the events after the index: a few seconds, or what was received while the index was not built
2. the events in the index
3. the events before the index, while the first start is being caught up with

The first and the last part are read in chunks, through the index of the time or of a rare state, and their words are
compared here. If few events match the other conditions, all parts are read so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg

from filas.contacts.typed_contact import last_digits, possible_aliases
from filas.errors import StoreBusy
from filas.repository.event_filter import EventFilter, conditions_of, may_be_few, rarest_conditions
from filas.repository.postgres import paging
from filas.repository.postgres.database import Connection, Database
from filas.repository.search import search_sql as sql
from filas.repository.search.event_words import (
    Clause,
    Query,
    Term,
    address_terms,
    matches,
    terms_of,
    webhook_word,
    words_of,
)
from filas.repository.search.index_store import Position, progress_of
from filas.repository.search.segment_reader import SegmentReader, place_of

SEARCH_S: Final = 0.15
"""After this time a search returns what it has found, with a cursor at which the next page continues."""

COUNT_S: Final = 1.5
COUNTED_TOGETHER: Final = 5000

FEW: Final = 300
"""If no more events match the other conditions, the index is not used."""

EXAMINED: Final = 500
RARE_SHARE: Final = 20
"""If less than one of so many events with the words matches the other conditions, the index is not used further."""

CHUNK: Final = 250
CHUNK_BYTES: Final = 2**20
MAX_ADDRESSES: Final = 50
OLDEST: Final[Position] = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
NEWEST: Final[Position] = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
MIN_READ: Final = 50
_LAST: Final = "\U0010ffff"
_LAST_ID: Final = 2**128 - 1
_MICROSECOND: Final = timedelta(microseconds=1)

_Part: TypeAlias = Callable[[Position, Position], Awaitable[Position | None]]


@dataclass(slots=True)
class Found:
    """The events that match, in their order. `reached`: the last event that was examined, None if all were."""

    events: list[Position] = field(default_factory=list)
    reached: Position | None = None


class EventSearch:
    """Searches the events for words."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(
        self,
        wanted: EventFilter,
        after: Position | None,
        limit: int,
        *,
        oldest_first: bool = False,
        budget_s: float | None = None,
    ) -> Found:
        """Up to `limit` events that match `wanted`, from the one after `after`, the newest first or the oldest first.

        With `budget_s`, the search ends after about so many seconds. Raises StoreUnavailable.
        """
        until = None if budget_s is None else time.monotonic() + budget_s
        # One snapshot: a segment that is merged meanwhile stays readable.
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            query = await _query_of(connection, wanted)
            if not all(query):
                return Found()  # what was typed has no letter and no digit
            return await _Search(connection, wanted, query, limit, oldest_first, until).run(after)

    async def count(self, wanted: EventFilter, limit: int) -> int:
        """How many events match `wanted`, up to `limit`. Raises StoreBusy after COUNT_S seconds."""
        until, count, after = time.monotonic() + COUNT_S, 0, None
        while count < limit:
            wanted_now = min(limit - count, COUNTED_TOGETHER)
            found = await self.find(wanted, after, wanted_now, oldest_first=True, budget_s=until - time.monotonic())
            count, after = count + len(found.events), found.reached
            if after is None:
                break
            if time.monotonic() >= until:
                raise StoreBusy("slow", f"more than {count} events match")
        return count


async def _query_of(connection: Connection, wanted: EventFilter) -> Query:
    """The terms of a search. Of a contact, each known address is an alternative."""
    clauses: list[Clause] = [(terms_of(word),) for word in wanted.words]
    if wanted.contact is not None:
        ends = [digits[::-1] for digits in last_digits(wanted.contact)]
        typed = possible_aliases(wanted.contact)
        arguments = typed, ends, [end + _LAST for end in ends], MAX_ADDRESSES
        known = [row["alias"] for row in await connection.fetch(sql.ADDRESSES, *arguments)]
        # A number is a word in its canonical form only, so what was typed beside its digits need not be looked up.
        aliases = known or [alias for alias in typed if not ends or alias.isdigit()]
        clauses.append(tuple(dict.fromkeys(map(address_terms, aliases))))
    if wanted.webhook_id is not None:
        clauses.append(((Term(webhook_word(wanted.webhook_id), exact=True),),))
    return tuple(tuple(terms for terms in clause if terms) for clause in clauses)


class _Search:
    """One search in the transaction of `connection`."""

    def __init__(
        self,
        connection: Connection,
        wanted: EventFilter,
        query: Query,
        limit: int,
        oldest_first: bool,
        until: float | None,
    ) -> None:
        self._connection = connection
        self._wanted = wanted
        self._query = query
        self._limit = limit
        self._oldest_first = oldest_first
        self._until = until
        self._found: list[Position] = []

    async def run(self, after: Position | None) -> Found:
        """Reads the parts in their order."""
        low, high = OLDEST, NEWEST
        if after is not None:
            low, high = (after, high) if self._oldest_first else (low, after)
        parts = [(part, _clipped(bounds, low, high)) for part, bounds in await self._parts()]
        reached: Position | None = None
        for part, bounds in reversed(parts) if self._oldest_first else parts:
            if bounds is not None:
                reached = await part(*bounds)
                if reached is not None:
                    break
        return Found(self._found, reached)

    async def _parts(self) -> list[tuple[_Part, tuple[Position, Position]]]:
        """The parts with their bounds, which are not in them; the newest first."""
        progress = progress_of(await self._connection.fetchrow(sql.PROGRESS))
        if progress is None or await self._few_match():
            return [(self._scan, (OLDEST, NEWEST))]
        end, begin = _following(progress.next), OLDEST if progress.history is None else _preceding(progress.history)
        before = [] if progress.history is None else [(self._scan, (OLDEST, progress.history))]
        return [(self._scan, (progress.next, NEWEST)), (self._read_index, (begin, end)), *before]

    async def _few_match(self) -> bool:
        if not may_be_few(self._wanted):
            return False
        rare = rarest_conditions(self._wanted)
        select = ("select 1 from events", rare.where(), "limit", rare.place(FEW + 1))
        count = " ".join(("select count(*) from (", *select, ") few"))
        return int(await self._connection.fetchval(count, *rare.arguments)) <= FEW

    async def _scan(self, low: Position, high: Position) -> Position | None:
        """Compares the words of the events between the bounds. Returns the last event that it has examined, None if it
        has examined all."""
        order = "received_at, id" if self._oldest_first else "received_at desc, id desc"
        while True:
            search = conditions_of(self._wanted)
            search.add("(received_at, id) > ({}, {})", *low)
            search.add("(received_at, id) < ({}, {})", *high)
            select = ("select", sql.WORD_COLUMNS, "from events", search.where(), "order by", order, "limit")
            statement = paging.within_bytes(
                " ".join((*select, search.place(CHUNK))), "octet_length(body)", order, CHUNK_BYTES
            )
            rows = await self._connection.fetch(statement, *search.arguments)
            if not rows:
                return None
            matching = await asyncio.to_thread(_matching, self._query, rows)
            reached: Position
            for row, is_match in zip(rows, matching, strict=True):
                reached = row["received_at"], row["id"]
                if is_match:
                    self._found.append(reached)
                    if len(self._found) == self._limit:
                        return reached
            if rows[0]["found"] == len(rows) < CHUNK:
                return None
            low, high = (reached, high) if self._oldest_first else (low, reached)
            if self._is_over():
                return reached

    async def _read_index(self, low: Position, high: Position) -> Position | None:
        """Reads the events between the bounds through the index."""
        since, until = self._wanted.since, self._wanted.until
        low = low if since is None else max(low, _preceding(max((since, UUID(int=0)), OLDEST)))
        high = high if until is None else min(high, (until, UUID(int=0)))
        if low >= high:
            return None
        bounds = place_of(_following(low)), place_of(_preceding(high))
        reader = SegmentReader(self._connection, self._query, *bounds, oldest_first=self._oldest_first)
        await reader.open()
        begin = low if self._oldest_first else high
        reached, examined, matching = begin, 0, 0
        while reader.next_at is not None:
            events = await reader.read(max(self._limit - len(self._found), MIN_READ))
            examined += len(events)
            for position in await self._matching(events):
                matching += 1
                self._found.append(position)
                if len(self._found) == self._limit:
                    return position
            reached = self._later(events[-1] if events else reached, reader.next_at)
            if self._is_over() and reached != begin:
                return reached
            if examined >= EXAMINED and RARE_SHARE * matching < examined and may_be_few(self._wanted):
                return await self._scan(*((reached, high) if self._oldest_first else (low, reached)))
        return None

    def _later(self, reached: Position, next_at: datetime | None) -> Position:
        """The place up to which all is examined: `reached`, or later if the next event is later than its time."""
        if next_at is None:
            return reached
        if self._oldest_first:
            return _preceding((next_at, UUID(int=0))) if next_at > reached[0] else reached
        return _following((next_at, NEWEST[1])) if next_at < reached[0] else reached

    async def _matching(self, events: Sequence[Position]) -> list[Position]:
        """Those of the events that exist and match the conditions, in their order."""
        if not events:
            return []
        search = conditions_of(self._wanted)
        search.add("id = any({}::uuid[])", [event_id for _, event_id in events])
        rows = await self._connection.fetch(" ".join(("select id from events", search.where())), *search.arguments)
        existing = {row["id"] for row in rows}
        return [one for one in events if one[1] in existing]

    def _is_over(self) -> bool:
        return self._until is not None and time.monotonic() >= self._until


def _matching(query: Query, rows: Sequence[asyncpg.Record]) -> list[bool]:
    return [matches(query, words_of(dict(row))) for row in rows]


def _clipped(bounds: tuple[Position, Position], low: Position, high: Position) -> tuple[Position, Position] | None:
    begin, end = max(bounds[0], low), min(bounds[1], high)
    return (begin, end) if begin < end else None


def _following(position: Position) -> Position:
    """The place after an event."""
    at, event_id = position
    return (at, UUID(int=event_id.int + 1)) if event_id.int < _LAST_ID else (at + _MICROSECOND, UUID(int=0))


def _preceding(position: Position) -> Position:
    """The place before an event."""
    at, event_id = position
    return (at, UUID(int=event_id.int - 1)) if event_id.int else (at - _MICROSECOND, UUID(int=_LAST_ID))
