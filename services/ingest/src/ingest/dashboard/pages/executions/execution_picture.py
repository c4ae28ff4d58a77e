"""The picture of an execution: the graph of its flow with the path taken, its order, states and times."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web
from markupsafe import Markup

from filas.flows.definition.node_handles import default_handles
from filas.models.executions import ExecutionWithSteps, StepRecord
from ingest.dashboard.graph.drawing import EdgeLook, NodeLook, Picture, draw
from ingest.dashboard.graph.graph_types import FlowGraph, Layout, read_graph
from ingest.dashboard.graph.layout_cache import LayoutCache
from ingest.dashboard.graph.path_taken import PathTaken, path_taken
from ingest.dashboard.graph.shown_part import part_around
from ingest.dashboard.page_types import PageCall
from ingest.dashboard.pages.executions.relative_links import query_links
from ingest.dashboard.presentation import figures
from ingest.dashboard.presentation.states import look_of
from ingest.dashboard.presentation.texts import Reader

LAYOUTS: Final = web.AppKey("layouts", LayoutCache)

MAX_SHOWN: Final = 24
"""How many nodes are drawn unless the reader asks for all."""

_NAMED_ORDERS: Final = 3
TIMES: Final = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True)
class ShownFlow:
    """The drawn part of a flow. `shown` of `total` nodes are in it."""

    svg: Markup
    shown: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOrder:
    """What to draw: `definition` in `version` of the flow, stored at `created_at`. `selected` is the number of a step,
    `node` the id of a node. `most` bounds the nodes. `prefix` makes the ids of the picture different. `links` is the
    page that shows a step, by default the present one."""

    definition: Mapping[str, Any]
    created_at: datetime
    execution: ExecutionWithSteps
    selected: int | None = None
    node: str | None = None
    most: int = MAX_SHOWN
    prefix: str = "flow"
    icons: str | None = None
    links: str | None = None


async def picture_of(call: PageCall, order: PictureOrder) -> ShownFlow:
    """Draws the flow of an execution, in threads: a large flow takes longer than the event loop may be blocked."""
    execution = order.execution
    whole, graph = await asyncio.to_thread(_graphs, order)
    key = (execution.flow_id, execution.version, order.created_at, _part_key(whole, graph))
    layout = await call.request.config_dict[LAYOUTS].layout(key, graph)
    svg = await asyncio.to_thread(_drawn, call, order, graph, layout)
    return ShownFlow(svg, len(graph.nodes), len(whole.nodes))


def _graphs(order: PictureOrder) -> tuple[FlowGraph, FlowGraph]:
    """The graph of the flow, and the part of it that is shown."""
    whole, steps = read_graph(order.definition), order.execution.steps
    chosen = next((step.node_id for step in steps if step.seq == order.selected), order.node)
    visited = [step.node_id for step in reversed(steps)]
    return whole, part_around(whole, [*([chosen] if chosen else []), *visited], order.most)


def _drawn(call: PageCall, order: PictureOrder, graph: FlowGraph, layout: Layout) -> Markup:
    execution = order.execution
    taken = path_taken(graph, execution.steps, default_handles(order.definition))
    looks = _Looks(call, order, taken)
    title = call.reader.text("executions.picture", flow=execution.flow_id, version=execution.version)
    return draw(
        layout,
        {node.id: looks.node(node.id) for node in graph.nodes},
        [_edge_look(edge.handle, count) for edge, count in zip(graph.edges, taken.passes, strict=True)],
        Picture(title=title, id_prefix=order.prefix, icons=order.icons),
    )


def node_names(definition: Mapping[str, Any]) -> dict[str, str]:
    """The label of each node, or its id."""
    found = {}
    for node in definition.get("nodes") or ():
        if isinstance(node, dict) and isinstance(node.get("id"), str):
            data = node.get("data")
            label = data.get("label") if isinstance(data, dict) else None
            found[node["id"]] = label if isinstance(label, str) and label.strip() else node["id"]
    return found


def type_word(reader: Reader, node_type: str) -> str:
    """The word for a type of nodes."""
    message_id = f"node-types.{node_type}"
    return reader.text(message_id) if reader.has_text(message_id) else node_type


class _Looks:
    """How the nodes of one execution look."""

    def __init__(self, call: PageCall, order: PictureOrder, taken: PathTaken) -> None:
        self._call, self._order, self._taken = call, order, taken
        self._query_of = query_links(call)
        self._names = node_names(order.definition)
        nodes = order.definition.get("nodes") or ()
        self._types = {
            node["id"]: str(node.get("type"))
            for node in nodes
            if isinstance(node, dict) and isinstance(node.get("id"), str)
        }

    def node(self, node_id: str) -> NodeLook:
        reader, steps = self._call.reader, self._order.execution.steps
        node_type = self._types.get(node_id, "")
        name, word = self._names.get(node_id, node_id), type_word(reader, node_type)
        visits = [steps[place] for place in self._taken.visits.get(node_id, ())]
        if not visits:
            state = reader.text("executions.not-reached")
            return NodeLook(
                name=name,
                type=node_type,
                state="pale",
                status=word,
                description=f"{name} ({word}): {state}",
                address=self._address(node=node_id),
                selected=self._order.node == node_id,
            )
        last = visits[-1]
        look, state = look_of(last.status), reader.text(f"states.{last.status}")
        time = time_of(reader, visits)
        times = f" {TIMES}{len(visits)}" if len(visits) > 1 else ""
        order = _order_of(visits)
        return NodeLook(
            name=name,
            type=node_type,
            state=look.css,
            mark=look.shape,
            status=f"{state}{times}" + (f" · {time}" if time else ""),
            order=order,
            description=f"{order}. {name} ({word}): {state}{times}" + (f", {time}" if time else ""),
            address=self._address(step=str(last.seq)),
            selected=any(step.seq == self._order.selected for step in visits),
        )

    def _address(self, **choice: str) -> str:
        if self._order.links is not None:
            return f"{self._order.links}?{urlencode(choice)}"
        return self._query_of(**{"step": None, "node": None, **choice}) + "#step"


def time_of(reader: Reader, visits: Sequence[StepRecord]) -> str:
    """How long the visits lasted together; empty while one lasts."""
    if any(step.ended_at is None for step in visits):
        return ""
    seconds = sum((step.ended_at - step.started_at).total_seconds() for step in visits if step.ended_at is not None)
    return figures.duration(reader, max(seconds, 0.0))


def _order_of(visits: Sequence[StepRecord]) -> str:
    numbers = [str(step.seq) for step in visits]
    return ", ".join(numbers) if len(numbers) <= _NAMED_ORDERS else f"{', '.join(numbers[:2])} … {numbers[-1]}"


def _edge_look(handle: str | None, count: int) -> EdgeLook:
    if count > 1:
        return EdgeLook(
            taken=True, label=f"{handle} {TIMES}{count}" if handle and handle != "out" else f"{TIMES}{count}"
        )
    return EdgeLook(taken=count > 0)


def _part_key(whole: FlowGraph, graph: FlowGraph) -> frozenset[str] | None:
    return None if graph is whole else frozenset(node.id for node in graph.nodes)
