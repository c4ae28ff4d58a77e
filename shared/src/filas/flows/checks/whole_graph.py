"""The checks of a whole graph. They examine the nodes whose data could be read."""

from collections.abc import Iterator, Mapping, Set
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Final

from filas.flows.checks.execution_order import NEVER, ExecutionOrder, OrderedNode
from filas.flows.checks.loop_steps import steps_of_item
from filas.flows.checks.waits import earliest, shown
from filas.flows.definition.flow_definition import Draft, Node
from filas.flows.expressions import cel
from filas.flows.nodes.input import InputData
from filas.flows.nodes.loop import LoopData
from filas.flows.nodes.node_data import FallibleData, NodeData
from filas.flows.problems import Report, Severity
from filas.flows.templates import template
from filas.flows.timing import cron_meaning, moments

_ALTERNATIVES: Final = ("default", "{%", "has(", "||", "&&", "?")
"""A template or an expression with one of these may be meant for a node that has not run."""


_IDLE: Final = "settings.conversation.idleMs"


def check_graph(draft: Draft, report: Report, now: datetime) -> None:
    """Reports what only the whole graph shows. `now` is the time after which the ticks of cron expressions are
    shown."""
    nodes = {each.node.id: each.node for each in draft.nodes if each.sound}
    _check_error_edges(draft, nodes, report)
    _check_waits(draft, nodes, report)
    _check_crons(draft, nodes, report, now)
    if len(nodes) == len(draft.head.nodes):
        # The order is known only if every node is.
        ordered = ordered_nodes(draft, nodes)
        _check_order(nodes, ordered, report)
        _check_loops(draft, ordered, report)


def ordered_nodes(draft: Draft, nodes: Mapping[str, Node]) -> dict[str, OrderedNode]:
    """The nodes with their edges, for ExecutionOrder."""
    targets: dict[str, dict[str | None, list[str]]] = {node_id: {} for node_id in nodes}
    for edge in draft.edges:
        if edge is not None and edge.source in nodes and edge.target in nodes:
            handles = nodes[edge.source].data.handles()
            handle = edge.source_handle or (handles[0] if len(handles) == 1 else None)
            targets[edge.source].setdefault(handle, []).append(edge.target)
    return {
        node_id: OrderedNode(node.data.handles(), targets[node_id], node.data.repeats() is not None)
        for node_id, node in nodes.items()
    }


def _check_error_edges(draft: Draft, nodes: Mapping[str, Node], report: Report) -> None:
    left = {edge.source for edge in draft.edges if edge is not None and edge.source_handle == "error"}
    for node in nodes.values():
        data = node.data
        branches = isinstance(data, FallibleData) and data.on_error == "branch" and "error" in data.handles()
        if branches and node.id not in left:
            message = "is branch, and no edge leaves by the handle error: connect it, or write fail or continue"
            report.add(node.id, "onError", message, "error-edge-missing")


def _check_order(nodes: Mapping[str, Node], ordered: Mapping[str, OrderedNode], report: Report) -> None:
    starts = [node.id for node in nodes.values() if node.data.starts()]
    if not starts:
        return
    order = ExecutionOrder(ordered, starts)
    for node in nodes.values():
        for field, text, reference in _references(node):
            root, used = (*reference, None)[:2]
            if root != "nodes" or not isinstance(used, str) or used not in nodes:
                continue
            doubt = order.doubt(used, node.id)
            if doubt == NEVER:
                message = f"uses node {used}, which cannot have run before: no path leads from {used} to {node.id}"
                report.add(node.id, field, message, "used-before-run")
            elif doubt is not None and "rules[" not in field and not any(part in text for part in _ALTERNATIVES):
                message = f"uses node {used}, which may not have run before: a path leads to {node.id} without it; "
                report.add(node.id, field, message + "use the filter default", "may-not-have-run", "warning")


def _references(node: Node) -> Iterator[tuple[str, str, template.Reference]]:
    for field, value in node.data.templates():
        try:
            for path, text in template.texts(value):
                for reference in template.parse(text).references:
                    yield field + path, text, reference
        except template.TemplateError:
            continue  # The checks of the node report it.
    for field, text in node.data.expressions():
        for reference in cel.references(text):
            yield field, text, reference


