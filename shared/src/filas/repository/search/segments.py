"""A segment of the index: some thousands of events, and for each of their words the events that have it.

A segment is never changed. Small ones are merged to larger ones, so that a search reads few of them: two to eight
segments of one tier become one of the next tier.
"""

from __future__ import annotations

import heapq
import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Final
from uuid import UUID

from filas.repository.search.word_parts import decoded, encoded

TIER_FACTOR: Final = 8
FULL_EVENTS: Final = 2**15
"""A segment with so many events is not merged. Two smaller ones together have less than 2**16 events, the most that a
position can count."""

DRAFT_EVENTS: Final = 8192
DRAFT_WORDS: Final = 500_000
"""The words of a draft take about 100 bytes each."""

ID_BYTES: Final = 16
TIME_BYTES: Final = 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment as it is stored. `parts`: the first word and the content of each."""

    events: int
    first_at: datetime
    last_at: datetime
    times: bytes
    ids: bytes
    parts: list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class SegmentHead:
    """A segment without its content."""

    no: int
    events: int
    first_at: datetime
    last_at: datetime

    @property
    def tier(self) -> int:
        """0 below 8 events, 1 below 64, and so on. A full segment has the last one."""
        return FULL_TIER if self.events >= FULL_EVENTS else tier_of(self.events)


def tier_of(events: int) -> int:
    """The number of times that `events` can be divided by TIER_FACTOR."""
    return (max(events, 1).bit_length() - 1) // 3


FULL_TIER: Final = tier_of(FULL_EVENTS)


def to_merge(heads: Iterable[SegmentHead]) -> list[SegmentHead]:
    """The segments that should become one now: the oldest of a tier that together reach the next tier. Empty: none."""
    tiers: dict[int, list[SegmentHead]] = {}
    for head in sorted(heads, key=lambda one: (one.last_at, one.no)):
        if head.tier >= FULL_TIER:
            continue
        together = tiers.setdefault(head.tier, [])
        together.append(head)
        if sum(one.events for one in together) >= TIER_FACTOR ** (head.tier + 1):
            return together
    return []


class SegmentDraft:
    """Collects events for a segment."""

    def __init__(self) -> None:
        self._events: list[tuple[int, bytes, frozenset[bytes]]] = []
        self._words = 0

    def __len__(self) -> int:
        return len(self._events)

    @property
    def is_full(self) -> bool:
        """Whether it should be finished: its words take memory."""
        return len(self._events) >= DRAFT_EVENTS or self._words >= DRAFT_WORDS

    def add(self, received_at: datetime, event_id: UUID, words: frozenset[bytes]) -> None:
        """Adds an event. Events may be added in any order."""
        self._events.append((microseconds(received_at), event_id.bytes, words))
        self._words += len(words)

    def finish(self) -> Segment:
        """The segment of the events. There must be one at least."""
        self._events.sort(key=itemgetter(0, 1))
        # Most words are those of one event: they get no list of their own.
        found: dict[bytes, tuple[int] | array[int]] = {}
        for position, (_, _, words) in enumerate(self._events):
            alone = (position,)
            for word in words:
                positions = found.setdefault(word, alone)
                if positions is alone:
                    continue
                if isinstance(positions, tuple):
                    found[word] = array("H", (*positions, position))
                else:
                    positions.append(position)
        times = [time for time, _, _ in self._events]
        return _segment(times, [event_id for _, event_id, _ in self._events], sorted(found.items()))


def merged(segments: Sequence[Segment]) -> Segment:
    """One segment with the events of all. An event that is in several of them is in it once."""
    places: dict[tuple[int, bytes], int] = {}
    events = [list(zip(times_of(one.times), ids_of(one.ids), strict=True)) for one in segments]
    for place, event in enumerate(sorted({event for part in events for event in part})):
        places[event] = place
    streams = [
        _moved(segment, [places[event] for event in part]) for segment, part in zip(segments, events, strict=True)
    ]
    words = (
        (word, _together([positions for _, positions in group]))
        for word, group in groupby(heapq.merge(*streams, key=itemgetter(0)), key=itemgetter(0))
    )
    return _segment([time for time, _ in places], [event_id for _, event_id in places], words)


def _moved(segment: Segment, places: list[int]) -> Iterator[tuple[bytes, list[int]]]:
    for _, part in segment.parts:
        for word, positions in decoded(part):
            yield word, [places[position] for position in positions]


def _together(positions: list[list[int]]) -> Sequence[int]:
    return sorted(positions[0]) if len(positions) == 1 else sorted({place for part in positions for place in part})


def _segment(times: list[int], ids: list[bytes], words: Iterable[tuple[bytes, Sequence[int]]]) -> Segment:
    return Segment(
        events=len(times),
        first_at=moment(times[0]),
        last_at=moment(times[-1]),
        times=struct.pack(f">{len(times)}q", *times),
        ids=b"".join(ids),
        parts=list(encoded(words, len(times))),
    )


def times_of(raw: bytes) -> tuple[int, ...]:
    """The times of a segment, or of a part of it, in microseconds."""
    return struct.unpack(f">{len(raw) // TIME_BYTES}q", raw)


def ids_of(raw: bytes) -> list[bytes]:
    """The ids of a segment, or of a part of it."""
    return [raw[begin : begin + ID_BYTES] for begin in range(0, len(raw), ID_BYTES)]


def microseconds(time: datetime) -> int:
    """The microseconds since 1970, exactly."""
    return (time - _EPOCH) // _MICROSECOND


def moment(time: int) -> datetime:
    """The time of so many microseconds since 1970."""
    return _EPOCH + time * _MICROSECOND
