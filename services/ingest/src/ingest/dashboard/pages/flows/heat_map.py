"""The heat map of a flow: traffic on its edges, failures and times on its nodes, and where executions end."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from babel.numbers import format_compact_decimal
from markupsafe import Markup

from filas.models.traffic import EdgeTraffic, FlowTraffic, NodeTraffic
from ingest.dashboard.graph.drawing import EdgeLook, NodeLook, Picture, draw
from ingest.dashboard.graph.graph_types import FlowGraph, GraphEdge, Layout, read_graph
from ingest.dashboard.graph.labels import MAX_LABEL_CHARS, place_labels, shortened
from ingest.dashboard.graph.shown_part import part_around
from ingest.dashboard.page_types import PageCall
from ingest.dashboard.pages.executions.execution_page import icons
from ingest.dashboard.pages.executions.execution_picture import LAYOUTS, TIMES, node_names, type_word
from ingest.dashboard.presentation import figures
from ingest.dashboard.presentation.states import look_of
from ingest.dashboard.presentation.texts import Reader

MANY_FAILURES: Final = 0.1
"""The share of failed visits from which a node looks dead, not failed."""

WIDTHS: Final = 5
"""The classes of the width of an edge: each but the last is up to a quarter of the one after it."""

SHORTENED_FROM: Final = 10_000

FAILED_ENDINGS: Final = ("failed", "timed-out")


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The picture, of `shown` of `total` nodes."""

    svg: Markup
    shown: int
    total: int


async def heat_map(
    call: PageCall, flow: Any, traffic: FlowTraffic, links: "ExecutionLinks", most: int, chosen: str | None
) -> HeatMap:
    """Draws the traffic, in threads: a large flow takes longer than the event loop may be blocked."""
    whole = await asyncio.to_thread(read_graph, flow.definition)
    busy = sorted(traffic.nodes, key=lambda node: -node.visits)
    centers = [*([chosen] if chosen else []), *(node.node_id for node in busy)]
    graph = part_around(whole, centers, most)
    part = None if graph is whole else frozenset(node.id for node in graph.nodes)
    layout = await call.request.config_dict[LAYOUTS].layout((flow.id, flow.version, flow.created_at, part), graph)
    svg = await asyncio.to_thread(_drawn, call, flow, graph, layout, traffic, links, chosen)
    return HeatMap(svg, len(graph.nodes), len(whole.nodes))


class ExecutionLinks:
    """The addresses of the executions behind the figures of a flow since a time."""

    def __init__(self, flow_id: str, period: Mapping[str, str]) -> None:
        self._query = {"flowId": flow_id, **period}

    def of_node(self, node_id: str, status: str = "") -> str:
        """Executions that visited the node; `status` is that of the step."""
        return self._address(nodeId=node_id, **({"stepStatus": status} if status else {}))

    def of_edge(self, edge: EdgeTraffic) -> str:
        """Executions that left the source by the edge's handle."""
        return self._address(nodeId=edge.source, handle=edge.source_handle)

    def of_ending(self, node_id: str, status: str) -> str:
        """Executions with this status that visited the node."""
        return self._address(nodeId=node_id, status=status)

    def _address(self, **filters: str) -> str:
        return f"/dashboard/executions?{urlencode({**self._query, **filters})}"


def _drawn(
    call: PageCall,
    flow: Any,
    graph: FlowGraph,
    layout: Layout,
    traffic: FlowTraffic,
    links: ExecutionLinks,
    chosen: str | None,
) -> Markup:
    reader, names = call.reader, node_names(flow.definition)
    types = {
        node["id"]: str(node.get("type"))
        for node in flow.definition.get("nodes") or ()
        if isinstance(node, dict) and isinstance(node.get("id"), str)
    }
    by_node = {node.node_id: node for node in traffic.nodes}
    edges = edges_in_order(graph.edges, traffic.edges)
    most = max((edge.count for edge in edges), default=0)
    counts = [short_number(reader, edge.count) if edge.count else "" for edge in edges]
    labels = [_label(drawn.handle, count) for drawn, count in zip(graph.edges, counts, strict=True)]
    looks = [
        EdgeLook(
            taken=edge.count > 0,
            label=label,
            css=f"w{width_class(edge.count, most)}" if edge.count else "",
            title=reader.text(
                "flows.edge-title", source=edge.source, handle=edge.source_handle, target=edge.target,
                count=edge.count, shown_count=figures.number(reader, edge.count),
            ),
            address=links.of_edge(edge) if edge.count else None,
        )
        for edge, label in zip(edges, labels, strict=True)
    ]  # fmt: skip
    placed = replace(layout, lines=tuple(place_labels(layout.lines, labels, layout.boxes)))
    nodes = {
        node.id: _node_look(call, by_node.get(node.id), names.get(node.id, node.id), types.get(node.id, ""), chosen)
        for node in graph.nodes
    }
    title = reader.text("flows.picture", flow=flow.id, version=flow.version)
    return draw(placed, nodes, looks, Picture(title=title, id_prefix="heat", icons=icons()))


