"""The counts of buckets while they are read: those of several statements are added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg

from filas.models.analytics import ALL, Resolution, bucket_of
from filas.models.histograms import BUCKETS
from filas.repository.analytics.rollup_sources import WITHOUT_SUM

Key: TypeAlias = tuple[str, datetime, str, str, str]
"""Figure, start of the bucket, subject, part and outcome."""


@dataclass(slots=True)
class Counts:
    """What one row of `rollups` has."""

    count: int = 0
    sum_ms: float = 0.0
    histogram: dict[int, int] = field(default_factory=dict)

    def add(self, number: int, sum_ms: float, bucket: int | None) -> None:
        """Adds `number` rows, all with their time in `bucket` (None: no time is measured)."""
        self.count += number
        self.sum_ms += sum_ms
        if bucket is not None:
            self.histogram[bucket] = self.histogram.get(bucket, 0) + number


class BucketCounts:
    """The counts of some buckets, by key."""

    def __init__(self) -> None:
        self._counts: dict[Key, Counts] = {}

    def add(self, rows: Iterable[asyncpg.Record]) -> None:
        """Adds the rows of a statement of `rollup_sources`, and to the sum of all subjects where there is one."""
        for row in rows:
            figure = row["figure"]
            subjects = (row["subject"],) if figure in WITHOUT_SUM else (row["subject"], ALL)
            for subject in subjects:
                key = (figure, row["at"], subject, row["part"], row["outcome"])
                self._counts.setdefault(key, Counts()).add(row["n"], row["sum_ms"], row["bucket"])

    def starts(self, resolution: Resolution) -> list[datetime]:
        """The hours or days of the buckets, in order."""
        return sorted({bucket_of(resolution, key[1]) for key in self._counts})

    def columns(self) -> Iterator[list[Any]]:
        """The columns of the rows, in the order of the parameters of INSERT."""
        items = list(self._counts.items())
        for position in range(5):
            yield [key[position] for key, _ in items]
        yield [counts.count for _, counts in items]
        yield [counts.sum_ms for _, counts in items]
        for bucket in range(BUCKETS):
            yield [counts.histogram.get(bucket) for _, counts in items]
