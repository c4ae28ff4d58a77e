"""The types of a graph and of its layout."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Point = tuple[float, float]

MAX_COORDINATE: Final = 1_000_000.0
"""A stored position beyond it is ignored, so that every coordinate of a layout is finite and can be drawn."""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node. `position` is that of its upper left corner, None if none is stored."""

    id: str
    position: Point | None = None
    starts: bool = False


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """An edge from a handle of `source` to `target`."""

    source: str
    target: str
    handle: str | None = None


@dataclass(frozen=True, slots=True)
class FlowGraph:
    """The nodes with different ids, and the edges between them, in the order of the definition."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle. `x` and `y` are those of its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def center_x(self) -> float:
        return self.x + self.width / 2

    @property
    def center_y(self) -> float:
        return self.y + self.height / 2

    def overlaps(self, other: "Box", gap_x: float = 0.0, gap_y: float = 0.0) -> bool:
        """Whether the two have a common area, or are nearer than the gaps."""
        return (
            self.x < other.right + gap_x
            and other.x < self.right + gap_x
            and self.y < other.bottom + gap_y
            and other.y < self.bottom + gap_y
        )


@dataclass(frozen=True, slots=True)
class Curve:
    """A cubic Bézier curve from the end of the part before it."""

    control_1: Point
    control_2: Point
    end: Point

    def at(self, start: Point, share: float) -> Point:
        """The point at a share of the curve from 0 (`start`) to 1."""
        rest = 1 - share
        factors = (rest**3, 3 * share * rest**2, 3 * share**2 * rest, share**3)
        points = (start, self.control_1, self.control_2, self.end)
        return (
            sum(factor * x for factor, (x, _) in zip(factors, points, strict=True)),
            sum(factor * y for factor, (_, y) in zip(factors, points, strict=True)),
        )


@dataclass(frozen=True, slots=True)
class Line:
    """The drawn line of an edge: it starts at `start`, and `parts` are curves, or points that a straight part ends at.
    `label_at` is the middle of its label, None if the label has no free space."""

    edge: GraphEdge
    start: Point
    parts: tuple[Curve | Point, ...]
    label_at: Point | None = None

    def points(self) -> Iterator[Point]:
        """Every point of it, with the control points of its curves: the line is inside of their convex hull."""
        yield self.start
        for part in self.parts:
            if isinstance(part, Curve):
                yield from (part.control_1, part.control_2, part.end)
            else:
                yield part


@dataclass(frozen=True, slots=True)
class Layout:
    """The boxes of all nodes by id, the lines of all edges in their order, and the area that contains them."""

    boxes: Mapping[str, Box]
    lines: tuple[Line, ...]
    area: Box


def read_graph(definition: Mapping[str, Any]) -> FlowGraph:
    """Reads the graph of a stored definition. Ignores what is malformed: a page must show every stored flow."""
    nodes: dict[str, GraphNode] = {}
    for item in _objects(definition.get("nodes")):
        node_id, data = item.get("id"), item.get("data")
        if isinstance(node_id, str) and node_id not in nodes:
            starts = item.get("type") == "webhook" and isinstance(data, dict) and data.get("mode") == "trigger"
            nodes[node_id] = GraphNode(node_id, _position(item.get("position")), starts)
    edges = []
    for item in _objects(definition.get("edges")):
        source, target, handle = item.get("source"), item.get("target"), item.get("sourceHandle")
        if isinstance(source, str) and isinstance(target, str) and source in nodes and target in nodes:
            edges.append(GraphEdge(source, target, handle if isinstance(handle, str) else None))
    return FlowGraph(tuple(nodes.values()), tuple(edges))


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _position(value: Any) -> Point | None:
    if not isinstance(value, dict):
        return None
    x, y = _coordinate(value.get("x")), _coordinate(value.get("y"))
    return None if x is None or y is None else (x, y)


def _coordinate(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MAX_COORDINATE:
        return None
    return float(value) if math.isfinite(value) else None
