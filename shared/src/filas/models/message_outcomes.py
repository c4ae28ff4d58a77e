"""The outcomes of messages, as the flow-runner learns them from the notifier."""

from typing import Any, Literal
from uuid import UUID

from filas.models.executions import DueExecution, ExecutionStatus
from filas.models.notifications import OutcomeStatus
from filas.models.record import ErrorDetail, Record


class UnlearnedOutcome(Record, frozen=True, kw_only=True):
    """An outcome that its execution does not know yet.

    Its row in `message_outcomes` has no status of its own: it exists until the flow-runner has done what follows.

    | written by                          | removed by                                                           |
    |-------------------------------------|----------------------------------------------------------------------|
    | the notifier, in the statement that | the flow-runner, in the statement that resumes the execution or      |
    | changes the notification            | starts the flow for undelivered messages; the dead letter of its job |
    """

    notification_id: UUID
    status: OutcomeStatus


class LateFailure(Record, frozen=True, kw_only=True):
    """A message that has failed and for which no node waits, with its execution.

    `trigger` is the JSON text of the execution's trigger. `node_id` and `input` are those of the step that has sent the
    message (secrets are hidden in the input), None if the step no longer exists. `node_has_failed`: it has failed
    already, with another part of the message.
    """

    notification_id: UUID
    error: ErrorDetail | None
    channel_id: str
    recipient: str
    input: Any
    node_id: str | None
    node_has_failed: bool
    execution_id: UUID
    flow_id: str
    version: int
    execution_status: ExecutionStatus
    trigger: str


LearnedOutcome = DueExecution | LateFailure | Literal["running", "over"]
"""What follows from an outcome: the execution that has been resumed and needs a job, or a failure that comes late.
`running`: a worker is about to end or to continue the wait, so ask again. `over`: nothing follows."""
