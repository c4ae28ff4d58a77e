"""Makes a built flow publishable: what the checks of publishing refuse is changed or replaced, and reported."""

from collections.abc import Mapping
from typing import Any, Final

from filas.flows import publishing_checks
from filas.flows.definition import flow_graph
from filas.flows.imports.flow_builder import TRIGGER, Edge, FlowBuilder, ImportRefused
from filas.flows.imports.import_report import BlockReport
from filas.flows.problems import FlowProblem

_ROUNDS: Final = 4
_CYCLE_DELAY_MS: Final = 1000
_WAITING: Final = frozenset({"input", "subflow"})

Reports = Mapping[str, BlockReport]
"""The report of the block of each node."""


def finish(builder: FlowBuilder, report_of: Reports) -> tuple[dict[str, Any], list[FlowProblem]]:
    """Returns the definition, and the warnings of the checks. Raises ImportRefused if no flow can be made."""
    for _ in range(_ROUNDS):
        _remove_unreachable(builder)
        _delay_cycles(builder, report_of)
        definition = builder.definition()
        _, problems = publishing_checks.check(definition)
        errors = [one for one in problems if one.severity == "error"]
        if not errors:
            return definition, problems
        if not _repair(builder, errors, report_of):
            break
    raise ImportRefused(f"no flow that can be published can be made of it: {errors[0].message[:200]}")


def _repair(builder: FlowBuilder, errors: list[FlowProblem], report_of: Reports) -> bool:
    """Replaces each node that has an error. Returns whether there was one."""
    found = {one.node_id: one for one in errors if one.node_id in builder.nodes and one.node_id != TRIGGER}
    for node_id, problem in found.items():
        if node_id is not None:
            report = report_of.get(node_id)
            builder.replace(node_id, str(builder.nodes[node_id]["type"]))
            if report is not None:
                report.add("not-published", problem=f"{problem.field}: {problem.message}")
    return bool(found)


def _remove_unreachable(builder: FlowBuilder) -> None:
    successors: dict[str, list[str]] = {}
    for source, _, target in builder.edges:
        successors.setdefault(source, []).append(target)
    reached = flow_graph.reachable(successors, [TRIGGER])
    builder.remove([name for name in builder.nodes if name not in reached])


def _delay_cycles(builder: FlowBuilder, report_of: Reports) -> None:
    """Puts a delay into each edge that closes a cycle of nodes that do not wait."""
    closing = _closing_edges(builder)
    delays: dict[str, str] = {}
    for _, _, target in closing:
        if target not in delays:
            delays[target] = builder.new_id(target, "delay")
            at = builder.nodes[target]["position"]
            data = {"label": "Between two rounds", "ms": _CYCLE_DELAY_MS}
            builder.add(delays[target], "delay", data, (at["x"] - 240, at["y"]))
            if target in report_of:
                report_of[target].add("cycle-delayed")
    builder.edges = {((edge[0], edge[1], delays[edge[2]]) if edge in closing else edge): None for edge in builder.edges}
    for target, delay in delays.items():
        builder.connect(delay, "out", target)


def _closing_edges(builder: FlowBuilder) -> set[Edge]:
    """The edges that lead back, in a search in depth from each node. Without them, no cycle is left."""
    onward: dict[str, list[Edge]] = {name: [] for name in builder.nodes}
    for edge in builder.edges:
        node = builder.nodes[edge[0]]
        if not _waits(node) and not (node["type"] == "loop" and edge[1] == "loop"):
            onward[edge[0]].append(edge)
    closing: set[Edge] = set()
    entered: set[str] = set()
    left: set[str] = set()
    for start in builder.nodes:
        pending = [(start, False)]
        while pending:
            node_id, is_left = pending.pop()
            if is_left:
                left.add(node_id)
            elif node_id not in entered:
                entered.add(node_id)
                pending.append((node_id, True))
                for edge in onward[node_id]:
                    if edge[2] not in entered:
                        pending.append((edge[2], False))
                    elif edge[2] not in left:
                        closing.add(edge)
    return closing


def _waits(node: Mapping[str, Any]) -> bool:
    data = node["data"]
    if node["type"] == "webhook":
        return bool(data.get("mode") == "wait")
    return node["type"] in _WAITING or (node["type"] == "delay" and data.get("ms") != 0)
