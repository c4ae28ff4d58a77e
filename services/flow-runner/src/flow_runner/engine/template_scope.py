"""What the templates of one flow can read. Nothing here changes the execution."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from filas.models.executions import ClaimedExecution
from flow_runner.engine.compiled_flow import CompiledFlow
from flow_runner.engine.execution_state import LoopFrame
from flow_runner.engine.redaction import Redactor
from flow_runner.engine.secret_placeholder import placeholder

MAX_RAW: Final = 64 * 1024

MESSAGE_FIELDS: Final = ("id", "kind", "text", "data", "media", "replyTo", "sentAt", "thread", "raw")


class RunContext(msgspec.Struct, frozen=True):
    """What all flows of an execution share during one run: the request and the message that started it (or the last
    reply), the variables of its conversation, and the secrets that no trace may show."""

    claimed: ClaimedExecution
    trigger: Mapping[str, Any]
    webhook: Mapping[str, Any]
    message: Mapping[str, Any]
    conversation_vars: Mapping[str, Any]
    redactor: Redactor = msgspec.field(default_factory=Redactor)


class TemplateScope(msgspec.Struct, frozen=True):
    """A read-only view of one flow's data. Templates are rendered with `roots`. `webhook` is what the flow started
    with: for a subflow, its input. The cursor replaces values behind `roots` and `vars` while nodes run."""

    roots: Mapping[str, Any]
    vars: Mapping[str, Any]
    webhook: Mapping[str, Any]
    redactor: Redactor


def build_roots(
    context: RunContext,
    flow: CompiledFlow,
    variables: Mapping[str, Any],
    outputs: Mapping[str, Any],
    secrets: Mapping[str, str],
    webhook: Mapping[str, Any],
) -> dict[str, Any]:
    """The names that templates can read, without `loop`. From now on, no trace shows a secret or a secret variable."""
    claimed = context.claimed
    for name, secret in secrets.items():
        if secret != placeholder(name):
            context.redactor.hide(secret)
    for variable in flow.secret_variables:
        context.redactor.hide(variables[variable.name])
    return {
        "webhook": webhook,
        "nodes": outputs,
        "vars": variables,
        "secrets": secrets,
        "conversation": {
            "contact": claimed.contact,
            "channel": claimed.channel,
            "id": str(claimed.conversation_id) if claimed.conversation_id else None,
            **conversation_texts(context.message),
            "vars": context.conversation_vars,
        },
        "execution": {"id": str(claimed.id), "flowId": claimed.flow_id, "version": claimed.version},
    }


def loop_root(flow: CompiledFlow, loops: Sequence[LoopFrame]) -> dict[str, Any] | None:
    """`loop` for the loops in progress, the innermost last. It has the items of the outer loops too. None: no loop."""
    root: dict[str, Any] = {}
    for frame in loops:
        length, index = len(frame.items), frame.index
        root = {
            **root,
            flow.item_name(frame.node): frame.items[index],
            "index": index,
            "number": index + 1,
            "first": index == 0,
            "last": index == length - 1,
            "length": length,
            "parent": root or None,
        }
    return root or None


def message_of(trigger: Mapping[str, Any]) -> dict[str, Any]:
    """The message of a trigger with `raw`, the provider's original; empty if there is none. An original that is larger
    than MAX_RAW bytes is left out, because the message becomes a part of the execution's state."""
    message: dict[str, Any] = trigger.get("message") or {}
    path = message.get("rawPath")
    if not path:
        return message
    raw = _at(trigger.get("webhook", {}).get("body"), path)
    return {**message, "raw": raw if len(msgspec.json.encode(raw)) <= MAX_RAW else None}


def _at(value: Any, path: Sequence[str | int]) -> Any:
    for segment in path:
        if isinstance(segment, str):
            value = value.get(segment) if isinstance(value, dict) else None
        else:
            value = value[segment] if isinstance(value, list) and segment < len(value) else None
    return value


def conversation_texts(message: Mapping[str, Any]) -> dict[str, Any]:
    """`conversation.text` and `conversation.message`, which has every field that a message can have, null where it has
    none."""
    fields = {name: message.get(name) for name in MESSAGE_FIELDS} if message else None
    return {"text": message.get("text"), "message": fields}
