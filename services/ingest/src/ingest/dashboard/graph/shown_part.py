"""The part of a large graph that a page shows: the nodes that matter, and those next to them."""

from collections.abc import Iterable

from ingest.dashboard.graph.graph_types import FlowGraph


def part_around(graph: FlowGraph, centers: Iterable[str], most: int) -> FlowGraph:
    """At most `most` nodes: `centers` in their order, then the nodes nearest to them, then the first ones. The edges
    between them stay. A graph that is small enough is returned as it is."""
    if len(graph.nodes) <= most:
        return graph
    neighbours: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        neighbours[edge.source].append(edge.target)
        neighbours[edge.target].append(edge.source)
    kept: dict[str, None] = {}
    waiting = [name for name in dict.fromkeys(centers) if name in neighbours]
    for start in [None, *(node.id for node in graph.nodes)]:
        if start is not None:
            waiting = [start]
        for name in waiting:  # It grows: a search by distance.
            if len(kept) == most:
                break
            if name not in kept:
                kept[name] = None
                waiting += neighbours[name]
    nodes = tuple(node for node in graph.nodes if node.id in kept)
    edges = tuple(edge for edge in graph.edges if edge.source in kept and edge.target in kept)
    return FlowGraph(nodes, edges)
