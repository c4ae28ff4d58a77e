"""One factory for the job of each message: its queue, function, key, group and priority are decided here alone.

The factories know no tracing: the caller passes the `traceparent` of the span that causes the job.
"""

from dataclasses import replace
from uuid import UUID

import msgspec

from filas.contract.group_keys import conversation_group
from filas.contract.jobs import (
    CancelNotificationJob,
    DeliveryReceiptJob,
    FlowJob,
    FlowReason,
    FlowTestJob,
    JobMessage,
    LearnAddressesJob,
    LearnOutcomeJob,
    NotificationJob,
    Traceparent,
    WebhookJob,
)
from filas.contract.new_job import NewJob
from filas.models.executions import DueExecution, FollowingExecution
from filas.models.notifications import OutcomeStatus

CANCEL_TURN = 0
"""The turn of a job that cancels an execution: it is not a turn of the execution's own."""


def job_of(
    message: JobMessage,
    *,
    group: str | None = None,
    defer_until_ms: int | None = None,
    priority: int | None = None,
) -> NewJob:
    """The job that carries `message`, on the queue and for the function of the message's type."""
    function = None if message.function == message.policy.function else message.function
    return NewJob(message.policy, message.key, message, group, defer_until_ms, priority, function)


def webhook_job(message: WebhookJob, group_key: str | None) -> NewJob:
    """The job of an event, in the event's group (see `event_envelope.message_of_event`)."""
    return job_of(message, group=group_key)


def flow_job(due: DueExecution, reason: FlowReason, traceparent: Traceparent) -> NewJob:
    """The job that runs the next turn of an execution, in the group of its conversation."""
    message = FlowJob(execution_id=due.id, turn=due.turn, flow_id=due.flow_id, reason=reason, traceparent=traceparent)
    return job_of(message, group=conversation_group(due.channel, due.contact))


def error_flow_job(started: FollowingExecution, channel: str | None, contact: str | None) -> NewJob:
    """The job of the execution of an error flow, in the group of the failed execution's conversation."""
    message = FlowJob(
        execution_id=started.id, turn=1, flow_id=started.flow_id, reason="error", traceparent=started.traceparent
    )
    return job_of(message, group=conversation_group(channel, contact))


def cancel_execution_job(execution_id: UUID, flow_id: str, traceparent: Traceparent) -> NewJob:
    """The job that cancels an execution. It has no group, because it must not wait for the job that it ends."""
    message = FlowJob(
        execution_id=execution_id, turn=CANCEL_TURN, flow_id=flow_id, reason="cancel", traceparent=traceparent
    )
    return job_of(message)


def flow_test_job(message: FlowTestJob) -> NewJob:
    """The job of a test run. An operator waits for its result, so it runs before the jobs that are due already."""
    return job_of(message, priority=1)


def notification_job(
    notification_id: UUID, channel_id: str, recipient: str, traceparent: Traceparent, *, replay: int = 0
) -> NewJob:
    """The job that delivers a notification, in the group that keeps the messages to one receiver in order."""
    message = NotificationJob(
        notification_id=notification_id, channel_id=channel_id, traceparent=traceparent, replay=replay
    )
    return job_of(message, group=conversation_group(channel_id, recipient))


def delivery_receipt_job(message: DeliveryReceiptJob) -> NewJob:
    """The job that records a delivery receipt. It has no group: receipts are recorded in any order, never backwards."""
    return job_of(message)


def learn_addresses_job(message: LearnAddressesJob) -> NewJob:
    """The job that records the addresses of a recipient, in the group of the recipient's messages."""
    return job_of(message, group=conversation_group(message.channel_id, message.address))


def learn_outcome_job(notification_id: UUID, status: OutcomeStatus) -> NewJob:
    """The job with which an execution learns the outcome of its message. It has no group, because the execution's own
    job is in the group of the conversation."""
    return job_of(LearnOutcomeJob(notification_id=notification_id, status=status))


def cancel_notification_job(notification_id: UUID, *, replay: int = 0) -> NewJob:
    """The job that cancels a notification. It has no group, because it must not wait for the job that it ends."""
    return job_of(CancelNotificationJob(notification_id=notification_id, replay=replay))


def next_replay_job(message: JobMessage, group: str | None, delay_ms: int | None) -> NewJob:
    """The job of the next replay of `message`, in the group of the job before, due now or after `delay_ms`."""
    again = msgspec.structs.replace(message, replay=message.replay + 1)
    return replace(job_of(again, group=group), delay_ms=delay_ms)
