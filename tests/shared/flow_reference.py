"""The README's table of the fields of every node type, made from the types that check them.

`python -m tests.shared.flow_reference` writes the table anew. What a type can't say, its meaning, stands here.
"""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from filas.flows.definition.flow_definition import Settings, Variable
from filas.flows.definition.node_types import NODE_TYPES
from filas.flows.nodes.node_data import FallibleData, NodeData

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- flow-fields:begin -->\n", "<!-- flow-fields:end -->"

MEANINGS = {
    "all.label": "what an editor shows; means nothing to a run",
    "fallible.onError": "when it has failed for good: end the execution, go on by `out`, or go on by `error`",
    "fallible.retry.maxAttempts": "tries in all",
    "fallible.retry.delayMs": "the wait after the first try",
    "fallible.retry.rate": "each wait is this many times the one before",
    "fallible.retry.maxDelayMs": "no wait is longer",
    "fallible.retry.jitter": "`full`: a random share of the wait, so that not all come back at once",
    "fallible.retry.on": "after which failures: `timeout`, `communication`, `4xx`, `5xx`, or a status",
    "message.text": "what is said",
    "message.media.kind": "what kind of file",
    "message.media.url": "where the channel fetches it",
    "message.media.caption": "the text under it",
    "message.buttons[].id": "what comes back when it is pressed",
    "message.buttons[].title": "what stands on it",
    "message.template.name": "a template that the provider has approved",
    "message.template.language": "in which language",
    "message.template.parameters": "what is put into it, by place or by name",
    "message.channel": "another channel than the conversation's",
    "message.to": "another receiver than the conversation's contact",
    "condition.logic": "all rules must hold, or any one",
    "condition.rules[].variable": "a template: the left side",
    "condition.rules[].operator": "one of the table below",
    "condition.rules[].value": "the right side",
    "condition.expression": "CEL, in place of rules",
    "switch.cases[].id": "the way out",
    "switch.cases[].label": "what an editor shows",
    "switch.cases[].logic": "all rules must hold, or any one",
    "switch.cases[].rules[].variable": "a template: the left side",
    "switch.cases[].rules[].operator": "one of the table below",
    "switch.cases[].rules[].value": "the right side",
    "switch.cases[].expression": "CEL, in place of rules",
    "api.method": "the method",
    "api.url": "the address",
    "api.headers": "by name",
    "api.query": "added to the address; a list gives its name once an item, null leaves it out",
    "api.body": "JSON with templates, or a text",
    "api.timeoutMs": "for the whole call",
    "api.acceptStatus": "statuses beside 2xx that are no error",
    "api.responseMapping[].variable": "the variable that is written",
    "api.responseMapping[].path": "JMESPath into `{status, headers, body}`",
    "api.onUncertain": "after a call of which nobody knows whether it arrived: make it again under its key, or fail",
    "delay.ms": "how long",
    "delay.until": "ISO 8601, or a template that gives that or seconds since 1970",
    "delay.cron": "five fields: the next such moment",
    "delay.timezone": "of `cron`, such as America/Sao_Paulo",
    "delay.endOnReply": "the contact's next message ends it; the output's `endedBy` is then `reply`, else `time`",
    "webhook.mode": "`trigger`: the flow begins here; `send`: a call to somebody",
    "webhook.url": "of `send`: the address",
    "webhook.method": "of `send`",
    "webhook.headers": "of `send`",
    "webhook.body": "of `send`: JSON with templates, or a text",
    "webhook.secret": "of `send`: `whsec_…`, signs by Standard Webhooks",
    "webhook.timeoutMs": "of `wait`: how long; then it is left by `timeout`",
    "input.prompt": "what is asked",
    "input.variable": "where the answer is put",
    "input.kind": "what the answer must be; a `number` may have a decimal comma",
    "input.pattern": "of kind `regex`: RE2",
    "input.choices[].id": "the way out, and the value that is put; the contact may send it, the title, or its number",
    "input.choices[].title": "what the contact sees",
    "input.maxRetries": "how often it is asked again after a wrong answer; then it is left by `invalid`",
    "input.retryPrompt": "what is said then, if not the prompt again",
    "input.timeoutMs": "how long it waits for each answer; then it is left by `timeout`",
    "set-variable.assignments[].variable": "the variable that is written",
    "set-variable.assignments[].value": "JSON with templates; a later one sees an earlier one",
    "loop.items": "a template that gives a list; what it is when the loop begins",
    "loop.as": "under `loop`, the name of the present item",
    "loop.maxIterations": "more items are an error",
    "notify.channel": "over which channel",
    "notify.to": "to whom",
    "notify.subject": "of an e-mail",
    "notify.html": "of an e-mail, beside the text; what comes from outside goes through `escape`",
    "notify.text": "what is said",
    "subflow.flowId": "which flow",
    "subflow.version": "which version, if not the published one",
    "subflow.input": "by name: its `webhook.body`, and the values of its variables of these names",
    "subflow.output": "by variable of this flow: a template that sees the subflow's scope at its end, and its `output`",
    "end.status": "how the execution ends",
    "end.output": "what it leaves; JSON with templates",
    "settings.timeoutMs": "from its start; then the execution is `timed-out`, also while it waits",
    "settings.maxSteps": "visits of nodes in all",
    "settings.maxVisitsPerNode": "the error names the cycle",
    "settings.errorFlowId": "a flow that starts when an execution fails or is timed out",
    "variables[].name": "letters, digits, `_` and `-`",
    "variables[].type": "what is written is converted where nothing is lost, and refused otherwise",
    "variables[].default": "its value until one is written",
    "variables[].scope": "`conversation`: kept for the conversation's next executions",
    "variables[].secret": "its value is shown in no trace",
}


