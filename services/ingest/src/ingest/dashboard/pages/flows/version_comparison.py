"""Two versions of a flow on one layout: what was added, removed and changed, in the picture and as a list."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup

from filas.flows.definition.node_handles import default_handles
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.graph.drawing import EdgeLook, NodeLook, Picture, draw
from ingest.dashboard.graph.graph_types import FlowGraph, GraphEdge, Layout, read_graph
from ingest.dashboard.graph.labels import place_labels
from ingest.dashboard.graph.shown_part import part_around
from ingest.dashboard.page_types import Html, PageAnswer, PageCall, Redirect
from ingest.dashboard.pages.executions.execution_page import ALL_NODES, icons
from ingest.dashboard.pages.executions.execution_picture import LAYOUTS, MAX_SHOWN, node_names, type_word
from ingest.dashboard.pages.executions.relative_links import query_links

MARKS: Final = {"added": "+", "removed": "\N{MINUS SIGN}", "changed": "≠"}
CSS: Final = {"added": "completed", "removed": "dead", "changed": "failed"}
"""The colour of each kind of change; its mark and its word are always beside it."""

MAX_LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class UnitedGraph:
    """The nodes and edges of both versions. `nodes` and `edges` have the change of each; those that are equal have
    none. `edges` are in the order of the graph."""

    graph: FlowGraph
    nodes: Mapping[str, str]
    edges: Sequence[str]


def united(before: Mapping[str, Any], after: Mapping[str, Any], changed: set[str]) -> UnitedGraph:
    """The nodes of both versions in one graph. A node that both have keeps the position that it has in `before`, so
    that nothing moves when the versions are changed over."""
    old, new = read_graph(before), read_graph(after)
    old_nodes, new_nodes = {node.id: node for node in old.nodes}, {node.id: node for node in new.nodes}
    nodes = tuple(old_nodes.values()) + tuple(node for name, node in new_nodes.items() if name not in old_nodes)
    kinds = {name: "removed" for name in old_nodes if name not in new_nodes}
    kinds |= {name: "added" for name in new_nodes if name not in old_nodes}
    kinds |= {name: "changed" for name in changed if name in old_nodes and name in new_nodes}
    ways = (_ways(old, default_handles(before)), _ways(new, default_handles(after)))
    edges: dict[tuple[str, str, str], GraphEdge] = {**ways[1], **ways[0]}
    edge_kinds = ["removed" if way not in ways[1] else "added" if way not in ways[0] else "" for way in edges]
    return UnitedGraph(FlowGraph(nodes, tuple(edges.values())), kinds, edge_kinds)


def _ways(graph: FlowGraph, handles: Mapping[str, str]) -> dict[tuple[str, str, str], GraphEdge]:
    """The edges by source, handle and target."""
    return {(edge.source, edge.handle or handles.get(edge.source, "out"), edge.target): edge for edge in graph.edges}


async def show_comparison(call: PageCall) -> PageAnswer:
    """Shows two versions of a flow on one layout."""
    first, dots, second = call.path["pair"].partition("..")
    if not dots or not _is_number(first) or not _is_number(second):
        raise ApiProblem(404, "Not found", "name two versions: /versions/3..5")
    flow_id = call.path["id"]
    chosen = call.query.get("from"), call.query.get("to")
    if all(number and _is_number(number) for number in chosen):
        return Redirect(f"/dashboard/flows/{quote(flow_id, safe='')}/versions/{chosen[0]}..{chosen[1]}")
    before = (await call.api.call("getFlow", path={"id": flow_id}, query={"version": first})).data
    after = (await call.api.call("getFlow", path={"id": flow_id}, query={"version": second})).data
    path = {"id": flow_id, "before": first, "after": second}
    compared = (await call.api.call("compareFlowVersions", path=path)).data
    newest = await call.api.part("listFlowVersions", path={"id": flow_id}, query={"limit": 1})
    picture = await _picture(call, before, after, compared)
    return _rendered(call, before, after, compared, picture, newest.data[0].version if newest.ok else after.version)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0


def _rendered(call: PageCall, before: Any, after: Any, compared: Any, picture: Any, newest: int) -> Html:
    names = {**node_names(before.definition), **node_names(after.definition)}
    return call.render(
        "flows/compare.html",
        before=before,
        after=after,
        compared=compared,
        listed=compared.differences if call.query.get("all") else compared.differences[:MAX_LISTED],
        picture=picture,
        names=names,
        newest=newest,
        marks=MARKS,
        css=CSS,
        address=f"/dashboard/flows/{quote(after.id, safe='')}",
        query_of=query_links(call),
    )


async def _picture(call: PageCall, before: Any, after: Any, compared: Any) -> tuple[Markup, int, int]:
    changed = {one.name for one in compared.differences if one.part == "node"}
    both = await asyncio.to_thread(united, before.definition, after.definition, changed)
    most = ALL_NODES if call.query.get("graph") == "all" else MAX_SHOWN
    graph = part_around(both.graph, [*both.nodes], most)
    part = None if graph is both.graph else frozenset(node.id for node in graph.nodes)
    key = ("versions", before.id, before.version, after.version, before.created_at, after.created_at, part)
    layout = await call.request.config_dict[LAYOUTS].layout(key, graph)
    svg = await asyncio.to_thread(_drawn, call, before, after, both, graph, layout)
    return svg, len(graph.nodes), len(both.graph.nodes)


def _drawn(call: PageCall, before: Any, after: Any, both: UnitedGraph, graph: FlowGraph, layout: Layout) -> Markup:
    reader = call.reader
    names = {**node_names(before.definition), **node_names(after.definition)}
    types = {
        node["id"]: str(node.get("type"))
        for flow in (before, after)
        for node in flow.definition.get("nodes") or ()
        if isinstance(node, dict) and isinstance(node.get("id"), str)
    }

    def look(node_id: str) -> NodeLook:
        kind, word = both.nodes.get(node_id, ""), type_word(reader, types.get(node_id, ""))
        name, state = names.get(node_id, node_id), reader.text(f"flows.kind-{kind or 'same'}")
        return NodeLook(
            name=name,
            type=types.get(node_id, ""),
            state=CSS.get(kind, "pale"),
            mark=MARKS.get(kind, ""),
            status=state if kind else word,
            description=f"{name} ({word}): {state}",
            address="#differences" if kind else None,
        )

    kinds = dict(zip(both.graph.edges, both.edges, strict=True))
    labels = [f"{MARKS.get(kinds[edge], '')} {edge.handle or ''}".strip() for edge in graph.edges]
    looks = [
        EdgeLook(taken=bool(kinds[edge]), label=label, css=kinds[edge], title=_edge_title(call, edge, kinds[edge]))
        for edge, label in zip(graph.edges, labels, strict=True)
    ]
    placed = Layout(layout.boxes, tuple(place_labels(layout.lines, labels, layout.boxes)), layout.area)
    title = reader.text("flows.comparison-picture", before=before.version, after=after.version)
    nodes = {node.id: look(node.id) for node in graph.nodes}
    return draw(placed, nodes, looks, Picture(title=title, id_prefix="both", icons=icons()))


def _edge_title(call: PageCall, edge: GraphEdge, kind: str) -> str:
    if not kind:
        return ""
    return f"{edge.source} → {edge.target}: {call.reader.text(f'flows.kind-{kind}')}"
