"""The messages of the queues, strict and versioned: one type a queue, and a few for its other functions.

On the wire a job is arq's: `{"t":…,"f":function,"a":[],"k":{"job":{…}},"et":…}` in JSON; the types here
are what stands under `job`. An unknown field, a missing one or a wrong type is refused when the job is
decoded. A reader takes every version up to its own; a newer one is refused (`JobDecodeError`).
"""

import hashlib
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import msgspec

from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS, QueuePolicy
from filas.errors import JobDecodeError

SCHEMA_VERSION = 1

Traceparent = str | msgspec.UnsetType | None
"""The span that has caused a job, as W3C's Trace Context writes it. Absent while nothing is traced; what is no
traceparent is not looked at."""


class JobMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What every message carries. `replay` counts how often an operator has put the job back by hand."""

    schema_version: int = SCHEMA_VERSION
    replay: int = 0
    traceparent: Traceparent = msgspec.UNSET


class WebhookJob(JobMessage, frozen=True, kw_only=True):
    """One accepted webhook, whole: it can be processed and written to Postgres from here alone.

    Its key is the event's id, so the relay and the normal way can't make two jobs of one event.

    `body` is the decoded JSON where `body_kind` is `json`, an object of fields for `form`, text for `text`,
    base64 for `binary`. `headers` have lower-case names. `timestamp` is when it was received, in
    milliseconds since 1970.

    `provider` is the webhook's `auth.type`, which says how its body reads, and `conversation` its rule, both
    as they were at acceptance. `recorded`: the event's row was written then; otherwise the worker writes it,
    from here: that is what `duplicate_key` and `remote_address` are for.
    """

    event_id: UUID
    webhook_id: str
    method: str
    headers: dict[str, str]
    query_params: dict[str, str | list[str]]
    body: Any
    body_kind: Literal["json", "form", "text", "binary"] = "json"
    timestamp: int
    flow_id: str
    node_id: str
    config: dict[str, Any]
    provider: str = "none"
    conversation: dict[str, str | None] | None = None
    recorded: bool = False
    duplicate_key: str | None = None
    remote_address: str = ""


class FlowJob(JobMessage, frozen=True, kw_only=True):
    """Run an execution from where it stands.

    Its key is the execution's id and `turn`, which grows each time the execution is to be woken: a late
    job of an earlier turn finds nothing to do. `reason` says why it was put; `error`: another execution has
    failed, whose flow names this one's as its error flow.
    """

    execution_id: UUID
    turn: int
    flow_id: str
    reason: Literal["start", "timer", "retry", "continue", "resume", "cancel", "replay", "error"] = "start"


class NotificationJob(JobMessage, frozen=True, kw_only=True):
    """Deliver one notification. Its content is the row's; its key is the notification's id."""

    notification_id: UUID
    channel_id: str


TEST_FLOW = "test_flow"
"""The other function of the queue `flow-processing`."""

AnswerError = Literal["timeout", "communication"]


class GivenAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a call to the outside is answered in a test run: a status with headers and body (JSON; a text as it is),
    or an `error` in place of an answer."""

    status: Annotated[int, msgspec.Meta(ge=100, le=599)] = 200
    headers: dict[str, str] = {}
    body: Any = msgspec.field(default_factory=dict)
    error: AnswerError | None = None


class FlowTestJob(JobMessage, frozen=True, kw_only=True):
    """Run a flow as a test: nothing is stored, and what would go outside is recorded. Function `test_flow`; its
    result is a `models.FlowTestResult`. Its key is `run_id`.

    `definition` is the whole flow (`version` None: it is not a stored one). `node_id` is where it begins, None: where
    the flow does. `trigger` is what the templates see as `webhook`, `message` the contact's first one.
    `contact` None: there is no conversation. `vars` and `outputs` (by node) are what earlier nodes have left.
    `replies`: what the contact answers, in order; None: the contact says nothing until the wait is over. `answers`, by
    node: what its calls are answered in order, the last one for all that follow.
    """

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
    replies: list[str | None]
    answers: dict[str, list[GivenAnswer]]


UPDATE_DELIVERY_STATUS = "update_delivery_status"
CANCEL_NOTIFICATION = "cancel_notification"
"""The other functions of the queue `notifications`."""


