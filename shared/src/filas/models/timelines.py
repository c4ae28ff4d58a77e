"""The timeline of an event or execution: what happened, and what was waited for, from receipt to delivery receipt."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from filas.models.events import EventStatus
from filas.models.executions import ExecutionStatus, StepStatus
from filas.models.notifications import AttemptOutcome, NotificationStatus
from filas.models.record import ErrorDetail, Record

EntryKind = Literal[
    "received",
    "duplicates",
    "job-wait",
    "job-run",
    "processed",
    "dead-letter",
    "execution-wait",
    "step",
    "wait",
    "reply",
    "call",
    "turn-wait",
    "message-wait",
    "attempt",
    "receipt",
    "channel-pause",
    "execution-end",
]
"""What an entry of a timeline is:

| kind             | from `at`                                       | to `until`                          |
|------------------|-------------------------------------------------|-------------------------------------|
| `received`       | the webhook was accepted                        |                                     |
| `duplicates`     | the first request that was a duplicate of it    | the last one                        |
| `job-wait`       | a job was enqueued                              | a worker claimed it                 |
| `job-run`        | a worker claimed the job                        | its end                             |
| `processed`      | the event started executions, or was ignored    |                                     |
| `dead-letter`    | a job became a dead letter                      | its replay                          |
| `execution-wait` | an execution was created                        | a flow-runner began it              |
| `step`           | a node was visited                              | the end of the visit                |
| `wait`           | a node began to wait                            | its end; the due time while it waits|
| `reply`          | the message that ended a wait was received      |                                     |
| `call`           | the call that ended a wait was received         |                                     |
| `turn-wait`      | the step before ended                           | the next step began                 |
| `message-wait`   | a message was stored, or an attempt has failed  | the next attempt began              |
| `attempt`        | an attempt to deliver a message began           | its end                             |
| `receipt`        | a delivery receipt changed a message            |                                     |
| `channel-pause`  | the alert `paused-channel` noticed a pause      | its end                             |
| `execution-end`  | an execution ended                              |                                     |
"""

NotStored = Literal["jobs", "step-attempts", "receipt-times", "short-pauses", "duplicate-times"]
"""What a timeline cannot show, because it is not stored:

- `jobs`: jobs that ended a while ago (the queues keep the newest 1,000), or all, while Redis is unavailable.
- `step-attempts`: the times of the attempts of a node before its last one.
- `receipt-times`: of a message that was read, when it was delivered, if no receipt stated that.
- `short-pauses`: pauses of a channel that lasted less than two minutes.
- `duplicate-times`: the times of the duplicates between the first and the last one.
"""


class TimelineEntry(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One entry. `what` states it in a sentence. `open`: it has not ended, and `until` is when it is to end, if that is
    known. The ids name what it is about."""

    at: datetime
    kind: EntryKind
    what: str
    until: datetime | None = None
    open: bool = False
    status: str | None = None
    attempt: int | None = None
    count: int | None = None
    error: ErrorDetail | None = None
    event_id: UUID | None = None
    execution_id: UUID | None = None
    flow_id: str | None = None
    seq: int | None = None
    node_id: str | None = None
    node_type: str | None = None
    notification_id: UUID | None = None
    channel_id: str | None = None
    dead_letter_id: UUID | None = None
    job_id: str | None = None


class Timeline(Record, frozen=True, kw_only=True):
    """The entries in order of time. `truncated`: there are more. `not_stored`: what it cannot show."""

    entries: list[TimelineEntry]
    truncated: bool
    not_stored: list[NotStored]


class TimelineEvent(Record, frozen=True, kw_only=True):
    """The columns of an event that its timeline needs."""

    id: UUID
    webhook_id: str
    method: str
    size: int
    status: EventStatus
    reason: str | None
    error: ErrorDetail | None
    received_at: datetime
    processed_at: datetime | None
    replay: int
    duplicates: int | None = None
    first_duplicate_at: datetime | None = None
    last_duplicate_at: datetime | None = None


class TimelineExecution(Record, frozen=True, kw_only=True):
    """The columns of an execution that a timeline needs. `from_reply`: it was resumed by the message of the event at
    this time, and what happened before does not belong to the event."""

    id: UUID
    event_id: UUID | None
    flow_id: str
    version: int
    status: ExecutionStatus
    error: ErrorDetail | None
    turn: int
    replay_of: UUID | None
    wake_at: datetime | None
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    from_reply: datetime | None = None


class TimelineStep(Record, frozen=True, kw_only=True):
    """One visit of a node, without its input and output."""

    execution_id: UUID
    seq: int
    node_id: str
    type: str
    status: StepStatus
    attempt: int
    handle: str | None
    error: ErrorDetail | None
    started_at: datetime
    ended_at: datetime | None


class TimelineReply(Record, frozen=True, kw_only=True):
    """A message (of the event `event_id`) or a call (None) that ended a wait of an execution."""

    execution_id: UUID
    event_id: UUID | None
    at: datetime


class TimelineMessage(Record, frozen=True, kw_only=True):
    """A notification without its payload."""

    id: UUID
    execution_id: UUID
    seq: int
    channel_id: str
    status: NotificationStatus
    attempts: int
    error: ErrorDetail | None
    due_at: datetime
    created_at: datetime
    updated_at: datetime
    delivered_at: datetime | None = None
    read_at: datetime | None = None


class TimelineAttempt(Record, frozen=True, kw_only=True):
    """An attempt to deliver a notification."""

    notification_id: UUID
    attempt: int
    outcome: AttemptOutcome
    status_code: int | None
    error: ErrorDetail | None
    started_at: datetime
    ended_at: datetime | None


class TimelineLetter(Record, frozen=True, kw_only=True):
    """A dead letter without its payload."""

    id: UUID
    queue: str
    job_id: str
    error: ErrorDetail
    attempts: int
    history: list[dict[str, Any]]
    enqueued_at: datetime | None
    failed_at: datetime
    replayed_at: datetime | None


class ChannelPause(Record, frozen=True, kw_only=True):
    """A pause of a channel that an alert has noticed."""

    channel_id: str
    since: datetime
    until: datetime | None


class TimelineRows(Record, frozen=True, kw_only=True):
    """What Postgres has about an event or an execution."""

    executions: list[TimelineExecution]
    event: TimelineEvent | None = None
    steps: list[TimelineStep] = msgspec.field(default_factory=list)
    replies: list[TimelineReply] = msgspec.field(default_factory=list)
    messages: list[TimelineMessage] = msgspec.field(default_factory=list)
    attempts: list[TimelineAttempt] = msgspec.field(default_factory=list)
    letters: list[TimelineLetter] = msgspec.field(default_factory=list)
    pauses: list[ChannelPause] = msgspec.field(default_factory=list)
    truncated: bool = False
