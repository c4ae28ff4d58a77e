"""The lines of the edges: where they leave and enter the boxes, and the curves between.

A line leaves by the side of its box that faces the other one, or by another side if it would otherwise run behind a
box. The lines at one side are spread, in the order of their other ends, so that parallel edges stay apart.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ingest.dashboard.graph.areas import Areas
from ingest.dashboard.graph.graph_types import Box, Curve, GraphEdge, Line, Point
from ingest.dashboard.graph.spacing import spread_within

Side = Literal["top", "bottom", "left", "right"]

PORT_DISTANCE: Final = 16.0
CORNER: Final = 14.0
"""The least distance of a line from the corners of a box."""

INNER: Final = 0.3
"""How far from the middle of a side a line leaves, as a share of the side, if there is space."""

MIN_BOW: Final = 18.0
BACK_BOW: Final = 36.0
BACK_SHARE: Final = 0.12
"""The bow of a line that returns to the same side, and the part of its length that is added."""

MAX_EVADING: Final = 600
"""How many lines may leave by another side so that they run behind no box."""

SAMPLES: Final = 10
LOOP_WIDTH: Final = 30.0
LOOP_STEP: Final = 8.0
MAX_LOOPS: Final = 4
"""The arcs of further self-loops of one node are drawn over the widest one."""

LOOP_SPACE: Final = LOOP_WIDTH + (MAX_LOOPS - 1) * LOOP_STEP + 50.0
"""The space to the right of a node for its self-loops and their labels."""


@dataclass(frozen=True, slots=True)
class Bend:
    """A point that a line passes vertically, from `enter_y` to `leave_y`."""

    x: float
    enter_y: float
    leave_y: float


@dataclass(frozen=True, slots=True)
class Route:
    """An edge with its bends, from the source to the target. `sides` are None for the sides that face each other."""

    edge: GraphEdge
    bends: tuple[Bend, ...] = ()
    sides: tuple[Side, Side] | None = None


def draw_lines(boxes: Mapping[str, Box], routes: Sequence[Route]) -> list[Line]:
    """The lines of the routes, in their order, without labels."""
    ends = _ends(boxes, routes)
    ports = _ports(boxes, routes, ends)
    loops: defaultdict[str, int] = defaultdict(int)
    lines = []
    for number, (route, sides) in enumerate(zip(routes, ends, strict=True)):
        if sides is None:
            lines.append(_self_loop(route.edge, boxes[route.edge.source], loops[route.edge.source]))
            loops[route.edge.source] += 1
        else:
            lines.append(_line(route, sides, ports[number, True], ports[number, False]))
    return lines


def _ends(boxes: Mapping[str, Box], routes: Sequence[Route]) -> list[tuple[Side, Side] | None]:
    """The sides of each route; None for a self-loop."""
    areas = Areas(boxes.values())
    ends: list[tuple[Side, Side] | None] = []
    left = MAX_EVADING
    for route in routes:
        source, target = boxes[route.edge.source], boxes[route.edge.target]
        if route.edge.source == route.edge.target:
            ends.append(None)
        elif route.sides is not None:
            ends.append(route.sides)
        else:
            choices = _facing(source, target)
            left -= 1
            free = (each for each in choices if left < 0 or not _runs_behind(source, target, each, areas))
            ends.append(next(free, choices[0]))
    return ends


def _runs_behind(source: Box, target: Box, sides: tuple[Side, Side], areas: Areas) -> bool:
    """Whether the line between the middles of the sides meets a third box."""
    start = _on_side(source, sides[0], _middle(source, sides[0]))
    end = _on_side(target, sides[1], _middle(target, sides[1]))
    curve = _curve(start, sides[0], end, sides[1])
    for sample in range(1, SAMPLES):
        x, y = curve.at(start, sample / SAMPLES)
        if any(box is not source and box is not target for box in areas.meeting(Box(x - 2, y - 2, 4, 4))):
            return True
    return False


def _middle(box: Box, side: Side) -> float:
    return box.center_x if side in ("top", "bottom") else box.center_y


def _facing(source: Box, target: Box) -> list[tuple[Side, Side]]:
    """Every choice of sides: those with the largest distance between them first, the same side twice last."""
    gaps: dict[tuple[Side, Side], float] = {
        ("bottom", "top"): target.y - source.bottom,
        ("top", "bottom"): source.y - target.bottom,
        ("right", "left"): target.x - source.right,
        ("left", "right"): source.x - target.right,
    }
    apart = [sides for sides in sorted(gaps, key=gaps.__getitem__, reverse=True) if gaps[sides] > 0]
    if not apart:
        apart = [max(gaps, key=gaps.__getitem__)]
    return [*apart, ("bottom", "bottom"), ("top", "top"), ("right", "right"), ("left", "left")]


def _ports(
    boxes: Mapping[str, Box], routes: Sequence[Route], ends: Sequence[tuple[Side, Side] | None]
) -> dict[tuple[int, bool], Point]:
    """The point of each end of each route: `(number, True)` is the end at the source."""
    at_side: defaultdict[tuple[str, Side], list[tuple[float, int, bool]]] = defaultdict(list)
    for number, (route, sides) in enumerate(zip(routes, ends, strict=True)):
        if sides is None:
            continue
        source, target = boxes[route.edge.source], boxes[route.edge.target]
        first = route.bends[0].x if route.bends else None
        last = route.bends[-1].x if route.bends else None
        at_side[route.edge.source, sides[0]].append((_along(sides[0], source, target, first), number, True))
        at_side[route.edge.target, sides[1]].append((_along(sides[1], target, source, last), number, False))
    ports: dict[tuple[int, bool], Point] = {}
    for (node_id, side), meeting in at_side.items():
        meeting.sort()
        box = boxes[node_id]
        level = side in ("top", "bottom")
        low, high = (box.x + CORNER, box.right - CORNER) if level else (box.y + CORNER, box.bottom - CORNER)
        reach = INNER * (high - low)
        middle = (low + high) / 2
        inner = [min(max(wanted, middle - reach), middle + reach) for wanted, _, _ in meeting]
        places = spread_within(inner, PORT_DISTANCE, low, high)
        for place, (_, number, is_source) in zip(places, meeting, strict=True):
            ports[number, is_source] = _on_side(box, side, place)
    return ports


def _along(side: Side, own: Box, other: Box, bend: float | None) -> float:
    """Where along the side the line should be: at its bend, or halfway to the other box, so that it is straight."""
    if bend is not None and side in ("top", "bottom"):
        return bend
    return (_middle(own, side) + _middle(other, side)) / 2


def _on_side(box: Box, side: Side, place: float) -> Point:
    match side:
        case "top":
            return place, box.y
        case "bottom":
            return place, box.bottom
        case "left":
            return box.x, place
        case "right":
            return box.right, place


def _line(route: Route, sides: tuple[Side, Side], start: Point, end: Point) -> Line:
    parts: list[Curve | Point] = []
    at, side = start, sides[0]
    for bend in route.bends:
        downwards = bend.leave_y >= bend.enter_y
        parts.append(_curve(at, side, (bend.x, bend.enter_y), "top" if downwards else "bottom"))
        at, side = (bend.x, bend.leave_y), "bottom" if downwards else "top"
        parts.append(at)
    parts.append(_curve(at, side, end, sides[1]))
    return Line(route.edge, start, tuple(parts))


def _curve(start: Point, start_side: Side, end: Point, end_side: Side) -> Curve:
    """A curve that leaves and arrives at right angles to the sides."""
    level = start_side in ("top", "bottom")
    away, aside = abs(end[1] - start[1]), abs(end[0] - start[0])
    if not level:
        away, aside = aside, away
    bow = max(MIN_BOW, away / 2) if start_side != end_side else BACK_BOW + away / 2 + BACK_SHARE * aside
    return Curve(_off(start, start_side, bow), _off(end, end_side, bow), end)


def _off(point: Point, side: Side, distance: float) -> Point:
    x, y = point
    match side:
        case "top":
            return x, y - distance
        case "bottom":
            return x, y + distance
        case "left":
            return x - distance, y
        case "right":
            return x + distance, y


def _self_loop(edge: GraphEdge, box: Box, number: int) -> Line:
    """An arc at the right side of the box. Each further one is wider."""
    number = min(number, MAX_LOOPS - 1)
    reach = box.right + (LOOP_WIDTH + number * LOOP_STEP) * 4 / 3  # A curve reaches 3/4 of its control points.
    half = box.height * (0.2 + 0.06 * number)
    above, below = box.center_y - half, box.center_y + half
    arc = Curve((reach, above - half), (reach, below + half), (box.right, below))
    return Line(edge, (box.right, above), (arc,))
