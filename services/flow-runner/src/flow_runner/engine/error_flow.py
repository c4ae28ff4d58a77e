"""The trigger of an error flow."""

import msgspec

from filas.models.executions import ExecutionStatus
from filas.models.record import ErrorDetail
from flow_runner.engine.template_scope import RunContext


def error_trigger(context: RunContext, status: ExecutionStatus, error: ErrorDetail | None) -> str:
    """The trigger (JSON text) of an execution of the error flow.

    Its `webhook.body` is `{"error": …, "execution": {id, flowId, version, status}, "event": the body that started the
    failed execution}`. Its message is the last one of the failed execution. `errorOf` has the id of the failed
    execution; an execution with it starts no error flow.
    """
    claimed = context.claimed
    execution = {"id": str(claimed.id), "flowId": claimed.flow_id, "version": claimed.version, "status": status}
    body = {"error": error, "execution": execution, "event": context.webhook.get("body")}
    trigger = {
        "webhook": {"body": body, "headers": {}, "queryParams": {}},
        "message": context.message or None,
        "errorOf": str(claimed.id),
    }
    return msgspec.json.encode(trigger).decode()
