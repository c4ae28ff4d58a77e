"""The messages of the queues: one type for each job function, with its queue, its key and its schema version.

On the wire a job has arq's format, in JSON: `{"t":…,"f":function,"a":[],"k":{"job":{…}},"et":…}`. A message is the
value of `job`. Decoding refuses a missing field and a wrong type (`JobDecodeError`). A reader accepts every schema
version up to its own. It leaves a newer one, and a value that a newer version has added to an enumeration, to a newer
worker (`NewerVersionRequired`). It ignores unknown fields: a field that a reader must not ignore needs a new schema
version.

`filas.contract.job_factories` makes the job that carries a message. The keys below determine the job's id
(`QueuePolicy.job_id`), so the relay and the normal path cannot create two jobs for one row:

| message                 | function                 | key                                                        |
|-------------------------|--------------------------|------------------------------------------------------------|
| `WebhookJob`            | `process_webhook`        | `eventId`                                                  |
| `FlowJob`               | `run_flow`               | `executionId:turn`                                         |
| `FlowTestJob`           | `test_flow`              | `test:runId`                                               |
| `NotificationJob`       | `deliver_notification`   | `notificationId`                                           |
| `DeliveryReceiptJob`     | `update_delivery_status` | `status:channelId:digest of providerId:status`             |
| `CancelNotificationJob` | `cancel_notification`    | `cancel:notificationId`                                    |
| `LearnAddressesJob`     | `learn_addresses`        | `addresses:digest of channelId and the addresses`          |
| `LearnOutcomeJob`       | `learn_outcome`          | `outcome:notificationId:status`                            |

A replay appends `:replay-N` to the key.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from uuid import UUID

import msgspec

from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS, QueuePolicy
from filas.contract.storable_text import escaped_bytes
from filas.errors import JobDecodeError, NewerVersionRequired

SCHEMA_VERSION = 5
"""The newest version that this code reads. A message has the oldest version whose readers understand it:

| version | what is new |
|---|---|
| 1 | |
| 2 | `filter` of a WebhookJob |
| 3 | `role` in the `conversation` of a WebhookJob |
| 4 | messages and bursts in the `replies` of a FlowTestJob |
| 5 | `run` of a WebhookJob |
"""

FIRST_VERSION = 1
FILTER_VERSION = 2
ROLE_VERSION = 3
REPLIES_VERSION = 4
RUN_VERSION = 5

TEST_FLOW = "test_flow"
UPDATE_DELIVERY_STATUS = "update_delivery_status"
CANCEL_NOTIFICATION = "cancel_notification"
LEARN_ADDRESSES = "learn_addresses"
LEARN_OUTCOME = "learn_outcome"
"""The functions besides the main function of each queue."""

UNKNOWN_VALUE = "Invalid enum value"
"""How msgspec's error begins for a value that an enumeration does not have. A newer version may have added it."""

Traceparent = str | msgspec.UnsetType | None
"""The span that caused a job, in the format of W3C's Trace Context. The field is absent while tracing is off. A value
that is not a valid traceparent is ignored."""

FROM_DEFINITION = ""
"""The value of `flow_id`, `node_id` and `provider` of a WebhookJob for which the worker uses the webhook's present
definition. Other Python code enqueues such jobs (`filas.Producer`); acceptance always sets all three."""

BodyKind = Literal["json", "form", "text", "binary"]
FlowReason = Literal["start", "timer", "retry", "continue", "resume", "cancel", "replay", "error"]
AnswerError = Literal["timeout", "communication", "undelivered"]


class JobMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The fields of every message. `replay` counts how often an operator has enqueued the job again.

    `policy` is the queue that carries the message, `function` the name of the function that handles it.
    """

    policy: ClassVar[QueuePolicy]
    function: ClassVar[str]

    schema_version: int = FIRST_VERSION
    replay: int = 0
    traceparent: Traceparent = msgspec.UNSET

    @property
    def row_key(self) -> str:
        """The key of the message without its replay number. Raises NotImplementedError if the type defines none."""
        raise NotImplementedError(f"{type(self).__name__} is not a message of any queue")

    @property
    def key(self) -> str:
        """The key of the message's job. Each replay has a key of its own."""
        return f"{self.row_key}:replay-{self.replay}" if self.replay else self.row_key


