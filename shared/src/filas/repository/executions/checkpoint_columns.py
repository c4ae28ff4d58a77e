"""Checkpoints as the arguments of their statement: one array for each column."""

from collections.abc import Sequence
from uuid import UUID

from filas.contract.fingerprints import fingerprint
from filas.models.executions import (
    FAILED_EXECUTION_STATUSES,
    Checkpoint,
    FollowingExecution,
    NewNotification,
    StepRecord,
)
from filas.repository.postgres.json_columns import to_json, to_json_or_null


def is_plain(checkpoint: Checkpoint) -> bool:
    """Whether CHECKPOINT_PLAIN writes all of it: the execution goes on or has succeeded, waits for nothing, and starts
    no other one."""
    return checkpoint.status in ("running", "succeeded") and not (
        checkpoint.wake_at
        or checkpoint.error
        or checkpoint.conversation_vars
        or checkpoint.awaits_reply
        or checkpoint.awaits_callback
        or checkpoint.awaits_message
        or checkpoint.keeps_turn
        or checkpoint.question
        or checkpoint.starts
    )


def plain_columns_of(checkpoints: Sequence[Checkpoint]) -> list[list[object]]:
    """The arguments of CHECKPOINT_PLAIN, and the first ones of CHECKPOINT_MANY: executions, steps, notifications."""
    # Of two steps with the same number, the last one is written: a statement can write a row only once.
    steps = {(one.execution_id, step.seq): step for one in checkpoints for step in one.steps}
    notifications = [notification for one in checkpoints for notification in one.notifications]
    return [
        [one.execution_id for one in checkpoints],
        [one.fence for one in checkpoints],
        [one.status for one in checkpoints],
        [one.state for one in checkpoints],
        [to_json_or_null(one.output) for one in checkpoints],
        *_steps([(execution_id, step) for (execution_id, _), step in steps.items()]),
        *_notifications(notifications),
        [one.awaits for one in notifications],
    ]


def columns_of(checkpoints: Sequence[Checkpoint]) -> list[list[object]]:
    """The arguments of CHECKPOINT_MANY, in its order."""
    return [
        *plain_columns_of(checkpoints),
        [one.wake_at for one in checkpoints],
        [to_json_or_null(one.error) for one in checkpoints],
        [one.conversation_vars for one in checkpoints],
        [one.awaits_reply for one in checkpoints],
        *_starts([(one.execution_id, following) for one in checkpoints for following in one.starts]),
        [one.awaits_callback for one in checkpoints],
        [
            None if one.error is None or one.status not in FAILED_EXECUTION_STATUSES else fingerprint(one.error)
            for one in checkpoints
        ],
        [one.awaits_message for one in checkpoints],
        [one.question and one.question.asked_at for one in checkpoints],
        [one.question and one.question.idle_at for one in checkpoints],
        [one.question is not None and one.question.superseded for one in checkpoints],
        [one.keeps_turn for one in checkpoints],
    ]


def _steps(steps: Sequence[tuple[UUID, StepRecord]]) -> list[list[object]]:
    return [
        [execution_id for execution_id, _ in steps],
        [step.seq for _, step in steps],
        [step.node_id for _, step in steps],
        [step.type for _, step in steps],
        [step.status for _, step in steps],
        [step.attempt for _, step in steps],
        [step.handle for _, step in steps],
        [to_json_or_null(step.input) for _, step in steps],
        [to_json_or_null(step.output) for _, step in steps],
        [to_json_or_null(step.error) for _, step in steps],
        [step.started_at for _, step in steps],
        [step.ended_at for _, step in steps],
    ]


def _notifications(notifications: Sequence[NewNotification]) -> list[list[object]]:
    return [
        [one.id for one in notifications],
        [one.execution_id for one in notifications],
        [one.seq for one in notifications],
        [one.channel_id for one in notifications],
        [one.recipient for one in notifications],
        [to_json(one.payload) for one in notifications],
        [one.idempotency_key for one in notifications],
        [one.conversation_id for one in notifications],
    ]


def _starts(starts: Sequence[tuple[UUID, FollowingExecution]]) -> list[list[object]]:
    return [
        [execution_id for execution_id, _ in starts],
        [one.id for _, one in starts],
        [one.flow_id for _, one in starts],
        [one.node_id for _, one in starts],
        [one.trigger for _, one in starts],
    ]
