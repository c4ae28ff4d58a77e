"""Replays of many rows that run in the background, at a rate."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from filas.models.record import Record

ReplayKind = Literal["dead-letters", "executions", "events"]
ReplayedStatus = Literal["processed", "ignored", "failed"]

ReplayRunStatus = Literal["running", "finished", "stopped", "failed"]
"""The status of a replay run:

| status     | meaning                                          | moved to another status by                          |
|------------|--------------------------------------------------|-----------------------------------------------------|
| `running`  | an `ingest admin` replays the rows that match;   | no further row matches, or the limit is reached:    |
|            | if it ends, another one, or the next one, does   | `finished`; an operator: `stopped`; an error:       |
|            | the rest                                         | `failed`                                            |
| `finished` | all rows that matched were handled               | never                                               |
| `stopped`  | an operator stopped it; the rest is as it was    | never                                               |
| `failed`   | it ended with an error; the rest is as it was    | never                                               |

`ingest work` (retention) removes a run after the time of dead letters, counted from its start.
"""

Rate = Annotated[float, msgspec.Meta(gt=0, le=10_000)]


class ReplayDefinition(Record, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is replayed. A row must match all filters; rows that were replayed before are left out.

    | field | of | meaning |
    |---|---|---|
    | `queue`, `fingerprint` | dead letters | as in their list |
    | `flowId`, `error`, `contact` | executions that failed or timed out | as in their list |
    | `begin`, `version` | executions | as in the replay of one execution (`from`) |
    | `webhookId`, `status`, `reason`, `text`, `contact`, `again` | events | as in `POST /api/events/replay` |
    | `since`, `until` | all | failed (dead letters), queued (executions) or received (events) in this time |
    """

    kind: ReplayKind
    queue: str | None = None
    fingerprint: str | None = None
    flow_id: str | None = None
    error: str | None = None
    contact: str | None = None
    begin: Literal["start", "failed-step"] = msgspec.field(name="from", default="start")
    version: Literal["own", "newest"] = "own"
    webhook_id: str | None = None
    status: ReplayedStatus = "failed"
    reason: str | None = None
    text: str | None = None
    again: bool = False
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 10_000


class RefusedRow(Record, frozen=True, kw_only=True):
    """A row that matches and cannot be replayed, and why."""

    id: UUID
    reason: str


class ReplayRun(Record, frozen=True, kw_only=True):
    """A replay run and how far it has come.

    | field | meaning |
    |---|---|
    | `rate` | rows per second; null: as fast as possible |
    | `expected` | rows that matched at the start, up to the limit; null if they could not be counted in time |
    | `handled` | rows that were replayed or refused |
    | `replayed` | rows that were replayed |
    | `refusedCount`, `refused` | rows that cannot be replayed, and up to 100 of them with the reason |
    | `failedAgain` | replayed rows that have failed again; only in the answer for one run |
    """

    id: UUID
    definition: ReplayDefinition
    status: ReplayRunStatus
    rate: float | None
    expected: int | None
    handled: int
    replayed: int
    refused_count: int
    refused: list[RefusedRow]
    failed_again: int | None = None
    error: str | None
    started_by: str
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None


class ClaimedReplayRun(Record, frozen=True, kw_only=True):
    """A run that this process works on, with its position: the last row that was handled."""

    run: ReplayRun
    position_at: datetime | None
    position_id: UUID | None


class ReplayProgress(Record, frozen=True, kw_only=True):
    """What a process has done of a run since it saved last."""

    handled: int
    replayed: int
    refused: list[RefusedRow]
    position_at: datetime | None
    position_id: UUID | None
