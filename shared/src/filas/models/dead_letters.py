"""Jobs, and those that can't succeed."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from filas.models.record import ErrorDetail, Record

JobState = Literal["waiting", "delayed", "active", "completed", "failed"]
"""waiting: due and not claimed. delayed: due later. active: claimed under a live lease."""


class NewDeadLetter(Record, frozen=True, kw_only=True):
    """A job about to be a dead letter. `payload` is its message as JSON (what stands under `job`) where the
    job decodes so far, else the job's bytes as they were. `queue` is the queue's full name. `history` has an
    entry a failed try. Queue, job and `failed_at` together tell one dead letter from another."""

    queue: str
    job_id: str
    function: str
    payload: bytes
    group_key: str | None
    error: ErrorDetail
    attempts: int
    history: list[dict[str, Any]]
    enqueued_at: datetime | None
    failed_at: datetime


class DeadLetter(Record, frozen=True, kw_only=True):
    """A job that can't succeed, whole: `payload` is the message as JSON where it decodes, else None, and
    `raw` the job's bytes in base64 where it doesn't. `history` has an entry a failed try."""

    id: UUID
    queue: str
    job_id: str
    function: str
    payload: dict[str, Any] | None
    raw: str | None
    group_key: str | None
    error: ErrorDetail
    attempts: int
    history: list[dict[str, Any]]
    enqueued_at: datetime | None
    failed_at: datetime
    replayed_at: datetime | None = None
    replayed_job_id: str | None = None
