"""Failures that have one cause, counted together."""

from datetime import datetime
from uuid import UUID

from filas.models.record import ErrorDetail, Record

TREND_PARTS = 12
"""Into how many equal parts the time of a search is divided for a trend."""


class FailureGroup(Record, frozen=True, kw_only=True):
    """The failures with one fingerprint in one flow, or the dead letters in one queue.

    `where` is the flow or the queue. `first` and `last` are within the searched time. `trend` has the count of each
    twelfth of that time, the oldest first. `example` is the newest failure, `error` its error. `since_version`: the
    lowest version of the flow that failed so in the searched time; of a dead letter, that of the first failure.
    """

    where: str
    fingerprint: str | None
    count: int
    first: datetime
    last: datetime
    trend: list[int]
    example: UUID
    error: ErrorDetail | None
    since_version: int | None = None
