"""The path of an execution: which edges it took, and how often."""

from dataclasses import dataclass

from ingest.dashboard.graph.graph_types import FlowGraph, GraphEdge, GraphNode
from ingest.dashboard.graph.path_taken import path_taken


@dataclass(frozen=True)
class Step:
    """A step as the path needs it."""

    seq: int
    node_id: str
    handle: str | None


def passes(edges: list[GraphEdge], *visits: tuple[str, str | None]) -> list[int]:
    names = dict.fromkeys(name for edge in edges for name in (edge.source, edge.target))
    graph = FlowGraph(tuple(map(GraphNode, names)), tuple(edges))
    steps = [Step(seq, node_id, handle) for seq, (node_id, handle) in enumerate(visits, start=1)]
    return path_taken(graph, steps, {"ask": "true"}).passes


def test_only_the_edge_of_the_handle_is_taken() -> None:
    """An edge without a handle leaves by the first handle of its node."""
    edges = [GraphEdge("ask", "yes"), GraphEdge("ask", "no", "false"), GraphEdge("yes", "end", "out")]
    assert passes(edges, ("ask", "true"), ("yes", "out"), ("end", None)) == [1, 0, 1]
    assert passes(edges, ("ask", "false"), ("no", "out")) == [0, 1, 0]


def test_an_edge_to_a_node_that_was_not_reached_is_not_taken() -> None:
    """Of two edges of one handle, the second one follows only after everything behind the first."""
    edges = [GraphEdge("a", "b", "out"), GraphEdge("a", "c", "out"), GraphEdge("b", "d", "out")]
    assert passes(edges, ("a", "out"), ("b", None)) == [1, 0, 0]
    assert passes(edges, ("a", "out"), ("b", "out"), ("d", "out"), ("c", "out")) == [1, 1, 1]


def test_a_loop_counts_each_pass() -> None:
    """The edges of the body are taken once for each item."""
    edges = [GraphEdge("loop", "send", "loop"), GraphEdge("send", "loop", "out"), GraphEdge("loop", "end", "done")]
    visits = [("loop", "loop"), ("send", "out"), ("loop", "loop"), ("send", "out"), ("loop", "done"), ("end", None)]
    assert passes(edges, *visits) == [2, 2, 1]


def test_parallel_edges_of_one_handle_are_taken_one_after_the_other() -> None:
    """Each visit of the target belongs to one edge."""
    edges = [GraphEdge("a", "b", "out"), GraphEdge("a", "b", "out")]
    assert sorted(passes(edges, ("a", "out"), ("b", "out"))) == [0, 1]
    assert passes(edges, ("a", "out"), ("b", "out"), ("b", "out")) == [1, 1]


def test_a_self_loop_is_taken_by_the_next_visit() -> None:
    """A node that asks again leaves by an edge to itself."""
    edges = [GraphEdge("ask", "ask", "invalid"), GraphEdge("ask", "end", "out")]
    assert passes(edges, ("ask", "invalid"), ("ask", "invalid"), ("ask", "out"), ("end", None)) == [2, 1]


def test_steps_of_a_subflow_belong_to_no_node() -> None:
    """The subflow's own nodes are not in the graph."""
    edges = [GraphEdge("a", "price", "out"), GraphEdge("price", "b", "out")]
    graph = FlowGraph(tuple(map(GraphNode, ["a", "price", "b"])), tuple(edges))
    steps = [Step(1, "a", "out"), Step(2, "price", "out"), Step(3, "price/ask", "out"), Step(4, "b", None)]
    found = path_taken(graph, steps, {})
    assert found.visits == {"a": [0], "price": [1], "b": [3]}
    assert found.passes == [1, 1]
