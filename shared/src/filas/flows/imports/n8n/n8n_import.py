"""Converts a workflow of n8n to a flow: each node to ours, and each connection to an edge from a handle."""

from typing import Any, Final

from filas.flows.imports.flow_builder import TRIGGER, FlowBuilder, ImportRefused, placeholder
from filas.flows.imports.foreign_fields import mapping, objects, text
from filas.flows.imports.import_report import BlockReport, ImportedBlock
from filas.flows.imports.n8n.n8n_expressions import N8nExpressions
from filas.flows.imports.n8n.n8n_logic import LOGIC
from filas.flows.imports.n8n.n8n_outgoing import OUTGOING
from filas.flows.imports.n8n.n8n_parts import Convert, N8nCall, N8nPart
from filas.flows.imports.n8n.n8n_scope import N8nScope, NodeData
from filas.flows.imports.n8n.n8n_workflow import N8nNode, read_workflow

_CONVERSIONS: Final[dict[str, Convert]] = {**LOGIC, **OUTGOING}

_SCHEDULES: Final = frozenset({"scheduleTrigger", "cron", "interval"})
_OWN_TRIGGERS: Final = frozenset({"webhook", "executeWorkflowTrigger", "manualTrigger", "start"})
_LAST_CHOICE: Final = frozenset({"manualTrigger", "start", "errorTrigger"})
_LEFT_OUT: Final = {
    "code": "script",
    "function": "script",
    "functionItem": "script",
    "executeCommand": "script",
    "respondToWebhook": "answers-at-once",
    "stickyNote": "comment",
    "googleSheets": "google-sheets",
    "agent": "artificial-intelligence",
    "openAi": "artificial-intelligence",
    "chainLlm": "artificial-intelligence",
    "lmChatOpenAi": "artificial-intelligence",
}


