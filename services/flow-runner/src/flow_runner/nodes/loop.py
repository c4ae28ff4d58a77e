"""Runs `loop`: each visit starts the body for one item, and the last visit leaves by `done`."""

from typing import Any

from filas.flows.found_values import MAX_CHARS, described
from filas.flows.nodes.loop import LoopData
from filas.flows.templates import template
from flow_runner.engine.node_protocol import Done, NodeFailure, Repeat, Visit


async def run(visit: Visit) -> Done | Repeat:
    if visit.loop is not None:
        items, index = visit.loop.items, visit.loop.index + 1
        visit.input = {"length": len(items), "index": index}
    else:
        items, index = _items(visit), 0
    return Repeat(items, index) if index < len(items) else Done({"count": len(items)}, "done")


def _items(visit: Visit) -> list[Any]:
    data: LoopData = visit.data
    items = template.parse(data.items).evaluate(visit.scope.roots)
    visit.input = {"items": items}
    if not isinstance(items, list):
        raise NodeFailure("loop", f"items: expected a list, found {described(items)} (in {data.items[:MAX_CHARS]})")
    if len(items) > data.max_iterations:
        message = f"items: has {len(items)} entries, and maxIterations is {data.max_iterations}"
        raise NodeFailure("loop", f"{message}: raise it, or select fewer items")
    return items
