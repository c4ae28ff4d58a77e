"""The layouts of flows: computed in a thread, and kept, because a version of a flow never changes."""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from ingest.dashboard.graph.graph_types import FlowGraph, Layout
from ingest.dashboard.graph.layout import lay_out

MAX_KEPT: Final = 100_000
"""How many nodes and edges the kept layouts have in all. One takes at most about 1 kB."""


class LayoutCache:
    """Keeps the layouts that were used last. Of the same layout, one computation runs at a time, and of all layouts
    too: a page that is requested often takes no more than one thread."""

    def __init__(self, max_kept: int = MAX_KEPT) -> None:
        self._max_kept = max_kept
        self._kept: OrderedDict[Hashable, Layout] = OrderedDict()
        self._size = 0
        self._turn = asyncio.Lock()

    async def layout(self, key: Hashable, graph: FlowGraph) -> Layout:
        """The layout of `graph`. The same `key` must always belong to the same graph."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        async with self._turn:
            if key not in self._kept:
                self._keep(key, await asyncio.to_thread(lay_out, graph))
            return self._kept[key]

    def _keep(self, key: Hashable, layout: Layout) -> None:
        self._kept[key] = layout
        self._size += _size(layout)
        while self._size > self._max_kept and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._size -= _size(oldest)


def _size(layout: Layout) -> int:
    return len(layout.boxes) + sum(1 + len(line.parts) for line in layout.lines)
