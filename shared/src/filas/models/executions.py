"""Executions, their steps and what a checkpoint writes."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from filas.models.record import ErrorDetail, Record

ExecutionStatus = Literal[
    "queued",
    "running",
    "waiting-timer",
    "waiting-input",
    "waiting-callback",
    "retrying",
    "succeeded",
    "failed",
    "cancelled",
    "timed-out",
]
FINAL_EXECUTION_STATUSES = frozenset({"succeeded", "failed", "cancelled", "timed-out"})

StepStatus = Literal["running", "waiting", "retrying", "succeeded", "failed", "cancelled"]


class NewExecution(Record, frozen=True, kw_only=True):
    """An execution that an event starts, in the flow's published version. `channel` and `contact` name its
    conversation (None: it has none). `trigger` is the JSON text of the flow's scope: webhook and message."""

    id: UUID
    event_id: UUID
    flow_id: str
    node_id: str
    channel: str | None
    contact: str | None
    trigger: str


class ClaimedExecution(Record, frozen=True, kw_only=True):
    """An execution under this worker's lease. `fence` grows with each claim; every write names it.

    `state` is the engine's saved position (JSON text), None before the first checkpoint.
    `deadline_at` is when the flow's `settings.timeoutMs` run out, None if it sets none.
    `cancel_requested`: somebody wants it ended; its next checkpoint ought to be `cancelled`.
    `conversation_vars` are the conversation's variables (JSON text of an object), None without a conversation.
    `start_state` is the position of another execution from which this one begins, None where it begins at
    `node_id` (empty: where the flow does). `reply` is the trigger (JSON text) of the message that has ended the
    wait, and `call` (JSON text) the call, until the next checkpoint. `claimed_at` is the time by the clock that
    decides what is due.
    """

    id: UUID
    fence: int
    turn: int
    flow_id: str
    version: int
    node_id: str
    event_id: UUID | None
    conversation_id: UUID | None
    channel: str | None
    contact: str | None
    trigger: str
    state: str | None
    status_before: ExecutionStatus
    started_at: datetime
    deadline_at: datetime | None
    conversation_vars: str | None = None
    cancel_requested: bool = False
    claimed_at: datetime | None = None
    start_state: str | None = None
    reply: str | None = None
    call: str | None = None


class StepRecord(Record, frozen=True, kw_only=True):
    """One visit of a node. Its key is the execution's id and `seq` (from 1)."""

    seq: int
    node_id: str
    type: str
    status: StepStatus
    attempt: int
    handle: str | None
    input: Any
    output: Any
    error: ErrorDetail | None
    started_at: datetime
    ended_at: datetime | None


class NewNotification(Record, frozen=True, kw_only=True):
    """A message or notification that a step sends. `payload` is the channel-neutral content:
    `{"type":"text","text":…}` and so on. `traceparent`: the span that its job is a child of; it is not stored."""

    id: UUID
    execution_id: UUID
    seq: int
    channel_id: str
    recipient: str
    payload: dict[str, Any]
    idempotency_key: str
    conversation_id: UUID | None
    traceparent: str | msgspec.UnsetType | None = msgspec.UNSET


class FollowingExecution(Record, frozen=True, kw_only=True):
    """An execution that another one starts, in its conversation and for its event, in the published version of
    `flow_id`. An empty `node_id` means where the flow begins. `traceparent` as in NewNotification."""

    id: UUID
    flow_id: str
    trigger: str
    node_id: str = ""
    traceparent: str | msgspec.UnsetType | None = msgspec.UNSET


class Checkpoint(Record, frozen=True, kw_only=True):
    """What one transaction writes for an execution, if `fence` is still the row's.

    `status` `running` keeps the lease. `queued` and `retrying` give it up, to go on in the same turn; a
    waiting one starts the next turn; a final one ends the execution. `wake_at` belongs to waiting-timer and
    retrying. `awaits_reply`: a message of the conversation ends the wait; `awaits_callback`: that call does.
    `state` replaces the saved position, also when it is None. `conversation_vars` (JSON text of an object)
    replaces the variables of the execution's conversation; None leaves them.
    """

    execution_id: UUID
    fence: int
    status: ExecutionStatus
    state: str | None
    steps: list[StepRecord]
    notifications: list[NewNotification]
    wake_at: datetime | None = None
    error: ErrorDetail | None = None
    output: Any = None
    conversation_vars: str | None = None
    awaits_reply: bool = False
    awaits_callback: UUID | None = None
    starts: list[FollowingExecution] = msgspec.field(default_factory=list)


class Execution(Record, frozen=True, kw_only=True):
    """An execution as the API shows it.

    `replay_of`: the execution that this one runs anew. `resumed_id`: the execution that waited for the message
    of this one, and goes on with it; this one has run nothing then.
    """

    id: UUID
    status: ExecutionStatus
    flow_id: str
    version: int
    event_id: UUID | None
    conversation_id: UUID | None
    error: ErrorDetail | None
    output: Any
    wake_at: datetime | None
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    replay_of: UUID | None = None
    resumed_id: UUID | None = None


class ExecutionWithSteps(Execution, frozen=True, kw_only=True):
    """An execution asked for by id: with every step."""

    steps: list[StepRecord]


class DueExecution(Record, frozen=True, kw_only=True):
    """An execution that needs a flow-processing job: its next turn is due. `channel` and `contact` name the
    group of that job, `event_id` what its trace began with."""

    id: UUID
    turn: int
    flow_id: str
    conversation_id: UUID | None
    status: ExecutionStatus
    channel: str | None = None
    contact: str | None = None
    event_id: UUID | None = None
