"""Executions, their steps, and what a checkpoint writes."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from filas.models.notifications import AwaitedStatus, NotificationAttempt, NotificationStatus
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
"""The status of an execution. Only the flow-runner changes it, except where the table states otherwise:

| status             | meaning                                       | moved to another status by                    |
|--------------------|-----------------------------------------------|-----------------------------------------------|
| `queued`           | its next turn is due; the relay enqueues its  | a claim: `running`; its message resumes       |
|                    | job if that is missing                        | another execution: `succeeded`                |
| `running`          | a worker holds the lease                      | a checkpoint: any status; a claim after the   |
|                    |                                               | lease has expired: `running` with a new fence |
| `waiting-timer`    | a delay node waits for `wake_at`              | `wake_at`: `queued` (timers) or `running` (a  |
|                    |                                               | claim)                                        |
| `waiting-input`    | an input node waits for a reply               | a message of the conversation, or the failure |
|                    |                                               | of its prompt: `queued`; `wake_at`: as above  |
| `waiting-callback` | a webhook node waits for the call of its      | the callback, the outcome, or `wake_at`: as   |
|                    | address, or a node for the outcome of its     | above                                         |
|                    | message                                       |                                               |
| `retrying`         | a node failed and is tried again at `wake_at` | `wake_at`: as above                           |
| `succeeded`        | the flow has ended, or its message has        | never                                         |
|                    | resumed another execution                     |                                               |
| `failed`           | a node failed and no edge handles it, or its  | a replay of its dead letter: `queued`         |
|                    | job is a dead letter                          |                                               |
| `cancelled`        | an operator cancelled it, or it waited when   | never                                         |
|                    | its conversation was restarted or replaced    |                                               |
| `timed-out`        | the flow's time limit has passed, or a        | never                                         |
|                    | question was not answered in time             |                                               |

A request to cancel moves every status that is not final, except `running`, to `queued`; the next checkpoint is then
`cancelled`. A new execution that replaces those of its conversation requests that of all that wait. The dead letter of
the job of its present turn moves every status that is not final to `failed`. Executions are created by `ingest work`
(an event), `ingest admin` (a replay) and the flow-runner (a schedule, an error flow).

`ingest work` (retention) removes an execution, with its steps and callbacks, when `ended_at` is old enough. An
execution without a final status is never removed.
"""

FINAL_EXECUTION_STATUSES = frozenset({"succeeded", "failed", "cancelled", "timed-out"})
FAILED_EXECUTION_STATUSES = frozenset({"failed", "timed-out"})
WAITING_EXECUTION_STATUSES = frozenset({"waiting-timer", "waiting-input", "waiting-callback", "retrying"})

StepStatus = Literal["running", "waiting", "retrying", "succeeded", "failed", "cancelled"]
"""The status of a step. Each checkpoint of its execution may replace it:

| status      | meaning                                              | moved to another status by                    |
|-------------|------------------------------------------------------|-----------------------------------------------|
| `running`   | written before an effect that must not happen twice  | the end of the visit: `succeeded` or `failed` |
| `waiting`   | the node waits for a time, a reply, a callback or a  | the end of the wait, as above; the end of the |
|             | subflow                                              | execution: `cancelled`                        |
| `retrying`  | the node failed and is tried again                   | as above                                      |
| `succeeded` | the visit has ended                                  | never                                         |
| `failed`    | the visit has ended with an error                    | a replay of the dead letter: the node is      |
|             |                                                      | visited again, in the same step               |
| `cancelled` | the execution was cancelled or timed out during the  | never                                         |
|             | visit                                                |                                               |

