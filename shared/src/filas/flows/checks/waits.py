"""Waits that do not fit into the time that an execution has."""

import heapq
from collections.abc import Mapping, Sequence
from typing import Final

_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1))


def shown(ms: int) -> str:
    """A duration in its two largest units: `7 d`, `1 h 30 min`."""
    parts: list[str] = []
    for unit, size in _UNITS:
        if ms >= size or (unit == "ms" and not parts):
            parts.append(f"{ms // size} {unit}")
            ms %= size
        if len(parts) == 2 or ms == 0:
            break
    return " ".join(parts)


def earliest(
    successors: Mapping[str, Sequence[str]], starts: Sequence[str], delays: Mapping[str, int]
) -> dict[str, int]:
    """By node: the least time, in milliseconds, after which an execution ends its visit. `delays` are the waits of
    nodes that nothing shortens. Nodes that cannot be reached are left out."""
    found: dict[str, int] = {}
    pending = [(delays.get(start, 0), start) for start in starts]
    heapq.heapify(pending)
    while pending:
        ms, node_id = heapq.heappop(pending)
        if node_id in found:
            continue
        found[node_id] = ms
        for target in successors.get(node_id, ()):
            if target not in found:
                heapq.heappush(pending, (ms + delays.get(target, 0), target))
    return found
