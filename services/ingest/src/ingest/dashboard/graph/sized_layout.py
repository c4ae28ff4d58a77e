"""A layered layout of nodes of different sizes, from left to right: the one that the editor offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ingest.dashboard.graph.coordinates import centers
from ingest.dashboard.graph.graph_types import Point
from ingest.dashboard.graph.layers import assign_layers
from ingest.dashboard.graph.ordering import reduce_crossings, with_bends

COLUMN_GAP: Final = 100.0
MAX_SIZE: Final = 4000.0
GRID: Final = 20.0


@dataclass(frozen=True, slots=True)
class SizedNode:
    """A node as it is drawn. `starts`: it begins the flow."""

    id: str
    width: float
    height: float
    starts: bool = False


@dataclass(frozen=True, slots=True)
class SizedEdge:
    """An edge, whatever its handle."""

    source: str
    target: str


def lay_out_sized(nodes: Sequence[SizedNode], edges: Sequence[SizedEdge]) -> dict[str, Point]:
    """The upper left corner of each node, on a grid. Edges lead to the right, except those that close a cycle. The time
    is bounded as that of `lay_out`. Nodes with the id of another one, and edges to no node, are ignored."""
    known = {node.id: node for node in reversed(nodes)}
    kept = [node for node in nodes if known[node.id] is node]
    number = {node.id: index for index, node in enumerate(kept)}
    arcs = [
        (number[edge.source], number[edge.target])
        for edge in edges
        if edge.source in number and edge.target in number and edge.source != edge.target
    ]
    layers = assign_layers(len(kept), arcs, [index for index, node in enumerate(kept) if node.starts])
    down = [(b, a) if back else (a, b) for (a, b), back in zip(arcs, layers.reversed, strict=True)]
    items = with_bends(layers.layer_of, down)
    reach = [_bounded(node.height) / 2 for node in kept]
    middles = centers(items, reduce_crossings(items), reach, reach)
    tops = [middles[index] - reach[index] for index in range(len(kept))]
    top, left = min(tops, default=0.0), _lefts([_bounded(node.width) for node in kept], layers.layer_of)
    return {
        node.id: (left[layers.layer_of[index]], round((tops[index] - top) / GRID) * GRID)
        for index, node in enumerate(kept)
    }


def _bounded(size: float) -> float:
    """A size that the page has sent, which may be anything."""
    return min(max(size, 1.0), MAX_SIZE) if size == size else 1.0  # noqa: PLR0124 -- not a number


def _lefts(widths: Sequence[float], layer_of: Sequence[int]) -> list[float]:
    """The left edge of each column: after the widest node of the column before it."""
    widest = [0.0] * (max(layer_of, default=-1) + 1)
    for width, layer in zip(widths, layer_of, strict=True):
        widest[layer] = max(widest[layer], width)
    lefts, left = [], 0.0
    for width in widest:
        lefts.append(left)
        left += round((width + COLUMN_GAP) / GRID) * GRID
    return lefts
