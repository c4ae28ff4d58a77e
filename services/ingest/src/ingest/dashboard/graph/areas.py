"""Areas in the cells of a grid, so that a search looks only at what is near."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from ingest.dashboard.graph.graph_types import Box

_CELL: Final = 128.0


class Areas:
    """Areas that are taken."""

    def __init__(self, areas: Iterable[Box] = ()) -> None:
        self._cells: defaultdict[tuple[int, int], list[Box]] = defaultdict(list)
        for area in areas:
            self.add(area)

    def add(self, area: Box) -> None:
        """Takes an area."""
        for cell in _cells(area):
            self._cells[cell].append(area)

    def meeting(self, area: Box) -> Iterator[Box]:
        """The taken areas that overlap this one."""
        return (other for cell in _cells(area) for other in self._cells.get(cell, ()) if area.overlaps(other))


def _cells(area: Box) -> Iterator[tuple[int, int]]:
    for column in range(int(area.x // _CELL), int(area.right // _CELL) + 1):
        for row in range(int(area.y // _CELL), int(area.bottom // _CELL) + 1):
            yield column, row
