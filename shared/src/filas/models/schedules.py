"""Schedules: flows that begin at set times."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from filas.models.record import ErrorDetail, Record

Misfire = Literal["skip", "run-once", "catch-up"]
"""What becomes of ticks that nobody was there to run: nothing, one run for all of them, or a run each."""


class ScheduleConversation(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The conversation in which the executions of a schedule run: over `channel`, with `contact`."""

    channel: str
    contact: str


class Schedule(Record, frozen=True, kw_only=True):
    """When a flow begins by itself, and with what.

    `cron` in `timezone` (IANA), or the times of `at`: one of the two; of them the ticks from `starts_at` to
    `ends_at`, both included. `version` None: the one that is published at the tick. `input` is what the flow sees as
    `webhook.body`. A tick is missed once it is `misfire_grace_ms` late; `catch_up_limit` bounds the runs of one look.

    `next_run_at` is the first tick that has not been dealt with, None where none is to come. `last_run_at` is the tick
    of the last run that was started, which is `last_execution_id`. `last_error` is why the last tick started none.
    """

    id: str
    flow_id: str
    version: int | None = None
    cron: str | None = None
    timezone: str = "UTC"
    at: list[datetime] | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    enabled: bool = True
    input: Any = None
    conversation: ScheduleConversation | None = None
    misfire: Misfire = "run-once"
    misfire_grace_ms: int = 60_000
    catch_up_limit: int = 100
    revision: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    next_run_at: datetime | None = None
    last_run_at: datetime | None = None
    last_execution_id: UUID | None = None
    last_error: ErrorDetail | None = None


class ScheduleWithRuns(Schedule, frozen=True, kw_only=True):
    """A schedule asked for by id: with its next ticks."""

    next_runs: list[datetime] = msgspec.field(default_factory=list)


class DueTicks(Record, frozen=True, kw_only=True):
    """What one look at a due schedule comes to: the ticks to run now, the oldest first, and the first one to come.

    `missed`: some were late, and the schedule's `misfire` has decided. `error`: no tick could be computed.
    """

    run: list[datetime]
    next_run_at: datetime | None
    missed: bool = False
    error: ErrorDetail | None = None