def edges_in_order(drawn: Sequence[GraphEdge], counted: Sequence[EdgeTraffic]) -> list[EdgeTraffic]:
    """The traffic of each drawn edge. An edge of the definition without a handle has the first one of its source."""
    found: dict[tuple[str, str, str | None], EdgeTraffic] = {}
    for edge in counted:
        found[edge.source, edge.target, edge.source_handle] = edge
        found.setdefault((edge.source, edge.target, None), edge)
    nothing = EdgeTraffic(source="", source_handle="", target="", count=0)
    return [
        found.get((edge.source, edge.target, edge.handle)) or found.get((edge.source, edge.target, None)) or nothing
        for edge in drawn
    ]


def width_class(count: int, most: int) -> int:
    """The class of the width of an edge, from 1 to WIDTHS, by its share of the largest count."""
    share, found = count / most if most else 0.0, WIDTHS
    while found > 1 and share <= 0.25:
        share, found = share * 4, found - 1
    return found


def heat_of(node: NodeTraffic) -> str:
    """The state with which a node is drawn."""
    if not node.visits:
        return "pale"
    if not node.failures:
        return "completed"
    return "dead" if node.failures >= MANY_FAILURES * node.visits else "failed"


def _label(handle: str | None, count: str) -> str:
    # The count stays whole: the name is shortened.
    name = shortened(handle, MAX_LABEL_CHARS - len(count) - 1) if handle and handle != "out" else ""
    return f"{name} {count}".strip()


def short_number(reader: Reader, value: int) -> str:
    """The number, or from 10,000 on the thousands: `26K`, `26 mil`. The tables have all digits."""
    if value < SHORTENED_FROM:
        return figures.number(reader, value)
    return format_compact_decimal(value, locale=reader.locale)


def _node_look(call: PageCall, node: NodeTraffic | None, name: str, node_type: str, chosen: str | None) -> NodeLook:
    reader = call.reader
    word = type_word(reader, node_type)
    if node is None or not (node.visits or node.endings or node.waiting):
        text = reader.text("flows.no-visits")
        look = NodeLook(name=name, type=node_type, state="pale", status=word, description=f"{name} ({word}): {text}")
        if node is None:
            return look
        return replace(look, address=_address(call, node.node_id), selected=chosen == node.node_id)
    state, visits = heat_of(node), short_number(reader, node.visits)
    facts = [f"{visits}{TIMES}"]
    if node.failures:
        facts = [f"{short_number(reader, node.failures)}/{visits} {reader.text('flows.failed-short')}"]
    if node.p95_ms is not None:
        facts.append(figures.duration(reader, node.p95_ms / 1000))
    return NodeLook(
        name=name,
        type=node_type,
        state=state,
        mark={"dead": "✕", "failed": "!"}.get(state, ""),
        status=" · ".join(facts),
        pills=_pills(call, node),
        description=f"{name} ({word}): {'; '.join(_sentences(call, node))}",
        address=_address(call, node.node_id),
        selected=chosen == node.node_id,
    )


def _sentences(call: PageCall, node: NodeTraffic) -> list[str]:
    """What a screen reader reads of the figures of a node."""
    reader = call.reader

    def counted(message_id: str, count: int) -> str:
        return reader.text(message_id, count=count, shown_count=figures.number(reader, count))

    found = [counted("flows.visits", node.visits)]
    if node.failures:
        found.append(counted("flows.failures-of-node", node.failures))
    if node.p95_ms is not None:
        found.append(reader.text("flows.p95-of-node", span=figures.duration(reader, node.p95_ms / 1000)))
    if node.endings:
        found.append(f"{reader.text('flows.ended-here')}: {endings_text(call, node.endings)}")
    if node.waiting:
        found.append(counted("flows.waiting-of-node", node.waiting))
    return found


def endings_text(call: PageCall, endings: Mapping[str, int]) -> str:
    """`12 failed, 3 timed out`."""
    reader = call.reader
    return ", ".join(
        f"{figures.number(reader, count)} {reader.text(f'states.{status}')}" for status, count in endings.items()
    )


def _pills(call: PageCall, node: NodeTraffic) -> tuple[tuple[str, str], ...]:
    reader, found = call.reader, []
    bad = sum(node.endings.get(status, 0) for status in FAILED_ENDINGS)
    cancelled, good = node.endings.get("cancelled", 0), node.endings.get("succeeded", 0)
    for state, count in (("succeeded", good), ("cancelled", cancelled), ("failed", bad)):
        if count:
            found.append((look_of(state).css, f"{look_of(state).shape} {short_number(reader, count)}"))
    if node.waiting:
        found.append(("delayed", f"{look_of('waiting-input').shape} {short_number(reader, node.waiting)}"))
    return tuple(found)


def _address(call: PageCall, node_id: str) -> str:
    return "?" + call.with_query(node=node_id).partition("?")[2] + "#node"
