"""The triggers of the flows that a failure starts: the error flow, and the flow for undelivered messages.

A trigger states of which execution it reports the failure: `errorOf`, `undeliveredOf`. An execution whose trigger has
the one starts no error flow, and one whose trigger has the other starts no flow for undelivered messages. A trigger
inherits them from the execution that starts it, so two such flows cannot start each other without end.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from filas.models.executions import ExecutionStatus
from filas.models.message_outcomes import LateFailure
from filas.models.record import ErrorDetail
from flow_runner.engine.template_scope import RunContext

ERROR_OF = "errorOf"
UNDELIVERED_OF = "undeliveredOf"


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
        ERROR_OF: str(claimed.id),
        **_inherited(context.trigger),
    }
    return msgspec.json.encode(trigger).decode()


def undelivered_trigger(failure: LateFailure) -> str | None:
    """The trigger (JSON text) of an execution of the flow for undelivered messages; None: the message belongs to an
    execution of such a flow, so it starts none.

    Its `webhook.body` is `{"error": …, "message": {id, nodeId, channel, to, content}, "execution": {id, flowId,
    version, status}, "event": the body that started the execution}`. Its message is the one that started the execution.
    """
    origin = msgspec.json.decode(failure.trigger)
    if UNDELIVERED_OF in origin:
        return None
    message = {
        "id": str(failure.notification_id),
        "nodeId": failure.node_id,
        "channel": failure.channel_id,
        "to": failure.recipient,
        "content": _content(failure.input),
    }
    execution = {
        "id": str(failure.execution_id),
        "flowId": failure.flow_id,
        "version": failure.version,
        "status": failure.execution_status,
    }
    event = (origin.get("webhook") or {}).get("body")
    body = {"error": failure.error, "message": message, "execution": execution, "event": event}
    trigger = {
        "webhook": {"body": body, "headers": {}, "queryParams": {}},
        "message": origin.get("message"),
        UNDELIVERED_OF: str(failure.execution_id),
        **_inherited(origin),
    }
    return msgspec.json.encode(trigger).decode()


def _content(step_input: Any) -> Any:
    """The content of a message, from the input of its step."""
    if not isinstance(step_input, dict):
        return None
    if "prompt" in step_input:
        return {"type": "text", "text": step_input["prompt"]}
    return {name: value for name, value in step_input.items() if name not in ("channel", "to")}


def _inherited(trigger: Mapping[str, Any]) -> dict[str, Any]:
    return {name: trigger[name] for name in (ERROR_OF, UNDELIVERED_OF) if name in trigger}
