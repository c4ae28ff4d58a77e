"""The kept layouts: each is computed once, outside of the event loop's thread, and their number is bounded."""

import asyncio
import threading

import pytest

from ingest.dashboard.graph import layout_cache
from ingest.dashboard.graph.graph_types import FlowGraph, GraphNode, Layout
from ingest.dashboard.graph.layout import lay_out
from ingest.dashboard.graph.layout_cache import LayoutCache

GRAPH = FlowGraph((GraphNode("a"), GraphNode("b")), ())


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The thread of each computation."""
    threads: list[int] = []

    def recorded(graph: FlowGraph) -> Layout:
        threads.append(threading.get_ident())
        return lay_out(graph)

    monkeypatch.setattr(layout_cache, "lay_out", recorded)
    return threads


async def test_a_layout_is_computed_once_in_another_thread(computed: list[int]) -> None:
    """Also if many pages ask for it at the same time."""
    cache = LayoutCache()
    found = await asyncio.gather(*(cache.layout(("flow", 1), GRAPH) for _ in range(20)))
    assert all(layout is found[0] for layout in found)
    assert len(computed) == 1
    assert computed[0] != threading.get_ident()


async def test_the_layouts_used_last_are_kept(computed: list[int]) -> None:
    """Those used the longest time ago are removed first."""
    cache = LayoutCache(max_kept=4)
    for key in ("one", "two", "one", "three", "one"):
        await cache.layout(key, GRAPH)
    assert len(computed) == 3
    await cache.layout("two", GRAPH)
    assert len(computed) == 4


async def test_a_layout_larger_than_the_bound_is_returned(computed: list[int]) -> None:
    """It replaces all others."""
    cache = LayoutCache(max_kept=1)
    assert (await cache.layout("large", GRAPH)).boxes.keys() == {"a", "b"}