def _check_waits(draft: Draft, nodes: Mapping[str, Node], report: Report) -> None:
    limit = draft.head.settings.timeout_ms
    of_flow = f"the flow's settings.timeoutMs, {limit} ms ({shown(limit)})"
    instead = "raise settings.timeoutMs or shorten it"
    too_long = set()
    idle_ms = draft.head.settings.conversation.idle_ms
    if idle_ms > limit and _IDLE in draft.given:
        for node in nodes.values():
            if isinstance(node.data, InputData) and node.data.timeout_ms is None:
                message = (
                    f"waits for {_IDLE}, {idle_ms} ms ({shown(idle_ms)}), which is longer than {of_flow}, so the "
                    f"execution ends first: {instead}"
                )
                report.add(node.id, "timeoutMs", message, "longer-than-timeout")
    for node in nodes.values():
        for field, ms in node.data.waits_ms():
            if ms < limit:
                continue
            too_long.add(node.id)
            severity: Severity = "error" if ms > limit else "warning"
            relation = "is longer than" if ms > limit else "is as long as"
            message = f"{ms} ms ({shown(ms)}) {relation} {of_flow}, so the execution ends first: {instead}"
            report.add(node.id, field, message, "longer-than-timeout", severity)
    if too_long:
        return
    successors: dict[str, list[str]] = {node_id: [] for node_id in nodes}
    for edge in draft.edges:
        if edge is not None and edge.source in nodes and edge.target in nodes:
            successors[edge.source].append(edge.target)
    starts = [node.id for node in nodes.values() if node.data.starts()]
    delays = {node.id: node.data.delay_ms() for node in nodes.values()}
    ends = earliest(successors, starts, delays)
    for node_id, ms in ends.items():
        # Only the first delay that exceeds the limit, not everything behind it.
        if delays[node_id] and ms >= limit > ms - delays[node_id]:
            message = f"the delays up to here take {ms} ms ({shown(ms)}), longer than {of_flow}: {instead}"
            report.add(node_id, "", message, "delays-longer-than-timeout", "warning")


def _check_crons(draft: Draft, nodes: Mapping[str, Node], report: Report, now: datetime) -> None:
    limit_ms = draft.head.settings.timeout_ms
    for node in nodes.values():
        for field, expression, zone in node.data.crons():
            for severity, message in cron_meaning.findings(expression, zone, now):
                report.add(node.id, field, message, "cron-meaning", severity)
            try:
                ticks = list(islice(moments.moments(expression, zone, now), cron_meaning.SHOWN))
            except ValueError:
                continue  # The checks of the node report it.
            if not ticks:
                report.add(node.id, field, f"{expression!r} has no tick in the next years", "cron-meaning")
            gap = max((after - before for before, after in pairwise(ticks)), default=timedelta())
            gap_ms = int(gap.total_seconds() * 1000)
            if gap_ms > limit_ms:
                of_flow = f"the flow's settings.timeoutMs, {limit_ms} ms ({shown(limit_ms)})"
                message = f"up to {shown(gap_ms)} pass between two ticks, longer than {of_flow}"
                report.add(node.id, field, message, "longer-than-timeout", "warning")


def _check_loops(draft: Draft, ordered: Mapping[str, OrderedNode], report: Report) -> None:
    loops = [(each.node, each.reader.given) for each in draft.nodes if isinstance(each.node.data, LoopData)]
    all_count = "settings.maxSteps" in draft.given
    items = {node.id: most for node, given in loops if (most := _most_items(node.data, given, all_count)) is not None}
    limit = draft.head.settings.max_steps
    for loop_id, count in items.items():
        each = steps_of_item(ordered, loop_id, items)
        if count * each + 1 <= limit:
            continue
        fits = max((limit - 1) // each, 0)
        message = (
            f"{count:,} items of up to {each:,} steps need {count * each + 1:,} steps, and the flow's "
            f"settings.maxSteps is {limit:,}: it would end after about {fits:,} items; "
            "raise maxSteps or lower maxIterations"
        )
        report.add(loop_id, "maxIterations", message, "loop-exceeds-steps", "warning")


def _most_items(data: NodeData, given: Set[str], counts_default: bool) -> int | None:
    """The number of items of a fixed list, otherwise the largest number that the loop accepts. `counts_default`:
    also if its author has not written that number. None: nothing is known about the number of items."""
    if not isinstance(data, LoopData):
        return None
    try:
        parsed = template.parse(data.items)
        found = None if parsed.references else parsed.evaluate({})
    except template.TemplateError:
        found = None
    if isinstance(found, list):
        return min(len(found), data.max_iterations)
    return data.max_iterations if counts_default or "maxIterations" in given else None
