"""The domain's records, as the repository returns them and the API shows them.

Names are snake_case here and camelCase on the wire. Times are aware datetimes in UTC.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

EventStatus = Literal["received", "processed", "ignored", "failed"]
"""received: accepted, its job not done. processed: its executions exist. ignored: nothing in it starts a
flow (a delivery status, a handshake). failed: its job is a dead letter."""

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

NotificationStatus = Literal["queued", "sending", "retrying", "sent", "delivered", "read", "failed", "cancelled"]
"""queued: recorded, not tried. sending: a try is under way. retrying: a try failed, another will come.
sent: the provider took it. delivered, read: the provider or the receiver confirmed it. failed: given up."""

JobState = Literal["waiting", "delayed", "active", "completed", "failed"]
"""waiting: due and not claimed. delayed: due later. active: claimed under a live lease."""


class Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A row as the API shows it."""


class ErrorDetail(Record, frozen=True, kw_only=True):
    """Why something failed. `kind` is a stable word (`timeout`, `communication`, `http-status`, `template`, …)."""

    kind: str
    message: str
    node_id: str | None = None
    detail: dict[str, Any] | None = None


# ---- configuration ---------------------------------------------------------------------------------


class RateLimit(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `max` webhooks in `window_ms` milliseconds."""

    max: int = 100
    window_ms: int = 60_000


class Dedupe(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the duplicate key stands: a header, a JMESPath into the body, or the body's SHA-256."""

    header: str | None = None
    path: str | None = None
    body: bool = False


class ConversationRule(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to find the conversation in an event: templates over `body`, `headers` and `queryParams`.

    What is left out is known for the chat providers (`meta`, `telegram`, `slack`, `twilio`).
    """

    channel: str | None = None
    contact: str | None = None
    text: str | None = None


class Webhook(Record, frozen=True, kw_only=True):
    """An address at which webhooks are received. `auth` is as webhooks.md says; its secrets are encrypted
    (`enc:…`) or name environment variables (`env:…`) wherever they are stored, and are never shown."""

    id: str
    flow_id: str
    node_id: str
    path: str
    methods: list[str]
    auth: dict[str, Any]
    rate_limit: RateLimit
    dedupe: Dedupe | None
    conversation: ConversationRule | None
    config: dict[str, Any]
    max_body_bytes: int
    enabled: bool = True
    revision: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Channel(Record, frozen=True, kw_only=True):
    """Where messages go. `config` holds the type's own fields; its secret fields are `enc:…` or `env:…`."""

    id: str
    type: str
    config: dict[str, Any]
    revision: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None


class FlowVersion(Record, frozen=True, kw_only=True):
    """One immutable version of a flow; `definition` is what the author put."""

    flow_id: str
    version: int
    name: str
    definition: dict[str, Any]
    published: bool
    created_at: datetime


class FlowSummary(Record, frozen=True, kw_only=True):
    """A flow in a list: its newest and its published version."""

    id: str
    name: str
    latest_version: int
    published_version: int | None
    created_at: datetime
    updated_at: datetime


# ---- events ----------------------------------------------------------------------------------------


class NewEvent(Record, frozen=True, kw_only=True):
    """A webhook about to be accepted. `headers` and `query_params` are JSON text, `body` the raw bytes.

    `config` is JSON text too: `{"provider":…,"conversation":…,"config":…}`, the webhook's own as they were at
    acceptance, so that the relay makes the same job from the row that acceptance made from the request.
    """

    id: UUID
    webhook_id: str
    flow_id: str
    node_id: str
    method: str
    headers: str
    query_params: str
    body: bytes
    content_type: str
    remote_address: str
    duplicate_key: str | None
    group_key: str | None
    config: str
    received_at: datetime


class EventReceipt(Record, frozen=True, kw_only=True):
    """What became of a NewEvent: written now, or a duplicate of the event with the same id."""

    id: UUID
    duplicate: bool


class Event(Record, frozen=True, kw_only=True):
    """An accepted webhook. `body` is text where it is UTF-8, else base64 with `body_encoding` `base64`."""

    id: UUID
    webhook_id: str
    flow_id: str
    node_id: str
    status: EventStatus
    method: str
    headers: dict[str, Any]
    query_params: dict[str, Any]
    body: str
    body_encoding: Literal["utf-8", "base64"]
    content_type: str
    remote_address: str
    duplicate_key: str | None
    error: ErrorDetail | None
    received_at: datetime
    processed_at: datetime | None


# ---- executions ------------------------------------------------------------------------------------


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
    wait, until the next checkpoint. `claimed_at` is the time by the clock that decides what is due.
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
    `{"type":"text","text":…}` and so on."""

    id: UUID
    execution_id: UUID
    seq: int
    channel_id: str
    recipient: str
    payload: dict[str, Any]
    idempotency_key: str
    conversation_id: UUID | None


class FollowingExecution(Record, frozen=True, kw_only=True):
    """An execution that another one starts, in its conversation and for its event, in the published version of
    `flow_id`. An empty `node_id` means where the flow begins."""

    id: UUID
    flow_id: str
    trigger: str
    node_id: str = ""


class Checkpoint(Record, frozen=True, kw_only=True):
    """What one transaction writes for an execution, if `fence` is still the row's.

    `status` `running` keeps the lease. `queued` and `retrying` give it up, to go on in the same turn; a
    waiting one starts the next turn; a final one ends the execution. `wake_at` belongs to waiting-timer and
    retrying. `awaits_reply`: a message of the conversation ends the wait. `state` replaces the saved position,
    also when it is None. `conversation_vars` (JSON text of an object) replaces the variables of the
    execution's conversation; None leaves them.
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
    group of that job."""

    id: UUID
    turn: int
    flow_id: str
    conversation_id: UUID | None
    status: ExecutionStatus
    channel: str | None = None
    contact: str | None = None


# ---- notifications ---------------------------------------------------------------------------------


class Notification(Record, frozen=True, kw_only=True):
    """A message or notification with what became of it.

    `uncertain`: a try ended without a known outcome, so the receiver may have had it under the same
    idempotency key.
    """

    id: UUID
    execution_id: UUID | None
    conversation_id: UUID | None
    seq: int
    channel_id: str
    recipient: str
    payload: dict[str, Any]
    idempotency_key: str
    status: NotificationStatus
    attempts: int
    uncertain: bool
    provider_id: str | None
    error: ErrorDetail | None
    created_at: datetime
    updated_at: datetime


class BegunNotification(Notification, frozen=True, kw_only=True):
    """A notification whose try number `attempts` begins now. `interrupted`: the try before was found unfinished."""

    interrupted: bool


class NotificationAttempt(Record, frozen=True, kw_only=True):
    """One try to deliver."""

    attempt: int
    outcome: Literal["sending", "delivered", "sent", "retry", "failed", "uncertain"]
    status_code: int | None
    error: ErrorDetail | None
    started_at: datetime
    ended_at: datetime | None


class DueNotification(Record, frozen=True, kw_only=True):
    """A notification that needs a job. `channel_id` and `recipient` name the group of that job."""

    id: UUID
    channel_id: str
    conversation_id: UUID | None
    recipient: str


class NotificationOutcome(Record, frozen=True, kw_only=True):
    """What became of try number `attempt`, and the `status` that the notification has now.

    `due_at` belongs to `retrying`: when the next try is due. `uncertain`: the receiver may have had it though
    the try failed.
    """

    id: UUID
    attempt: int
    outcome: Literal["delivered", "sent", "retry", "failed", "uncertain"]
    status: NotificationStatus
    status_code: int | None = None
    error: ErrorDetail | None = None
    provider_id: str | None = None
    due_at: datetime | None = None
    uncertain: bool = False


class DeliveryUpdate(Record, frozen=True, kw_only=True):
    """What a provider says became of the message that it calls `provider_id`."""

    channel_id: str
    provider_id: str
    status: Literal["sent", "delivered", "read", "failed"]
    error: ErrorDetail | None = None


class NotificationWithAttempts(Notification, frozen=True, kw_only=True):
    """A notification asked for by id: with every try."""

    history: list[NotificationAttempt]


# ---- dead letters ----------------------------------------------------------------------------------


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


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list. `next_cursor` is None on the last."""

    items: list[Any]
    next_cursor: str | None = None
