"""Collects what a run has done since its last checkpoint, and builds the next checkpoint from it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from filas.contract import identity
from filas.models.executions import (
    FINAL_EXECUTION_STATUSES,
    Checkpoint,
    ClaimedExecution,
    ExecutionStatus,
    FollowingExecution,
    NewNotification,
    StepRecord,
    StepStatus,
)
from filas.models.record import ErrorDetail
from filas.tracing import spans
from flow_runner.engine.error_flow import ERROR_OF, error_trigger
from flow_runner.engine.execution_state import MAX_STATE_BYTES, Pending, encode
from flow_runner.engine.flow_cursor import FlowCursor
from flow_runner.engine.node_protocol import Visit, Wait

NO_WAIT: Final = Wait()
"""A checkpoint at which no wait begins."""


@dataclass(slots=True)
class CheckpointBuilder:
    """`steps` (by number) and `notifications` are not written yet. `effect_unsaved`: a call was made after the last
    checkpoint. A visit has one row, the newest: a retry or the end of a wait replaces it."""

    claimed: ClaimedExecution
    cursor: FlowCursor
    error_flow_id: str | None
    steps: dict[int, StepRecord] = field(default_factory=dict)
    notifications: list[NewNotification] = field(default_factory=list)
    effect_unsaved: bool = False
    _saved_conversation_writes: int = 0
    _known_secrets: int = 0

    def add_step(
        self,
        visit: Visit,
        status: StepStatus,
        *,
        handle: str | None = None,
        output: Any = None,
        error: ErrorDetail | None = None,
        ended_at: datetime | None = None,
    ) -> None:
        """The row of a visit. Input and output are redacted and bounded."""
        redactor = self.cursor.context.redactor
        if not self.steps:
            self._known_secrets = redactor.size
        self.steps[visit.seq] = StepRecord(
            seq=visit.seq,
            node_id=visit.place,
            type=visit.type,
            status=status,
            attempt=visit.attempt,
            handle=handle,
            input=redactor.shown(visit.input),
            output=redactor.shown(output),
            error=error,
            started_at=visit.started_at,
            ended_at=ended_at,
        )

    def end_pending(
        self,
        pending: Pending,
        place: str,
        node_type: str,
        status: StepStatus,
        error: ErrorDetail | None,
        ended_at: datetime,
    ) -> None:
        """The row of a visit that ends because its execution, or the subflow that it started, ends."""
        self.steps[pending.seq] = StepRecord(
            seq=pending.seq,
            node_id=place,
            type=node_type,
            status=status,
            attempt=pending.attempt,
            handle=None,
            # It was redacted when the visit began. Since then the subflow may have assigned secret variables.
            input=self.cursor.context.redactor.shown(pending.input),
            output=None,
            error=error,
            started_at=pending.started_at,
            ended_at=ended_at,
        )

    def build(
        self,
        status: ExecutionStatus,
        *,
        wake_at: datetime | None = None,
        wait: Wait = NO_WAIT,
        error: ErrorDetail | None = None,
        output: Any = None,
    ) -> Checkpoint:
        """A checkpoint with everything since the last one. `wait` belongs to the waiting statuses.

        An execution that has not succeeded keeps its state, so that it can be continued or replayed. If the state is
        larger than MAX_STATE_BYTES, the execution fails.
        """
        cursor, claimed = self.cursor, self.claimed
        saved = None if status == "succeeded" else encode(cursor.state)
        if saved is not None and len(saved) > MAX_STATE_BYTES:
            wake_at, saved = None, None
            if status not in FINAL_EXECUTION_STATUSES:
                message = f"the execution has more than {MAX_STATE_BYTES} bytes of variables and outputs"
                status, error = "failed", ErrorDetail(kind="limit", message=message)
        in_conversation = claimed.conversation_id is not None
        changed = in_conversation and cursor.conversation.writes > self._saved_conversation_writes
        checkpoint = Checkpoint(
            execution_id=claimed.id,
            fence=claimed.fence,
            status=status,
            state=None if saved is None else cursor.stored(saved),
            steps=self._steps(),
            notifications=self.notifications,
            wake_at=wake_at,
            error=error,
            output=None if output is None else cursor.context.redactor.shown(output),
            conversation_vars=cursor.conversation.text(cursor.context.redactor) if changed else None,
            awaits_reply=wait.awaits_reply and in_conversation,
            awaits_callback=wait.callback_id,
            awaits_message=wait.message_id,
            keeps_turn=wait.holds_conversation,
            question=wait.question if in_conversation else None,
            starts=self._starts(status, error),
        )
        self.steps, self.notifications, self.effect_unsaved = {}, [], False
        self._saved_conversation_writes = cursor.conversation.writes
        return checkpoint

    def _steps(self) -> list[StepRecord]:
        """The rows. A value that was assigned to a secret variable since the first of them is hidden in all."""
        redactor, steps = self.cursor.context.redactor, list(self.steps.values())
        if redactor.size == self._known_secrets:
            return steps
        return [
            msgspec.structs.replace(step, input=redactor.shown(step.input), output=redactor.shown(step.output))
            for step in steps
        ]

    def _starts(self, status: ExecutionStatus, error: ErrorDetail | None) -> list[FollowingExecution]:
        """The execution of the error flow, if this execution fails. The failure of an error flow starts none."""
        context = self.cursor.context
        if status not in ("failed", "timed-out") or self.error_flow_id is None or ERROR_OF in context.trigger:
            return []
        trigger = error_trigger(context, status, error)
        following = identity.error_execution_id(self.claimed.id)
        traceparent = spans.current().traceparent
        return [FollowingExecution(id=following, flow_id=self.error_flow_id, trigger=trigger, traceparent=traceparent)]
