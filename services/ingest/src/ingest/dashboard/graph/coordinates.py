"""The horizontal coordinates of nodes and bends: the fourth step of a layered layout."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from ingest.dashboard.graph.ordering import LayeredItems
from ingest.dashboard.graph.spacing import spread

SWEEPS: Final = 4
GAP: Final = 32.0
BEND_GAP: Final = 20.0

_STRAIGHT: Final = {0: 1.0, 1: 2.0, 2: 8.0}
"""The weight of a straight connection by the number of bends at its ends: long edges become straight."""


def centers(
    items: LayeredItems, rows: Sequence[Sequence[int]], left: Sequence[float], right: Sequence[float]
) -> list[float]:
    """The center of each item. `left` and `right`: how far the nodes extend from their center.

    Each sweep moves the items of each row towards the mean of their neighbours, and keeps their order and distance.
    """
    extent_left = [*left, *[0.0] * (len(items.below) - items.nodes)]
    extent_right = [*right, *[0.0] * (len(items.below) - items.nodes)]
    distances = [_distances(row, items.nodes, extent_left, extent_right) for row in rows]
    place = [0.0] * len(items.below)
    for row, least in zip(rows, distances, strict=True):
        _assign(row, place, spread([0.0] * len(row), [1.0] * len(row), least))
    weight = _Weights(items)
    for sweep in range(2 * SWEEPS + 1):
        last = sweep == 2 * SWEEPS
        sides = [items.above, items.below] if last else [items.above] if sweep % 2 == 0 else [items.below]
        order = range(len(rows)) if sweep % 2 == 0 else range(len(rows) - 1, -1, -1)
        for number in order:
            row = rows[number]
            wanted, weights = weight.pull(row, sides, place)
            _assign(row, place, spread(wanted, weights, distances[number]))
    return place


class _Weights:
    def __init__(self, items: LayeredItems) -> None:
        self._nodes = items.nodes

    def pull(
        self, row: Sequence[int], sides: Sequence[Sequence[Sequence[int]]], place: Sequence[float]
    ) -> tuple[list[float], list[float]]:
        """Where the neighbours of each item pull it, and how strongly. An item without neighbours stays, weakly."""
        wanted, weights = [], []
        for item in row:
            total, total_weight = 0.0, 0.0
            for neighbours in sides:
                for other in neighbours[item]:
                    weight = _STRAIGHT[(item >= self._nodes) + (other >= self._nodes)]
                    total += weight * place[other]
                    total_weight += weight
            wanted.append(total / total_weight if total_weight else place[item])
            weights.append(total_weight or 0.01)
        return wanted, weights


def _distances(row: Sequence[int], nodes: int, left: Sequence[float], right: Sequence[float]) -> list[float]:
    least = [0.0] * min(1, len(row))
    for one, next_ in pairwise(row):
        gap = BEND_GAP if one >= nodes or next_ >= nodes else GAP
        least.append(right[one] + left[next_] + gap)
    return least


def _assign(row: Sequence[int], place: list[float], found: Sequence[float]) -> None:
    for item, x in zip(row, found, strict=True):
        place[item] = x