class N8nImport:
    """The conversion of one workflow. Raises ImportRefused for a document that is none, or is too large."""

    def __init__(self, raw: object) -> None:
        self.workflow = read_workflow(raw)
        self.builder = FlowBuilder(self.workflow.name)
        self.report_of: dict[str, BlockReport] = {}
        self._scope = N8nScope(self.workflow, self.builder)
        self._reports: dict[str, BlockReport] = {}
        self._parts: dict[str, N8nPart] = {}
        self._ids: dict[str, str] = {}
        self._entries: dict[str, list[str]] = {}
        self._convert()

    def blocks(self) -> list[ImportedBlock]:
        """The report, after the flow is finished: nodes that cannot be reached are left out."""
        for name, report in self._reports.items():
            had_nodes = bool(report.nodes)
            report.nodes = [node for node in report.nodes if node in self.builder.nodes]
            if had_nodes and not report.nodes and report.status != "left-out" and name in self._parts:
                report.clear()
                report.add("unreachable")
        return [report.finished() for report in self._reports.values()]

    def _convert(self) -> None:
        start = self.builder.new_id(TRIGGER)
        nodes = self.workflow.nodes
        triggers = [node for node in nodes.values() if _is_trigger(node) and not node.is_disabled]
        triggers.sort(key=lambda node: node.type in _LAST_CHOICE)
        for node in nodes.values():
            self._reports[node.name] = BlockReport(text(node.raw.get("id")) or node.name, node.type, node.name)
        self._add_trigger(start, triggers)
        for node in self._in_order(triggers):
            if node in triggers:
                continue
            self._ids[node.name] = self.builder.new_id(node.name)
            self._parts[node.name] = self._part(node)
            for node_id in self._reports[node.name].nodes:
                self.report_of[node_id] = self._reports[node.name]
        self._wire(start, triggers)

    def _in_order(self, triggers: list[N8nNode]) -> list[N8nNode]:
        """The nodes in the order in which they run, so that what a node outputs is known before it is used."""
        found: dict[str, None] = {}
        for first in (*(node.name for node in triggers), *self.workflow.nodes):
            pending = [first]
            while pending:
                name = pending.pop(0) if len(pending) < 1000 else pending.pop()
                if name not in found:
                    found[name] = None
                    pending += [target for output in self.workflow.outputs.get(name, []) for target in output]
        return [self.workflow.nodes[name] for name in found]

    def _add_trigger(self, start: str, triggers: list[N8nNode]) -> None:
        at = triggers[0].at if triggers else (-264.0, 0.0)
        label = triggers[0].name[:200] if triggers else "Start"
        self.builder.add(start, "webhook", {"mode": "trigger", "label": label}, at)
        for index, node in enumerate(triggers):
            report = self._reports[node.name]
            report.nodes.append(start)
            self._scope.data[node.name] = NodeData("trigger", trigger=node.type)
            if index:
                report.add("second-trigger")
            if node.type in _SCHEDULES:
                report.add("schedule", times=_times(node))
            elif node.type not in _OWN_TRIGGERS:
                report.add("trigger-changed", product=node.type.removesuffix("Trigger") or node.type)

    def _part(self, node: N8nNode) -> N8nPart:
        report = self._reports[node.name]
        expressions = N8nExpressions(node.name, self._scope, report)
        call = N8nCall(node, self._scope, report, expressions, self._ids[node.name])
        if node.is_disabled:
            return call.passes("disabled")
        if node.type == "stickyNote":
            report.add("comment")
            return N8nPart()
        convert = _CONVERSIONS.get(node.type)
        part = None
        if convert is not None:
            part = convert(call)
        else:
            report.add(_LEFT_OUT.get(node.type, "service" if _has_credentials(node) else "unsupported"))
        if part is None:
            kind = "passes" if node.type == "respondToWebhook" else "unknown"
            self._scope.data[node.name] = NodeData("passes" if kind == "passes" else "unknown")
            part = call.add("delay", placeholder(node.name))
            self.builder.nodes[self._ids[node.name]]["data"] = placeholder(node.name)
        return part

    def _wire(self, start: str, triggers: list[N8nNode]) -> None:
        roots = [name for node in triggers for output in self._outputs(node.name) for name in output]
        if not triggers:
            roots = [name for name in self._parts if not self.workflow.sources[name] and self._parts[name].entry]
            for name in roots[:1]:
                self._reports[name].add("trigger-added")
        if not self._parts:
            raise ImportRefused("the workflow has no node besides its trigger")
        for name in roots:
            for entry in self._entry(name):
                self.builder.connect(start, "out", entry)
        for name, part in self._parts.items():
            if part.entry is None:
                continue
            outputs = self._outputs(name)
            for handles, targets in zip(part.exits, outputs, strict=False):
                for target in targets:
                    for entry in self._entry(target):
                        for handle in handles:
                            self.builder.connect(part.entry, handle, entry)

    def _outputs(self, name: str) -> list[list[str]]:
        return self.workflow.outputs.get(name, [])

    def _entry(self, name: str) -> list[str]:
        """The nodes that run when a node is reached: itself, or what follows it if it needs no node."""
        if name in self._entries:
            return self._entries[name]
        found: dict[str, None] = {}
        seen: set[str] = set()
        pending = [name]
        while pending:
            current = pending.pop(0)
            if current in seen or current not in self._parts:
                continue
            seen.add(current)
            entry = self._parts[current].entry
            if entry is not None:
                found[entry] = None
            else:
                pending = [target for output in self._outputs(current)[:1] for target in output] + pending
        self._entries[name] = list(found)
        return self._entries[name]


def _is_trigger(node: N8nNode) -> bool:
    return node.type in _OWN_TRIGGERS | _SCHEDULES or node.type.endswith("Trigger")


def _has_credentials(node: N8nNode) -> bool:
    return bool(mapping(node.raw.get("credentials")))


def _times(node: N8nNode) -> str:
    """The times of a schedule, as far as they are fields."""
    rules: list[dict[str, Any]] = objects(node.part("rule").get("interval"))
    rules += objects(node.part("triggerTimes").get("item"))
    words = [f"{name} {text(value)}" for rule in rules[:5] for name, value in rule.items() if text(value)]
    return ", ".join(words) or "see n8n"
