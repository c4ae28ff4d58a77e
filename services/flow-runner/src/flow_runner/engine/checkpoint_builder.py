"""What has happened in a turn since its last checkpoint, and the checkpoint that writes it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from filas.contract import identity
from filas.models.executions import (
    FINAL_EXECUTION_STATUSES,
    Checkpoint,
    ClaimedExecution,
    ExecutionStatus,
    FollowingExecution,
    NewNotification,
)
from filas.models.record import ErrorDetail
from filas.tracing import spans
from flow_runner.engine.error_flow import error_trigger
from flow_runner.engine.execution_state import MAX_STATE_BYTES, State, encode
from flow_runner.engine.node_protocol import Visit
from flow_runner.engine.ports import ExecutionStore
from flow_runner.engine.step_log import StepLog
from flow_runner.engine.template_scope import TurnScope


class Progress:
    """`steps` and `notifications` are not written yet; nor is the effect of which `effect_unsaved` tells."""

    def __init__(
        self, store: ExecutionStore, claimed: ClaimedExecution, scope: TurnScope, error_flow_id: str | None
    ) -> None:
        self._store = store
        self._claimed = claimed
        self._scope = scope
        self._error_flow_id = error_flow_id
        self.steps = StepLog(scope.redactor)
        self.notifications: list[NewNotification] = []
        self.effect_unsaved = False

    async def save(
        self,
        state: State,
        status: ExecutionStatus,
        *,
        started: Visit | None = None,
        wake_at: datetime | None = None,
        awaits_reply: bool = False,
        awaits_callback: UUID | None = None,
        error: ErrorDetail | None = None,
        output: Any = None,
    ) -> tuple[ExecutionStatus, datetime | None]:
        """One checkpoint: all that has happened since the last one. Gives the status and the time to go on that
        were written.

        What has not succeeded keeps its position, to be replayed from there; what of a visit has begun is in the
        pending one.
        """
        saved = None if status == "succeeded" else encode(state)
        if saved is not None and len(saved) > MAX_STATE_BYTES:
            wake_at, saved = None, None
            if status not in FINAL_EXECUTION_STATUSES:
                message = f"the execution holds more than {MAX_STATE_BYTES} bytes of variables and outputs"
                status, error = "failed", ErrorDetail(kind="limit", message=message)
        in_conversation = self._claimed.conversation_id is not None
        changed = self._scope.conversation_changed and in_conversation
        checkpoint = Checkpoint(
            execution_id=self._claimed.id,
            fence=self._claimed.fence,
            status=status,
            state=saved,
            steps=self.steps.take(started),
            notifications=self.notifications,
            wake_at=wake_at,
            error=error,
            output=output,
            conversation_vars=self._scope.conversation_text() if changed else None,
            awaits_reply=awaits_reply and in_conversation,
            awaits_callback=awaits_callback,
            starts=self._starts(status, error),
        )
        status = await self._store.checkpoint(self._claimed, checkpoint)
        self.notifications = []
        self.effect_unsaved = False
        self._scope.conversation_changed = False
        return status, wake_at

    def _starts(self, status: ExecutionStatus, error: ErrorDetail | None) -> list[FollowingExecution]:
        """The execution of the error flow, if this one fails; one that is itself of an error flow starts none."""
        if status not in ("failed", "timed-out") or self._error_flow_id is None or "errorOf" in self._scope.trigger:
            return []
        trigger = error_trigger(self._claimed, self._scope, status, error)
        following = identity.error_execution_id(self._claimed.id)
        traceparent = spans.current().traceparent
        return [FollowingExecution(id=following, flow_id=self._error_flow_id, trigger=trigger, traceparent=traceparent)]