class DeliveryStatusJob(JobMessage, frozen=True, kw_only=True):
    """A provider says what became of a message: WhatsApp's `statuses`, Twilio's callbacks.

    Function `update_delivery_status`. `provider_id` is the provider's id of the message, `timestamp` when it
    happened, in milliseconds since 1970. `error_kind` and `error_message` belong to `failed`. `idempotency_key` is the
    message's own, where the provider gives it back: by it one is known whose answer was lost.
    """

    channel_id: str
    provider_id: str
    status: Literal["sent", "delivered", "read", "failed"]
    timestamp: int
    idempotency_key: str | None = None
    error_kind: str | None = None
    error_message: str | None = None


class CancelNotificationJob(JobMessage, frozen=True, kw_only=True):
    """Deliver the notification no more. Function `cancel_notification`."""

    notification_id: UUID


Message = TypeVar("Message", bound=JobMessage)

MESSAGE_TYPES: dict[str, type[JobMessage]] = {
    WEBHOOKS.name: WebhookJob,
    FLOWS.name: FlowJob,
    NOTIFICATIONS.name: NotificationJob,
}
"""The message of each queue's own function."""

OTHER_FUNCTIONS: dict[str, type[JobMessage]] = {
    TEST_FLOW: FlowTestJob,
    UPDATE_DELIVERY_STATUS: DeliveryStatusJob,
    CANCEL_NOTIFICATION: CancelNotificationJob,
}


def message_type(policy: QueuePolicy, function: str) -> type[JobMessage]:
    """The message of `function` on that queue; that of the queue's own function where it is unknown."""
    return OTHER_FUNCTIONS.get(function, MESSAGE_TYPES[policy.name])


def webhook_job_key(job: WebhookJob) -> str:
    """`eventId`; replays have a key of their own."""
    return _with_replay(f"{job.event_id}", job)


def flow_job_key(job: FlowJob) -> str:
    """`executionId:turn`."""
    return _with_replay(f"{job.execution_id}:{job.turn}", job)


def flow_test_job_key(job: FlowTestJob) -> str:
    """`test:runId`."""
    return _with_replay(f"test:{job.run_id}", job)


def notification_job_key(job: NotificationJob) -> str:
    """`notificationId`."""
    return _with_replay(str(job.notification_id), job)


def delivery_status_job_key(job: DeliveryStatusJob) -> str:
    """`status:channel:digest:status`: a provider that says the same twice makes one job; its ids may be long."""
    digest = hashlib.sha256(job.provider_id.encode("utf-8", "backslashreplace")).hexdigest()[:32]
    return _with_replay(f"status:{job.channel_id}:{digest}:{job.status}", job)


def cancel_notification_job_key(job: CancelNotificationJob) -> str:
    """`cancel:notificationId`."""
    return _with_replay(f"cancel:{job.notification_id}", job)


def job_key(job: JobMessage) -> str:
    """The key of any message. Raises TypeError for one of no queue."""
    if isinstance(job, WebhookJob):
        return webhook_job_key(job)
    if isinstance(job, FlowJob):
        return flow_job_key(job)
    if isinstance(job, FlowTestJob):
        return flow_test_job_key(job)
    if isinstance(job, NotificationJob):
        return notification_job_key(job)
    if isinstance(job, DeliveryStatusJob):
        return delivery_status_job_key(job)
    if isinstance(job, CancelNotificationJob):
        return cancel_notification_job_key(job)
    raise TypeError(f"{type(job).__name__} is the message of no queue")


def _with_replay(key: str, job: JobMessage) -> str:
    return f"{key}:replay-{job.replay}" if job.replay else key


def decode(policy: QueuePolicy, payload: object, message_type: type[Message]) -> Message:
    """The message in a job's decoded payload (what stood under `job`).

    Raises JobDecodeError, naming the field, for anything that the schema doesn't allow, and for a newer
    version than this code knows.
    """
    version = payload.get("schemaVersion") if isinstance(payload, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise JobDecodeError(
            f"a job of {policy.name} has schema version {version}; this worker knows up to {SCHEMA_VERSION}"
        )
    try:
        return msgspec.convert(payload, message_type)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise JobDecodeError(f"a job of {policy.name} doesn't decode: {error}") from None
