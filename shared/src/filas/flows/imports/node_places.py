"""Moves nodes that would overlap, because a node is drawn larger or smaller here than in the other product."""

from typing import Any, Final

WIDTH: Final = 240
"""The width of a node and of the space beside it, in pixels."""

HEIGHT: Final = 90
"""The height of a node and of the space below it."""


def spread(nodes: list[dict[str, Any]]) -> None:
    """Moves nodes down until none overlaps another one. Those that are higher stay where they are."""
    columns: dict[int, list[tuple[float, float]]] = {}
    for node in sorted(nodes, key=lambda node: node["position"]["y"]):
        position = node["position"]
        x, y = position["x"], position["y"]
        column = int(x // WIDTH)
        near = sorted(
            other_y
            for index in (column - 1, column, column + 1)
            for other_x, other_y in columns.get(index, ())
            if abs(other_x - x) < WIDTH
        )
        for other_y in near:
            if abs(other_y - y) < HEIGHT:
                y = other_y + HEIGHT
        position["y"] = y
        columns.setdefault(column, []).append((x, y))
