"""An execution, or an event, as the file of a saved test: the same input, for `filas flows test --case FILE`."""

from collections.abc import Sequence
from typing import Any, Final, get_args
from uuid import UUID

import msgspec

from filas.contract.storable_text import json_bytes
from filas.models.conversations import ConversationMessage
from filas.models.events import Event
from filas.models.executions import ExecutionWithSteps
from filas.models.flow_tests import FlowTestStatus
from ingest.dashboard.page_types import Download, PageCall, PageRoute

MESSAGES: Final = 200
"""How many messages of a conversation the replies are taken from."""

ENDED: Final = frozenset(get_args(FlowTestStatus)) - {"waiting-timer"}
_ERRORS: Final = {"timeout": "timeout", "communication": "communication"}
_REPLY_FIELDS: Final = ("kind", "text", "data", "media")


async def execution_as_test(call: PageCall) -> Download:
    """The event, the replies and the responses of an execution, and how it ended."""
    execution: ExecutionWithSteps = (await call.api.call("getExecution", path=call.path)).data
    request: dict[str, Any] = {"conversation": None}
    event = await _event(call, execution.event_id)
    messages = await _messages_to(call, execution)
    if event is not None:
        request["webhook"] = await _trigger(call, event)
    if execution.contact is not None:
        first = next((one for one in messages if one.event_id == execution.event_id), None)
        request["conversation"] = {
            "contact": execution.contact,
            "channel": execution.channel,
            "text": None if first is None else first.text,
        }
    replies = [_reply(one) for one in messages if one.event_id != execution.event_id]
    if replies:
        request["replies"] = replies
    if answers := _answers(execution):
        request["answers"] = answers
    expected = {"status": execution.status} if execution.status in ENDED else {}
    return _file(f"{execution.flow_id}-{str(execution.id)[-8:]}", request, expected)


async def event_as_test(call: PageCall) -> Download:
    """The request of an event; its webhook finds the contact and the text in it."""
    event: Event = (await call.api.call("getEvent", path=call.path)).data
    request = {"webhook": await _trigger(call, event), "webhookId": event.webhook_id}
    return _file(f"{event.webhook_id}-{str(event.id)[-8:]}", request, {})


def _file(name: str, request: dict[str, Any], expected: dict[str, Any]) -> Download:
    case = {"request": request, "expect": expected}
    return Download(msgspec.json.format(json_bytes(case), indent=2) + b"\n", f"{name}.json")


async def _event(call: PageCall, event_id: UUID | None) -> Event | None:
    """The event that started an execution. It may be deleted."""
    if event_id is None:
        return None
    found = await call.api.part("getEvent", path={"id": str(event_id)})
    return found.data if found.ok else None


async def _trigger(call: PageCall, event: Event) -> dict[str, Any]:
    """What the flow can read of the request."""
    decoded = (await call.api.call("getDecodedBody", path={"id": str(event.id)})).data
    # The text of JSON is kept as it is, so that numbers keep their digits.
    body: Any = msgspec.Raw(decoded.text.encode()) if decoded.kind in ("json", "form") else decoded.text
    trigger: dict[str, Any] = {"body": body}
    if event.query_params:
        trigger["queryParams"] = event.query_params
    return trigger


async def _messages_to(call: PageCall, execution: ExecutionWithSteps) -> Sequence[ConversationMessage]:
    """What the contact wrote to the execution, in order."""
    if execution.conversation_id is None:
        return ()
    path = {"id": str(execution.conversation_id)}
    found = await call.api.part("getConversation", path=path, query={"limit": MESSAGES})
    if not found.ok:
        return ()
    return [
        one for one in reversed(found.data.messages) if one.direction == "incoming" and one.execution_id == execution.id
    ]


def _reply(message: ConversationMessage) -> Any:
    """A text, or the fields of another message. One without its content is a wait that times out."""
    content = message.content or {}
    if content.get("kind", "text") == "text":
        return message.text
    return {name: content[name] for name in _REPLY_FIELDS if content.get(name) is not None}


def _answers(execution: ExecutionWithSteps) -> dict[str, list[dict[str, Any]]]:
    """By node, the responses to its calls in order."""
    answers: dict[str, list[dict[str, Any]]] = {}
    for step in execution.steps:
        if step.type != "api":
            continue
        output = step.output if isinstance(step.output, dict) else {}
        if isinstance(output.get("status"), int):
            answers.setdefault(step.node_id, []).append({"status": output["status"], "body": output.get("body")})
        elif step.error is not None:
            answers.setdefault(step.node_id, []).append({"error": _ERRORS.get(step.error.kind, "communication")})
    return answers


ROUTES: Final = (
    PageRoute("GET", "/executions/{id}/test", execution_as_test),
    PageRoute("GET", "/events/{id}/test", event_as_test),
)