class Row(NamedTuple):
    """A field: whose, which, what it takes, and its default (None: it has to be there)."""

    owner: str
    field: str
    takes: str
    default: str | None

    @property
    def key(self) -> str:
        """Its name in MEANINGS."""
        return f"{self.owner}.{self.field}" if not self.field.startswith("[") else f"{self.owner}{self.field}"


def rows() -> Iterator[Row]:
    """Every field: of the flow itself, of all nodes, of those that can fail, and of each type."""
    yield from _fields("settings", Settings)
    yield from (row._replace(field=f"[].{row.field}") for row in _fields("variables", Variable))
    yield from _fields("all", NodeData)
    common = {field.name for field in msgspec.structs.fields(NodeData)}
    yield from _fields("fallible", FallibleData, common)
    common |= {field.name for field in msgspec.structs.fields(FallibleData)}
    for node_type, data in NODE_TYPES.items():
        yield from _fields(node_type, data, common)


def _fields(owner: str, struct: type[msgspec.Struct], without: set[str] | None = None, path: str = "") -> Iterator[Row]:
    for field in msgspec.structs.fields(struct):
        if field.name in (without or ()):
            continue
        name = path + field.encode_name
        part, many = _part(field.type)
        if part is not None:
            yield from _fields(owner, part, None, name + ("[]." if many else "."))
        else:
            yield Row(owner, name, _takes(field.type), _default(field))


def _part(wanted: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """The struct that a field holds, or holds a list of."""
    origin, arms = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return _part(arms[0])
    if origin in (Union, types.UnionType):
        found = [_part(arm) for arm in arms if arm is not type(None)]
        return found[0] if len(found) == 1 else (None, False)
    if origin is list:
        return _part(arms[0])[0], True
    return (wanted, False) if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct) else (None, False)


def _takes(wanted: Any) -> str:
    origin, arms = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return _takes(arms[0]) + _bounds(arms[1])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_takes(arm) for arm in arms if arm is not type(None)))
    if origin is Literal:
        return ", ".join(f"`{arm}`" for arm in arms)
    if origin is list:
        return f"list of {_takes(arms[0])}"
    named = {str: "text", int: "number", float: "number", bool: "`true`, `false`", Any: "JSON"}
    return "object of texts" if arms[1:] == (str,) else named.get(wanted, "object")


def _bounds(meta: msgspec.Meta) -> str:
    low, high = (f"{bound:,}" if bound is not None else "" for bound in (meta.ge, meta.le))
    if low and high:
        return f", {low} to {high}"
    return f", from {low}" if low else ""


def _default(field: Any) -> str | None:
    if field.required:
        return None
    value = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    return "" if value in (None, "") else f"`{msgspec.json.encode(value).decode()}`".replace('"', "")


def table() -> str:
    """The whole table; a type's name stands in its first row."""
    titles = {"settings": "the flow's `settings`", "variables": "the flow's `variables`", "all": "every node",
              "fallible": "nodes that can fail"}  # fmt: skip
    lines = ["| node | field | takes | default | meaning |", "|---|---|---|---|---|"]
    owner = ""
    for row in rows():
        title = "" if row.owner == owner else titles.get(row.owner, f"`{row.owner}`")
        owner = row.owner
        default = "required" if row.default is None else row.default
        field = row.field.removeprefix("[].")
        lines.append(f"| {title} | `{field}` | {row.takes} | {default} | {MEANINGS.get(row.key, '')} |")
    lines += [f"| `{name}` | none | | | |" for name, data in NODE_TYPES.items() if not _own(data)]
    return "\n".join(lines) + "\n"


def _own(data: type[NodeData]) -> bool:
    known = {field.name for field in msgspec.structs.fields(FallibleData)}
    return any(field.name not in known for field in msgspec.structs.fields(data))


if __name__ == "__main__":
    before = README.read_text()
    start, stop = before.index(BEGIN) + len(BEGIN), before.index(END)
    README.write_text(before[:start] + table() + before[stop:])
