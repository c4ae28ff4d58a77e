"""Moves nodes that would overlap, because a node is drawn larger or smaller here than in the other product."""

from typing import Any, Final

WIDTH: Final = 240
"""The width of a node in the editor and of the space beside it, in pixels."""

GAP: Final = 24
"""The space below a node."""

_HEIGHT: Final = 96
_HANDLE_HEIGHT: Final = 20
_HANDLES: Final = {"condition": 2, "loop": 2}


def height_of(node: dict[str, Any]) -> int:
    """About the height of a node in the editor, where each of several handles has a line of its own."""
    data, kind = node["data"], node["type"]
    handles = _HANDLES.get(kind, 1)
    if kind == "input":
        handles = len(data.get("choices", ())) + 4
    elif kind == "switch":
        handles = len(data.get("cases", ())) + 1
    elif data.get("onError") == "branch" or data.get("mode") == "wait":
        handles = 2
    return _HEIGHT + (_HANDLE_HEIGHT * handles if handles > 1 else 0)


def spread(nodes: list[dict[str, Any]]) -> None:
    """Moves nodes down until none overlaps another one. Those that are higher stay where they are."""
    columns: dict[int, list[tuple[float, float, int]]] = {}
    for node in sorted(nodes, key=lambda node: node["position"]["y"]):
        position, height = node["position"], height_of(node)
        x, y = position["x"], position["y"]
        column = int(x // WIDTH)
        near = sorted(
            (other_y, other_height)
            for index in (column - 1, column, column + 1)
            for other_x, other_y, other_height in columns.get(index, ())
            if abs(other_x - x) < WIDTH
        )
        for other_y, other_height in near:
            if other_y < y + height + GAP and y < other_y + other_height + GAP:
                y = other_y + other_height + GAP
        position["y"] = y
        columns.setdefault(column, []).append((x, y, height))
