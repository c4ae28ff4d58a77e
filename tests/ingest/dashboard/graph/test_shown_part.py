"""The part of a large graph that a page shows."""

from ingest.dashboard.graph.graph_types import FlowGraph, GraphEdge, GraphNode
from ingest.dashboard.graph.shown_part import part_around


def chain(count: int) -> FlowGraph:
    names = [f"n{index}" for index in range(count)]
    edges = [GraphEdge(f"n{index}", f"n{index + 1}") for index in range(count - 1)]
    return FlowGraph(tuple(map(GraphNode, names)), tuple(edges))


def shown(graph: FlowGraph, *centers: str, most: int) -> list[str]:
    return [node.id for node in part_around(graph, centers, most).nodes]


def test_a_small_graph_is_shown_whole() -> None:
    """It is the same object."""
    graph = chain(5)
    assert part_around(graph, ["n1"], 5) is graph


def test_the_centers_and_their_neighbours_are_shown() -> None:
    """In the order of the definition, with the edges between them. An unknown center is ignored."""
    graph = chain(100)
    assert shown(graph, "n50", "gone", "n7", most=5) == ["n6", "n7", "n49", "n50", "n51"]
    part = part_around(graph, ["n50"], 3)
    assert part.edges == (GraphEdge("n49", "n50"), GraphEdge("n50", "n51"))


def test_without_centers_the_first_nodes_are_shown() -> None:
    """Also if they are in several parts."""
    assert shown(chain(100), most=3) == ["n0", "n1", "n2"]
    isolated = FlowGraph(tuple(GraphNode(name) for name in "abcd"), ())
    assert shown(isolated, "c", most=2) == ["a", "c"]
