"""Schedules: flows that start at set times."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from filas.models.interval import Interval
from filas.models.record import ErrorDetail, Record

Misfire = Literal["skip", "run-once", "catch-up"]
"""What happens to ticks that no flow-runner could run in time: no run, one run for all of them, or a run for each."""


class ScheduleConversation(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The conversation in which the executions of a schedule run: over `channel`, with `contact`."""

    channel: str
    contact: str


class Schedule(Record, frozen=True, kw_only=True):
    """When a flow starts by itself, and with which input.

    The ticks are those of `cron` or `every` in `timezone` (IANA), or the times in `at` (one of the three), from
    `starts_at` to `ends_at`, both included. `version` None is the version that is published at the tick. `input` is
    what the flow sees as `webhook.body`. A tick is missed if it is more than `misfire_grace_ms` late; `catch_up_limit`
    bounds the number of ticks that are run at once.

    `next_run_at` is the first tick that is not dealt with yet, None if there is none. `last_run_at` is the tick of the
    last execution that was started, `last_execution_id`. `last_error` is why the last tick started no execution.

    A schedule has no status column. `next_run_at` makes the difference:

    | state    | meaning                              | moved to another state by                | removed by        |
    |----------|--------------------------------------|------------------------------------------|-------------------|
    | active   | `next_run_at` is the next tick       | the flow-runner, after the last tick or  | an operator (API) |
    |          |                                      | one that cannot be computed: finished;   |                   |
    |          |                                      | an operator: any                         |                   |
    | finished | `next_run_at` is null and `enabled`: | an operator stores other times: active   | an operator (API) |
    |          | no tick is to come                   |                                          |                   |
    | disabled | `next_run_at` is null, not `enabled` | an operator enables it: active           | an operator (API) |

    The executions that a schedule has started stay when it is removed.
    """

    id: str
    flow_id: str
    version: int | None = None
    cron: str | None = None
    every: Interval | None = None
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
    """A schedule that was requested by id, with its next ticks."""

    next_runs: list[datetime] = msgspec.field(default_factory=list)


class DueTicks(Record, frozen=True, kw_only=True):
    """The ticks of a due schedule: those to run now, the oldest first, and the next one to come.

    `missed`: some were late, and `misfire` decided which of them run. `error`: no tick could be computed.
    """

    run: list[datetime]
    next_run_at: datetime | None
    missed: bool = False
    error: ErrorDetail | None = None