A step keeps its status when its execution fails without a checkpoint (a dead letter). Steps are removed with their
execution.
"""


LONGEST_HOLD_S: Final = 60.0
"""The longest wait for the outcome of a message that keeps its turn, and so holds the conversation."""

HELD_RETRY_S: Final = 5.0
"""When the job of such an execution asks again. The outcome makes it due earlier, unless Redis or a process fails."""

LONGEST_RETRY_S: Final = 3600.0
"""The longest wait for a retry that holds the conversation after Redis has lost its data."""

_STEP_BYTES = 4096


class NewExecution(Record, frozen=True, kw_only=True):
    """An execution that an event starts, in the flow's published version. `channel` and `contact` identify its
    conversation; both are None without one. `trigger` is the JSON text of the flow's scope: webhook and message.
    `conversation_id` is None for the id of a new conversation with `contact`. `carries_message`: the contact said
    something, so that it may resume an execution that waits for a reply. `said` is the text in the form of
    `filas.contract.comparable_text`."""

    id: UUID
    event_id: UUID
    flow_id: str
    node_id: str
    channel: str | None
    contact: str | None
    trigger: str
    conversation_id: UUID | None = None
    carries_message: bool = True
    said: str | None = None


class ClaimedExecution(Record, frozen=True, kw_only=True):
    """An execution under this worker's lease. `fence` grows with each claim, and every write names it.

    `state` is the saved execution state (JSON text), None before the first checkpoint. `deadline_at` is when the flow's
    `settings.timeoutMs` end, None if it sets none. `cancel_requested`: the next checkpoint should be `cancelled`.
    `conversation_vars` are the variables of the conversation (JSON text of an object), None without a conversation.
    `start_state` is the state of another execution from which this one starts, None if it starts at `node_id` (an
    empty `node_id` is the flow's own start). Until the next checkpoint, `reply` is the trigger (JSON text) of the
    message that ended the wait, `call` the callback (JSON text) that did, and `message_outcome` the outcome of a
    message (JSON text of `{"status":…,"error":…}`) that did. `claimed_at` is the time of the claim by
    the database's clock, which decides what is due.

    `superseded`: another question has been asked in the conversation since this execution has asked. `leaves_waits`:
    the flow begins, and all executions that wait in the conversation are to be cancelled before
    (`settings.conversation`).

    `content_bytes` is the size of all JSON texts together. If they are large, `is_loaded` is False and the texts are
    missing until `ExecutionRepository.load`.
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
    message_outcome: str | None = None
    content_bytes: int = 0
    is_loaded: bool = True
    superseded: bool = False
    leaves_waits: bool = False


class StepRecord(Record, frozen=True, kw_only=True):
    """The record of one visit of a node. Its key is the execution's id and `seq` (from 1)."""

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
    """A notification that a step sends. `payload` is the content in a form that no channel determines:
    `{"type":"text","text":…}` and so on. `traceparent` is the parent span of its job; it is not stored. `awaits` is the
    status for which the execution waits."""

    id: UUID
    execution_id: UUID
    seq: int
    channel_id: str
    recipient: str
    payload: dict[str, Any]
    idempotency_key: str
    conversation_id: UUID | None
    traceparent: str | msgspec.UnsetType | None = msgspec.UNSET
    awaits: AwaitedStatus | None = None


class FollowingExecution(Record, frozen=True, kw_only=True):
    """An execution that another one starts, in the same conversation and for the same event, in the published version
    of `flow_id`. An empty `node_id` is the flow's own start. `traceparent` is as in NewNotification."""

    id: UUID
    flow_id: str
    trigger: str
    node_id: str = ""
    traceparent: str | msgspec.UnsetType | None = msgspec.UNSET


class Question(Record, frozen=True, kw_only=True):
    """A question to the contact: when it was asked, and when it is over if another question is asked after it
    (`superseded`). The question that was asked last gets the reply. `answered`: a reply has arrived, and further
    messages that belong to it are collected."""

    asked_at: datetime
    idle_at: datetime
    superseded: bool = False
    answered: bool = False


class Checkpoint(Record, frozen=True, kw_only=True):
    """What one transaction writes for an execution, provided that `fence` is still the fence of the row.

    The status `running` keeps the lease. `queued` and `retrying` release it and continue in the same turn; a waiting
    status starts the next turn; a final status ends the execution. `wake_at` belongs to the waiting statuses and to
    `retrying`. `awaits_reply`: a message of the conversation ends the wait; `question` is then the question that it
    answers, None for a delay. `awaits_callback`: the callback with this id ends the wait. `awaits_message`: the outcome
    of the notification with this id ends the wait. `keeps_turn`: the wait starts no turn, so its job stays in the group
    of the conversation, before the next message. `state` replaces the saved state, also with None.
    `conversation_vars` (JSON text of an object) replaces the variables of the conversation; None leaves them as they
    are. `starts` are executions to create.
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
    awaits_message: UUID | None = None
    keeps_turn: bool = False
    question: Question | None = None
    starts: list[FollowingExecution] = msgspec.field(default_factory=list)

    @property
    def size(self) -> int:
        """An estimate of its bytes, for the bound of a batch."""
        size = _STEP_BYTES * len(self.steps) + len(self.state or "") + len(self.conversation_vars or "")
        for following in self.starts:
            size += len(following.trigger)
        for notification in self.notifications:
            size += sum(len(value) for value in notification.payload.values() if isinstance(value, str))
        return size


class Execution(Record, frozen=True, kw_only=True):
    """An execution as the API shows it.

    `replay_of`: the execution that this one replays. `resumed_id`: the execution that waited for this one's message
    and was resumed by it; this one has then run nothing. `fingerprint`: that of the error of an execution that failed
    or timed out, `KIND:NODE:HASH`. `undelivered` counts its messages that were not delivered (`failed`). `contact` is
    the address on `channel` with which its conversation began; both are null without a conversation.
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
    fingerprint: str | None = None
    undelivered: int = 0
    channel: str | None = None
    contact: str | None = None


class ExecutionMessage(Record, frozen=True, kw_only=True):
    """A message of an execution: its delivery state (`status`), the number of its attempts, and the last ones.

    `seq` is the number of the step that has sent it. The content is in the input of the step.
    """

    id: UUID
    seq: int
    node_id: str | None
    channel_id: str
    recipient: str
    status: NotificationStatus
    attempts: int
    uncertain: bool
    error: ErrorDetail | None
    provider_id: str | None
    created_at: datetime
    updated_at: datetime
    history: list[NotificationAttempt]


class ExecutionWithSteps(Execution, frozen=True, kw_only=True):
    """An execution that was requested by id, with every step and the messages that it has sent."""

    steps: list[StepRecord]
    messages: list[ExecutionMessage] = msgspec.field(default_factory=list)


class ReplayStart(Record, frozen=True, kw_only=True):
    """Where a replay starts: at a node, with a state (JSON text) as the flow-runner saves it, or without one."""

    node_id: str
    state: str | None = None


class ReplaySource(Record, frozen=True, kw_only=True):
    """What a replay from any node needs of an execution. `state` is its last one (JSON text), `replies` the times and
    triggers (JSON text) of the contact's messages that resumed it, the newest first."""

    flow_id: str
    version: int
    published_version: int | None
    state: str | None
    replies: list[tuple[datetime, str]]


class ExecutionCancel(Record, frozen=True, kw_only=True):
    """A cancel of an execution that the flow-runner has not written to the execution's row."""

    execution_id: UUID
    flow_id: str
    event_id: UUID | None


class DueExecution(Record, frozen=True, kw_only=True):
    """An execution whose next turn is due, so that it needs a job. `channel` and `contact` determine the group of that
    job, `event_id` its OpenTelemetry trace."""

    id: UUID
    turn: int
    flow_id: str
    conversation_id: UUID | None
    status: ExecutionStatus
    channel: str | None = None
    contact: str | None = None
    event_id: UUID | None = None
