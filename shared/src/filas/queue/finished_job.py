"""The record of a finished job, which the worker writes and the statistics read."""

import msgspec

from filas.models.record import ErrorDetail


class FinishedJob(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The record of a finished job in its queue's ring of the newest finished jobs. Times are Unix ms."""

    id: str
    name: str
    attempts_made: int
    enqueued_on: int
    processed_on: int
    finished_on: int
    group: str | None = None
    error: ErrorDetail | None = None
