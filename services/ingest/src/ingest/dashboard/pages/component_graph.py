"""A made-up flow with everything that a graph can show: each state, cycles, self-loops, parallel and untaken edges."""

from typing import Final

from markupsafe import Markup

from ingest.dashboard import assets
from ingest.dashboard.graph.drawing import EdgeLook, NodeLook, Picture, draw
from ingest.dashboard.graph.graph_types import FlowGraph, GraphEdge, GraphNode
from ingest.dashboard.graph.layout import lay_out
from ingest.dashboard.presentation.states import LOOKS

SPRITE: Final = "vendor/icons.svg"

NODES: Final = (
    ("start", "webhook", "succeeded"),
    ("A question with a name that is too long for its box", "input", "succeeded"),
    ("\u0645\u0631\u062d\u0628\u0627 <b>", "condition", "succeeded"),
    ("call", "api", "retrying"),
    ("wait", "delay", "waiting"),
    ("now", "message", "running"),
    ("wrong", "subflow", "failed"),
    ("each", "loop", ""),
    ("apart", "end", ""),
)
EDGES: Final = (
    (0, 1, "out", True),
    (1, 1, "invalid", True),
    (1, 2, "out", True),
    (1, 2, "timeout", False),
    (2, 3, "true", True),
    (2, 4, "false", True),
    (3, 5, "out", True),
    (3, 6, "error", True),
    (4, 7, "out", False),
    (7, 7, "loop", False),
    (7, 1, "done", False),
    (5, 0, "out", False),
)


def example_graph() -> Markup:
    """The picture of the flow."""
    nodes = tuple(GraphNode(str(number), starts=not number) for number in range(len(NODES)))
    edges = tuple(GraphEdge(str(source), str(target), handle) for source, target, handle, _ in EDGES)
    looks = {}
    for number, (name, node_type, status) in enumerate(NODES):
        look = LOOKS.get(status)
        looks[str(number)] = NodeLook(
            name=name,
            type=node_type,
            state="pale" if look is None else look.css,
            mark="" if look is None else look.shape,
            status=status or node_type,
            order=str(number + 1) if status else "",
            description=name,
            address=f"?step={number}",
            selected=number == 2,
        )
    icons = assets.address_of(SPRITE) if assets.is_present(SPRITE) else None
    picture = Picture(title="A made-up flow", id_prefix="example", icons=icons)
    return draw(lay_out(FlowGraph(nodes, edges)), looks, [EdgeLook(taken=taken) for *_, taken in EDGES], picture)