class WebhookJob(JobMessage, frozen=True, kw_only=True):
    """One accepted webhook with its whole content: a worker can process it and write its event from this alone.

    `body` is the decoded JSON if `body_kind` is `json`, an object of fields for `form`, a text for `text`, and base64
    for `binary`. `headers` have lower-case names. `timestamp` is the time of receipt, in milliseconds since 1970.

    `provider` is the webhook's `auth.type`, which determines how its body is read. `conversation` is the webhook's
    conversation rule, `filter` its filter. They are as they were at acceptance. A message with a filter has
    FILTER_VERSION, because an older worker would ignore the filter, and one whose rule has a role has ROLE_VERSION.

    `run` counts how often the event was replayed after it had been processed. The executions of each run have ids of
    their own; an older worker would find those of the first run and start nothing, so the message has RUN_VERSION.

    `recorded` states that acceptance wrote the event's row; otherwise the worker writes it, and needs `duplicate_key`,
    `remote_address`, `content_key` and `content_digest` (hexadecimal) for that.
    """

    policy: ClassVar[QueuePolicy] = WEBHOOKS
    function: ClassVar[str] = WEBHOOKS.function

    event_id: UUID
    webhook_id: str
    method: str
    headers: dict[str, str]
    query_params: dict[str, str | list[str]]
    body: Any
    body_kind: BodyKind = "json"
    timestamp: int
    flow_id: str
    node_id: str
    config: dict[str, Any]
    provider: str = "none"
    conversation: dict[str, Any] | None = None
    recorded: bool = False
    duplicate_key: str | None = None
    remote_address: str = ""
    content_key: UUID | msgspec.UnsetType = msgspec.UNSET
    content_digest: str | msgspec.UnsetType = msgspec.UNSET
    filter: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    run: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET

    @property
    def row_key(self) -> str:
        """`eventId`."""
        return f"{self.event_id}"


class FlowJob(JobMessage, frozen=True, kw_only=True):
    """Run an execution from its saved position.

    `turn` grows each time the execution has to be woken, so a late job of an earlier turn finds nothing to do.
    `reason` is why the job was enqueued. The reason `error` means: another execution failed, and its flow names the
    flow of this execution as its error flow.
    """

    policy: ClassVar[QueuePolicy] = FLOWS
    function: ClassVar[str] = FLOWS.function

    execution_id: UUID
    turn: int
    flow_id: str
    reason: FlowReason = "start"

    @property
    def row_key(self) -> str:
        """`executionId:turn`."""
        return f"{self.execution_id}:{self.turn}"


class NotificationJob(JobMessage, frozen=True, kw_only=True):
    """Deliver one notification. Its content is in its row."""

    policy: ClassVar[QueuePolicy] = NOTIFICATIONS
    function: ClassVar[str] = NOTIFICATIONS.function

    notification_id: UUID
    channel_id: str

    @property
    def row_key(self) -> str:
        """`notificationId`."""
        return str(self.notification_id)


class GivenAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The answer to one outgoing call in a test run: a status with headers and a body (JSON, or a text as it is), or
    an `error` in place of an answer. For a message it is the outcome: `error` or a status from 400 is a failure, and
    `body` its text."""

    status: Annotated[int, msgspec.Meta(ge=100, le=599)] = 200
    headers: dict[str, str] = {}
    body: Any = msgspec.field(default_factory=dict)
    error: AnswerError | None = None


GivenReply = str | dict[str, Any]
"""A message of the contact in a test run: its text, or its fields `kind`, `text`, `data` and `media`."""


def replies_version(replies: Sequence[object]) -> int:
    """The schema version of a FlowTestJob with these replies."""
    return FIRST_VERSION if all(isinstance(one, str | None) for one in replies) else REPLIES_VERSION


class FlowTestJob(JobMessage, frozen=True, kw_only=True):
    """Run a flow as a test: nothing is stored, and outgoing calls are recorded instead of sent. The job's result is a
    `models.flow_tests.FlowTestResult`.

    `definition` is the whole flow; `version` is None if that is not a stored version. `node_id` is the first node
    (None: the flow's own start). `trigger` is what the templates see as `webhook`, `message` the contact's first
    message. Without a conversation, `contact` is None. `vars` and `outputs` (by node) are the results of earlier nodes.
    `replies` are the contact's answers in order: a text, a message as its reader makes it, or a list of both that
    arrive as a burst. None means that the contact does not answer before the wait ends. A message or a burst needs
    REPLIES_VERSION.
    `answers` are, by node, the answers to its calls in order; the last one also answers all later calls. Without
    `real_secrets`, the secret `key` has the value `secret:key`.
    """

    policy: ClassVar[QueuePolicy] = FLOWS
    function: ClassVar[str] = TEST_FLOW

    run_id: UUID
    flow_id: str
    version: int | None
    definition: dict[str, Any]
    node_id: str | None
    trigger: dict[str, Any]
    message: dict[str, Any] | None
    channel: str | None
    contact: str | None
    vars: dict[str, Any]
    outputs: dict[str, Any]
    replies: list[GivenReply | list[str | dict[str, Any]] | None]
    answers: dict[str, list[GivenAnswer]]
    real_secrets: bool | msgspec.UnsetType = msgspec.UNSET

    @property
    def row_key(self) -> str:
        """`test:runId`."""
        return flow_test_key(self.run_id)


class DeliveryReceiptJob(JobMessage, frozen=True, kw_only=True):
    """A delivery receipt of a provider: WhatsApp's `statuses`, Twilio's status callbacks.

    `provider_id` is the provider's id of the message. `timestamp` is the provider's time, in milliseconds since 1970.
    `error_kind` and `error_message` belong to the status `failed`. `idempotency_key` is the message's own key, if the
    provider returns it: it identifies a message whose send got no answer.
    """

    policy: ClassVar[QueuePolicy] = NOTIFICATIONS
    function: ClassVar[str] = UPDATE_DELIVERY_STATUS

    channel_id: str
    provider_id: str
    status: Literal["sent", "delivered", "read", "failed"]
    timestamp: int
    idempotency_key: str | None = None
    error_kind: str | None = None
    error_message: str | None = None

    @property
    def row_key(self) -> str:
        """`status:channelId:digest:status`: a repeated receipt makes no second job. The provider's ids may be long."""
        digest = hashlib.sha256(escaped_bytes(self.provider_id)).hexdigest()[:32]
        return f"status:{self.channel_id}:{digest}:{self.status}"


class CancelNotificationJob(JobMessage, frozen=True, kw_only=True):
    """Cancel the delivery of a notification."""

    policy: ClassVar[QueuePolicy] = NOTIFICATIONS
    function: ClassVar[str] = CANCEL_NOTIFICATION

    notification_id: UUID

    @property
    def row_key(self) -> str:
        """`cancel:notificationId`."""
        return f"cancel:{self.notification_id}"


class LearnAddressesJob(JobMessage, frozen=True, kw_only=True):
    """Record which addresses the provider has stated for the recipient of a message.

    `address` is the one to which the message was sent, `others` are the same contact's. `sends_to` is the one that the
    provider uses. `medium` is the type of the channel. The notifier makes this job, because ingest owns the contacts.
    """

    policy: ClassVar[QueuePolicy] = WEBHOOKS
    function: ClassVar[str] = LEARN_ADDRESSES

    channel_id: str
    medium: str
    address: str
    others: list[str]
    sends_to: str | None = None

    @property
    def row_key(self) -> str:
        """`addresses:digest`: the same report makes no second job."""
        parts = escaped_bytes("\n".join((self.channel_id, self.address, *self.others, self.sends_to or "")))
        return f"addresses:{hashlib.sha256(parts).hexdigest()[:32]}"


class LearnOutcomeJob(JobMessage, frozen=True, kw_only=True):
    """Let the execution of a notification learn the outcome that is in its row of `message_outcomes`.

    `status` is the outcome when the job was made; the row may have a later one. The notifier makes this job, because
    the flow-runner owns the executions.
    """

    policy: ClassVar[QueuePolicy] = FLOWS
    function: ClassVar[str] = LEARN_OUTCOME

    notification_id: UUID
    status: str

    @property
    def row_key(self) -> str:
        """`outcome:notificationId:status`."""
        return f"outcome:{self.notification_id}:{self.status}"


Message = TypeVar("Message", bound=JobMessage)

_MAIN_MESSAGES: tuple[type[JobMessage], ...] = (WebhookJob, FlowJob, NotificationJob)
_OTHER_MESSAGES: tuple[type[JobMessage], ...] = (
    FlowTestJob,
    DeliveryReceiptJob,
    CancelNotificationJob,
    LearnAddressesJob,
    LearnOutcomeJob,
)

MESSAGE_TYPES: dict[str, type[JobMessage]] = {message.policy.name: message for message in _MAIN_MESSAGES}
"""The message of each queue's main function, by the queue's name."""

OTHER_FUNCTIONS: dict[str, type[JobMessage]] = {message.function: message for message in _OTHER_MESSAGES}
"""The messages of the other functions, by the function's name."""


def message_type(policy: QueuePolicy, function: str) -> type[JobMessage]:
    """The message type of `function`; that of the queue's main function if `function` is unknown."""
    return OTHER_FUNCTIONS.get(function, MESSAGE_TYPES[policy.name])


def webhook_job_version(
    conversation: dict[str, Any] | None,
    event_filter: dict[str, Any] | msgspec.UnsetType,
    run: int | msgspec.UnsetType = msgspec.UNSET,
) -> int:
    """The schema version of a WebhookJob with this conversation rule, this filter and this run."""
    if run:
        return RUN_VERSION
    if conversation is not None and "role" in conversation:
        return ROLE_VERSION
    return FIRST_VERSION if event_filter is msgspec.UNSET else FILTER_VERSION


def webhook_job_id(event_id: UUID) -> str:
    """The id of the job of an event that is not a replay."""
    return WEBHOOKS.job_id(str(event_id))


def flow_test_key(run_id: UUID) -> str:
    """The key of the job of a test run, under which its result is kept."""
    return f"test:{run_id}"


def decode(policy: QueuePolicy, payload: object, message_type: type[Message]) -> Message:
    """The message in the decoded value of a job's `job` field.

    Raises JobDecodeError, which names the field, for every value that the schema does not allow, and
    NewerVersionRequired for a newer schema version and for an unknown value of an enumeration.
    """
    version = payload.get("schemaVersion") if isinstance(payload, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise NewerVersionRequired(
            f"a job of {policy.name} has schema version {version}; this worker knows up to {SCHEMA_VERSION}"
        )
    try:
        return msgspec.convert(payload, message_type)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        kind = NewerVersionRequired if str(error).startswith(UNKNOWN_VALUE) else JobDecodeError
        raise kind(f"a job of {policy.name} doesn't decode: {error}") from None
