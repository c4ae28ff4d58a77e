"""The names that the templates of each node may use, with one sentence about each, for the completion of an editor."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from filas.flows.checks import earlier_nodes
from filas.flows.definition import loop_bodies
from filas.flows.definition.flow_definition import Draft, Node, Variable, read_draft
from filas.flows.nodes.node_data import FallibleData
from filas.flows.problems import Report

MAX_NAMES: Final = 10_000
"""The most names of all nodes together. The scopes of further nodes are left out."""

MAX_BODY_NAMES: Final = 60
MAX_BODY_DEPTH: Final = 4

ScopeKind = Literal["webhook", "node", "variable", "conversation", "secret", "loop", "execution"]

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

_OF_REQUEST: Final = (
    ("webhook.body", "The JSON that started the flow, or the fields of its form."),
    ("webhook.form", "The fields of a form beside its document."),
    ("webhook.headers", "The headers of the request, with names in lower case."),
    ("webhook.queryParams", "The parameters in the address of the request."),
    ("webhook.method", "The HTTP method of the request."),
    ("webhook.webhookId", "The id of the webhook that received the request."),
)
_OF_CONVERSATION: Final = (
    ("conversation.contact", "The address of the contact, such as a telephone number."),
    ("conversation.text", "The text of the contact's last message."),
    ("conversation.channel", "The id of the channel of the conversation."),
    ("conversation.id", "The id of the conversation."),
    ("conversation.message.kind", "The kind of the contact's last message, such as text or image."),
    ("conversation.message.data", "The fields of the kind: a button, a place, a form, an order."),
    ("conversation.message.media", "The medium of the message: id, url, mimeType, filename, caption."),
    ("conversation.message.replyTo", "The id of the message that the contact answered."),
    ("conversation.message.raw", "The message as the provider sent it."),
)
_OF_EXECUTION: Final = (
    ("execution.id", "The id of the execution."),
    ("execution.flowId", "The id of the flow."),
    ("execution.version", "The version of the flow."),
)
_OF_LOOP: Final[Mapping[str, str]] = {
    "index": "The number of the item, counted from 0.",
    "number": "The number of the item, counted from 1.",
    "first": "Whether it is the first item.",
    "last": "Whether it is the last item.",
    "length": "The number of items.",
    "parent": "The names of the loop around this one.",
}
_OUTPUTS: Final[Mapping[str, str]] = {
    "message": "Its message: notificationId, channel, to.",
    "notify": "Its message: notificationId, channel, to.",
    "condition": "Its `result`: true or false.",
    "switch": "Its `case`: the id of the case that matched.",
    "api": "The response: status, headers, body.",
    "webhook": "The request or the response: headers, body.",
    "delay": "The time `until` which it waited.",
    "input": "The reply: its `text`, and its `value` as the kind of the input reads it.",
    "set-variable": "The values by variable.",
    "loop": "The `count` of its items.",
    "subflow": "The output of the subflow's end.",
}
_PARTS: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "api": (("status", "The status of the response."), ("body", "The body of the response.")),
    "input": (("text", "The text of the reply."), ("value", "The value of the reply.")),
}


class NameInScope(msgspec.Struct, frozen=True, rename="camel"):
    """A name as a template writes it, where it comes from, and what it is, in one sentence."""

    name: str
    kind: ScopeKind
    detail: str


class Scopes(msgspec.Struct, frozen=True):
    """The names by node. `is_complete`: no node was left out because of MAX_NAMES."""

    by_node: dict[str, list[NameInScope]]
    is_complete: bool


def scopes(
    raw: object, *, body: Sequence[NameInScope] = (), secrets: Iterable[str] = (), only: Collection[str] | None = None
) -> Scopes:
    """Returns the names in scope at each node of a definition, which may have errors. Raises nothing, whatever `raw`
    is. `body` are the known fields of the event, `secrets` the names of the stored secrets. `only`: these nodes."""
    draft = read_draft(raw, Report())
    shared = [
        *(NameInScope(name, "webhook", detail) for name, detail in _OF_REQUEST),
        *body,
        *_variables(draft),
        *(NameInScope(name, "conversation", detail) for name, detail in _OF_CONVERSATION),
        *(NameInScope(path("secrets", name), "secret", "A stored secret. No trace shows it.") for name in secrets),
        *_execution(draft),
    ]
    nodes = {each.node.id: each.node for each in draft.nodes}
    order, loops = earlier_nodes.of_draft(draft), loop_bodies.item_names(draft)
    found: dict[str, list[NameInScope]] = {}
    left = MAX_NAMES
    for node_id in dict.fromkeys(draft.ids):
        if only is not None and node_id not in only:
            continue
        before = order.before(node_id)
        names = [
            *(name for other in dict.fromkeys(draft.ids) if other in before for name in _node(other, nodes.get(other))),
            *(_loop_name(name) for name in sorted(loops.get(node_id, ()))),
            *shared,
        ]
        left -= len(names)
        if left < 0 and found:
            return Scopes(found, False)
        found[node_id] = names
    return Scopes(found, True)


def fields_of_body(document: object, detail: str) -> list[NameInScope]:
    """Returns the names of the fields of an event's body, with `detail` as their sentence; `{}` in it is the kind of
    the value. Lists are not opened."""
    found: list[NameInScope] = []
    pending: list[tuple[str, Any, int]] = [("webhook.body", document, 0)]
    while pending and len(found) < MAX_BODY_NAMES:
        prefix, value, depth = pending.pop(0)
        if depth:
            found.append(NameInScope(prefix, "webhook", detail.format(_kind(value))))
        if isinstance(value, dict) and depth < MAX_BODY_DEPTH:
            pending += [(path(prefix, key), inner, depth + 1) for key, inner in list(value.items())[:MAX_BODY_NAMES]]
    return found


def path(prefix: str, name: str) -> str:
    """Returns the path of a member as a template writes it: `vars.name`, or `vars["first name"]`."""
    return f"{prefix}.{name}" if _WORD.fullmatch(name) else f"{prefix}[{json.dumps(name, ensure_ascii=False)}]"


def _variables(draft: Draft) -> Iterator[NameInScope]:
    declared = [one for one in draft.head.variables if one.name]
    for variable in declared:
        yield NameInScope(path("vars", variable.name), "variable", _described(variable))
    for variable in declared:
        if variable.scope == "conversation":
            name = path("conversation.vars", variable.name)
            yield NameInScope(name, "conversation", "The value that is stored with the conversation.")


def _described(variable: Variable) -> str:
    kind = "any value" if variable.type == "any" else variable.type
    kept = ", stored with the conversation" if variable.scope == "conversation" else ""
    return f"A variable ({kind}{kept}{', secret' if variable.secret else ''})."


def _execution(draft: Draft) -> Iterator[NameInScope]:
    for name, detail in _OF_EXECUTION:
        yield NameInScope(name, "execution", detail)
    for each in draft.nodes:
        if each.node.id and each.node.data.awaits_call():
            name = path("execution.resumeUrls", each.node.id)
            yield NameInScope(name, "execution", f"The address whose call ends the wait of node {each.node.id}.")


def _node(node_id: str, node: Node | None) -> Iterator[NameInScope]:
    """The names of a node that can have run. None: its type is not known."""
    prefix = path("nodes", node_id)
    label = f"{node.data.label or node_id} ({node.type})" if node is not None else node_id
    described = _OUTPUTS.get(node.type, "Its output.") if node is not None else "Its output."
    if node is not None and node.type == "end":
        return
    yield NameInScope(f"{prefix}.output", "node", f"{label}. {described}")
    if node is None:
        return
    for part, detail in _PARTS.get(node.type, ()):
        yield NameInScope(f"{prefix}.output.{part}", "node", f"{label}. {detail}")
    if isinstance(node.data, FallibleData) and node.data.on_error != "fail":
        yield NameInScope(f"{prefix}.error", "node", f"{label}. Its error: kind, message, detail.")


def _loop_name(name: str) -> NameInScope:
    return NameInScope(path("loop", name), "loop", _OF_LOOP.get(name, "The present item of the loop."))


def _kind(value: object) -> str:
    if value is None:
        return "empty"
    for kind, word in ((bool, "true or false"), (str, "text"), (dict, "object"), (list, "list")):
        if isinstance(value, kind):
            return word
    return "number"
