"""What names mean in a workflow: the data of the node before (`$json`), and that of named nodes.

| n8n                                        | here                                                            |
|--------------------------------------------|-----------------------------------------------------------------|
| `$json` behind a webhook: body, query, headers | `webhook.body`, `webhook.queryParams`, `webhook.headers`     |
| `$json` behind a request                   | `nodes.<id>.output.body`                                        |
| `$json` behind Edit Fields                 | the variables that it sets; other fields come from before it     |
| `$json` behind IF, Switch, Wait, Merge     | what it means before that node                                  |
| `$json` in a loop                          | `loop.item`                                                     |
| `$json` behind what is left out            | a variable, which the report names                              |
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from filas.flows.imports.flow_builder import FlowBuilder
from filas.flows.imports.import_report import BlockReport
from filas.flows.imports.n8n.n8n_workflow import N8nWorkflow
from filas.flows.imports.template_text import member

Step = str | int
Path = Sequence[Step]

_MAX_HOPS: Final = 1000

_MESSAGES: Final[dict[str, dict[tuple[Step, ...], str]]] = {
    "telegramTrigger": {
        ("message", "text"): "conversation.text",
        ("message", "chat", "id"): "conversation.contact",
        ("message", "from", "id"): "conversation.contact",
    },
    "whatsAppTrigger": {
        ("messages", 0, "text", "body"): "conversation.text",
        ("messages", 0, "from"): "conversation.contact",
        ("contacts", 0, "wa_id"): "conversation.contact",
    },
    "slackTrigger": {("text",): "conversation.text", ("user",): "conversation.contact"},
    "chatTrigger": {("chatInput",): "conversation.text", ("sessionId",): "conversation.contact"},
}
"""Fields of messages that have a name of their own here, by the type of the trigger."""

_WHATSAPP_VALUE: Final = "webhook.body.entry[0].changes[0].value"


@dataclass(slots=True)
class NodeData:
    """What the output of a node is. `trigger`: the type of the trigger. `root`: an expression of which its fields are
    members. `fields`: variables by path. `passes`: other fields come from the node before."""

    kind: Literal["trigger", "root", "passes", "unknown"] = "unknown"
    trigger: str = ""
    root: str = ""
    fields: dict[tuple[Step, ...], str] = field(default_factory=dict)


class N8nScope:
    """The meaning of names in one workflow."""

    def __init__(self, workflow: N8nWorkflow, builder: FlowBuilder) -> None:
        self.workflow, self.builder = workflow, builder
        self.data: dict[str, NodeData] = {}
        self.loop_names: dict[str, tuple[int, str]] = {}
        self._unknown: dict[str, str] = {}

    def before(self, node: str, path: Path, report: BlockReport, written: str) -> str:
        """The expression of a path of `$json` at a node."""
        sources = self.workflow.sources.get(node, [])
        return self._found(sources[0] if sources else None, path) or self.unknown(path, report, written)

    def output(self, node: str, path: Path, report: BlockReport, written: str) -> str:
        """The expression of a path of the output of a named node."""
        return self._found((node, 0), path) or self.unknown(path, report, written)

    def _found(self, source: tuple[str, int] | None, path: Path) -> str | None:
        """The expression of a path of what leaves an output: the first node before it that knows the path decides."""
        for _ in range(_MAX_HOPS):
            if source is None or source[0] in self.loop_names or source[0] not in self.data:
                break
            data = self.data[source[0]]
            known = _known(data, path)
            if known is not None or data.kind != "passes":
                return known
            sources = self.workflow.sources[source[0]]
            source = sources[0] if sources else None
        if source is None or source[0] not in self.loop_names:
            return None
        index, item = self.loop_names[source[0]]
        return f"loop.{item}{steps(path)}" if source[1] == index else None

    def unknown(self, path: Path, report: BlockReport, written: str) -> str:
        """A variable in the place of what is not known."""
        wanted = "_".join(str(step) for step in path[-2:]) or "value"
        if wanted not in self._unknown:
            self._unknown[wanted] = self.builder.declare(wanted)
        name = f"vars.{self._unknown[wanted]}"
        report.add("expression-not-carried", expression=written, variable=name)
        return name


def _known(data: NodeData, path: Path) -> str | None:
    """The expression of a path, if the node itself decides what it means."""
    for length in range(len(path), 0, -1):
        variable = data.fields.get(tuple(path[:length]))
        if variable is not None:
            return f"vars.{variable}{steps(path[length:])}"
    if data.kind == "trigger":
        return of_trigger(data.trigger, path)
    return f"{data.root}{steps(path)}" if data.kind == "root" else None


def of_trigger(kind: str, path: Path) -> str:
    """The expression of a path of what a trigger receives."""
    named = _MESSAGES.get(kind, {})
    if tuple(path) in named:
        return named[tuple(path)]
    if kind == "whatsAppTrigger":
        return _WHATSAPP_VALUE + steps(path)
    if kind in ("webhook", "formTrigger") and path:
        roots: dict[Step, str] = {"body": "webhook.body", "headers": "webhook.headers", "query": "webhook.queryParams"}
        if path[0] in roots and kind == "webhook":
            first, rest = roots[path[0]], path[1:]
            lowered = [str(step).lower() for step in rest] if path[0] == "headers" else rest
            return first + steps(lowered)
    return "webhook.body" + steps(path)


def steps(path: Path) -> str:
    """The steps of a path in an expression of a template."""
    return "".join(f"[{step}]" if isinstance(step, int) else member(step) for step in path)
