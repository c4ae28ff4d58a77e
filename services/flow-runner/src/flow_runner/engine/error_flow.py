"""What the error flow of a failed execution is told."""

import msgspec

from filas.models.executions import ClaimedExecution, ExecutionStatus
from filas.models.record import ErrorDetail
from flow_runner.engine.template_scope import TurnScope


def error_trigger(
    claimed: ClaimedExecution, scope: TurnScope, status: ExecutionStatus, error: ErrorDetail | None
) -> str:
    """The trigger (JSON text) of an execution of the error flow.

    Its `webhook.body` is `{"error": …, "execution": {id, flowId, version, status}, "event": the failed
    execution's own body}`; its message is the last one that the failed execution had. `errorOf` marks it, so that
    its own failure starts no further one.
    """
    execution = {"id": str(claimed.id), "flowId": claimed.flow_id, "version": claimed.version, "status": status}
    body = {"error": error, "execution": execution, "event": scope.webhook.get("body")}
    trigger = {
        "webhook": {"body": body, "headers": {}, "queryParams": {}},
        "message": scope.message or None,
        "errorOf": str(claimed.id),
    }
    return msgspec.json.encode(trigger).decode()
