"""The layout of a flow: the box of each node and the line of each edge, from top to bottom.

| the flow                              | the layout                                                              |
|---------------------------------------|-------------------------------------------------------------------------|
| all nodes have a stored position      | these positions; the boxes are as large as the space between them       |
| some have one                         | these positions; the others are laid out to the right of them           |
| none has one                          | a layered (Sugiyama) layout of each connected part, the parts in rows   |

A stored position is ignored if the node would lie on a node before it in the definition. All stored positions are
ignored if they are so far apart that no node could be recognised.

The layout depends on nothing but the graph. Its time is bounded by the number of nodes and edges: a graph of the
greatest allowed size (1,000 nodes, 5,000 edges) takes less than a second of CPU time.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from ingest.dashboard.graph.coordinates import centers
from ingest.dashboard.graph.graph_types import Box, FlowGraph, GraphEdge, GraphNode, Layout, Line, Point
from ingest.dashboard.graph.labels import place_labels
from ingest.dashboard.graph.layers import assign_layers
from ingest.dashboard.graph.lines import LOOP_SPACE, Bend, Route, Side, draw_lines
from ingest.dashboard.graph.ordering import reduce_crossings, with_bends

SIZES: Final = ((200.0, 56.0), (176.0, 48.0), (150.0, 44.0))
"""The sizes of a box, the largest first. All boxes of a layout have the same size."""

PART_GAP: Final = 48.0
MARGIN: Final = 16.0
MIN_ROW: Final = 1200.0
ROW_GAP: Final = 56.0
GAP_PER_LINE: Final = 4.0
MAX_ROW_GAP: Final = 128.0

MIN_AREA: Final = 4000.0
AREA_PER_NODE: Final = 400.0
"""Stored positions may extend over MIN_AREA and AREA_PER_NODE for each node, in each direction."""

_STORED_GAP_X: Final = 32.0
_STORED_GAP_Y: Final = 20.0


def lay_out(graph: FlowGraph) -> Layout:
    """Lays out the graph."""
    stored, (width, height) = _stored_boxes(graph.nodes)
    boxes, routes = dict(stored), dict[int, Route]()
    arcs = [(number, edge) for number, edge in enumerate(graph.edges)]
    rest = [node for node in graph.nodes if node.id not in stored]
    left = max((box.right for box in stored.values()), default=-PART_GAP) + PART_GAP
    top = min((box.y for box in stored.values()), default=0.0)
    if any(edge.source == edge.target for edge in graph.edges) and stored:
        left += LOOP_SPACE
    x, y, row_height, row_width = left, top, 0.0, 0.0
    for part in _parts(rest, graph.edges):
        names = {node.id for node in part}
        laid = _Layered(part, [(n, e) for n, e in arcs if e.source in names and e.target in names], width, height)
        arcs = [(n, e) for n, e in arcs if e.source not in names or e.target not in names]
        row_width = max(row_width, MIN_ROW, laid.width)
        if x > left and x + laid.width > left + row_width:
            x, y, row_height = left, y + row_height + PART_GAP, 0.0
        boxes |= laid.boxes(x, y)
        routes |= laid.routes(x, y)
        x, row_height = x + laid.width + PART_GAP, max(row_height, laid.height)
    ordered = {node.id: boxes[node.id] for node in graph.nodes}
    lines = draw_lines(ordered, [routes.get(number) or Route(edge) for number, edge in enumerate(graph.edges)])
    labelled = place_labels(lines, _label_texts(graph), ordered)
    return Layout(ordered, tuple(labelled), _area(ordered, labelled))


def _label_texts(graph: FlowGraph) -> list[str]:
    """The handle of each edge, if edges leave its source by more than one."""
    handles: dict[str, set[str]] = {}
    for edge in graph.edges:
        handles.setdefault(edge.source, set()).add(edge.handle or "")
    plain = [{""}, {"out"}, {"", "out"}]
    return ["" if handles[edge.source] in plain else edge.handle or "" for edge in graph.edges]


def _stored_boxes(nodes: Sequence[GraphNode]) -> tuple[dict[str, Box], tuple[float, float]]:
    """The boxes of the nodes with a usable position, and the size: the largest with space between the boxes."""
    at = [(node.id, node.position) for node in nodes if node.position is not None]
    allowed = MIN_AREA + AREA_PER_NODE * len(nodes)
    if any(max(axis) - min(axis) > allowed for axis in zip(*(position for _, position in at), strict=True)):
        return {}, SIZES[0]
    for size in SIZES:
        boxes = _without_overlap(at, size, _STORED_GAP_X, _STORED_GAP_Y)
        if len(boxes) == len(at):
            return boxes, size
    return _without_overlap(at, SIZES[-1], 0.0, 0.0), SIZES[-1]


def _without_overlap(
    at: Iterable[tuple[str, Point]], size: tuple[float, float], gap_x: float, gap_y: float
) -> dict[str, Box]:
    """The boxes at the positions, without those that would be too near to a box before."""
    width, height = size
    boxes: dict[str, Box] = {}
    cells: dict[tuple[int, int], list[Box]] = {}
    for node_id, (x, y) in at:
        box = Box(x, y, width, height)
        column, row = int(x // (width + gap_x)), int(y // (height + gap_y))
        near = (cells.get((column + dx, row + dy), []) for dx in (-1, 0, 1) for dy in (-1, 0, 1))
        if not any(box.overlaps(other, gap_x, gap_y) for others in near for other in others):
            boxes[node_id] = box
            cells.setdefault((column, row), []).append(box)
    return boxes


def _parts(nodes: Sequence[GraphNode], edges: Iterable[GraphEdge]) -> list[list[GraphNode]]:
    """The connected parts of the graph of `nodes`, those with a start first, then in the order of their first nodes."""
    neighbours: dict[str, list[str]] = {node.id: [] for node in nodes}
    for edge in edges:
        if edge.source in neighbours and edge.target in neighbours:
            neighbours[edge.source].append(edge.target)
            neighbours[edge.target].append(edge.source)
    part_of: dict[str, int] = {}
    count = 0
    for node in nodes:
        if node.id in part_of:
            continue
        pending = [node.id]
        while pending:
            name = pending.pop()
            if name not in part_of:
                part_of[name] = count
                pending += neighbours[name]
        count += 1
    parts: list[list[GraphNode]] = [[] for _ in range(count)]
    for node in nodes:
        parts[part_of[node.id]].append(node)
    return sorted(parts, key=lambda part: not any(node.starts for node in part))


class _Layered:
    """The layered layout of a connected part. Its upper left corner is at 0, 0."""

    def __init__(
        self, nodes: Sequence[GraphNode], edges: Sequence[tuple[int, GraphEdge]], width: float, height: float
    ) -> None:
        number = {node.id: index for index, node in enumerate(nodes)}
        self._nodes, self._size = nodes, (width, height)
        loops = {edge.source for _, edge in edges if edge.source == edge.target}
        self._edges = [(key, edge) for key, edge in edges if edge.source != edge.target]
        arcs = [(number[edge.source], number[edge.target]) for _, edge in self._edges]
        layers = assign_layers(len(nodes), arcs, [index for index, node in enumerate(nodes) if node.starts])
        self._up = layers.reversed
        down = [(b, a) if up else (a, b) for (a, b), up in zip(arcs, self._up, strict=True)]
        items = with_bends(layers.layer_of, down)
        rows = reduce_crossings(items)
        right = [width / 2 + (LOOP_SPACE if node.id in loops else 0.0) for node in nodes]
        found = centers(items, rows, [width / 2] * len(nodes), right)
        shift = min((found[index] for index in range(len(nodes))), default=0.0) - width / 2
        shift = min([shift, *found])
        self._x = [x - shift for x in found]
        self._bends = items.bends
        self._layer_of = layers.layer_of
        self._tops = _row_tops([sum(len(items.below[item]) for item in row) for row in rows], height)
        self.width = max([0.0, *(self._x[index] + reach for index, reach in enumerate(right)), *self._x])
        self.height = self._tops[-1] + height

    def boxes(self, x: float, y: float) -> dict[str, Box]:
        """The boxes with the corner of the part at `x`, `y`."""
        width, height = self._size
        return {
            node.id: Box(x + self._x[index] - width / 2, y + self._tops[self._layer_of[index]], width, height)
            for index, node in enumerate(self._nodes)
        }

    def routes(self, x: float, y: float) -> dict[int, Route]:
        """The routes of the edges between different nodes, by the number of the edge."""
        number = {node.id: index for index, node in enumerate(self._nodes)}
        height = self._size[1]
        found = {}
        for (key, edge), up, chain in zip(self._edges, self._up, self._bends, strict=True):
            sides: tuple[Side, Side] = ("top", "bottom") if up else ("bottom", "top")
            upper = self._layer_of[number[edge.target if up else edge.source]]
            bends = [
                Bend(x + self._x[item], y + self._tops[upper + step], y + self._tops[upper + step] + height)
                for step, item in enumerate(chain or (), start=1)
            ]
            if up:
                bends = [Bend(bend.x, bend.leave_y, bend.enter_y) for bend in reversed(bends)]
            found[key] = Route(edge, tuple(bends), sides)
        return found


def _row_tops(lines_below: Sequence[int], height: float) -> list[float]:
    """The upper edge of each row. The more lines leave a row, the more space is below it."""
    tops, top = [], 0.0
    for lines in lines_below:
        tops.append(top)
        top += height + min(MAX_ROW_GAP, ROW_GAP + GAP_PER_LINE * lines)
    return tops


def _area(boxes: dict[str, Box], lines: Sequence[Line]) -> Box:
    """The area of everything that is drawn, with a margin."""
    points = [(box.x, box.y) for box in boxes.values()] + [(box.right, box.bottom) for box in boxes.values()]
    for line in lines:
        points += line.points()
        points += [(line.label_at[0] + dx, line.label_at[1]) for dx in (-50.0, 50.0)] if line.label_at else []
    xs, ys = [x for x, _ in points] or [0.0], [y for _, y in points] or [0.0]
    x, y = min(xs) - MARGIN, min(ys) - MARGIN
    return Box(x, y, max(xs) + MARGIN - x, max(ys) + MARGIN - y)
