"""The layer of each node: the first two steps of a layered (Sugiyama) layout. The time is linear in nodes and edges."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

Arc = tuple[int, int]
"""An edge between two different nodes, by their numbers."""

MIN_WIDTH: Final = 6


@dataclass(frozen=True, slots=True)
class Layers:
    """The layer of each node, and for each arc whether it leads upwards: it belongs to a cycle."""

    layer_of: list[int]
    reversed: list[bool]


def assign_layers(count: int, arcs: Sequence[Arc], starts: Iterable[int] = ()) -> Layers:
    """Assigns each of the nodes 0 to `count - 1` to a layer, so that every arc that is not reversed leads down.

    A node is in the layer after that of its last predecessor, or in a later one if that layer is full: so a layer is
    never much wider than the whole is high.
    """
    backwards = _backward_arcs(count, arcs, starts)
    down = [(b, a) if back else (a, b) for (a, b), back in zip(arcs, backwards, strict=True)]
    width = max(MIN_WIDTH, math.ceil(math.sqrt(count) * 1.2))
    layer_of = _layers(count, down, width)
    _lower_sources(layer_of, down, width)
    return Layers(layer_of, backwards)


def _backward_arcs(count: int, arcs: Sequence[Arc], starts: Iterable[int]) -> list[bool]:
    """Whether each arc leads back to a node from which a depth-first search is still in progress. Without these arcs,
    there is no cycle. The search begins at `starts`, then at the nodes without a predecessor."""
    leaving: list[list[int]] = [[] for _ in range(count)]
    has_source = [False] * count
    for number, (source, target) in enumerate(arcs):
        leaving[source].append(number)
        has_source[target] = True
    backwards = [False] * len(arcs)
    open_, done = [False] * count, [False] * count
    for root in (*starts, *(node for node in range(count) if not has_source[node]), *range(count)):
        if done[root]:
            continue
        open_[root] = True
        pending = [(root, iter(leaving[root]))]
        while pending:
            node, left = pending[-1]
            number = next(left, -1)
            if number < 0:
                pending.pop()
                open_[node], done[node] = False, True
                continue
            target = arcs[number][1]
            if open_[target]:
                backwards[number] = True
            elif not done[target]:
                open_[target] = True
                pending.append((target, iter(leaving[target])))
    return backwards


def _layers(count: int, down: Sequence[Arc], width: int) -> list[int]:
    targets: list[list[int]] = [[] for _ in range(count)]
    missing = [0] * count
    for source, target in down:
        targets[source].append(target)
        missing[target] += 1
    layer_of = [0] * count
    used: list[int] = []
    turn = [node for node in range(count) if not missing[node]]
    while turn:
        following: list[int] = []
        for node in turn:
            layer = layer_of[node]
            while layer < len(used) and used[layer] >= width:
                layer += 1
            used += [0] * (layer + 1 - len(used))
            used[layer] += 1
            layer_of[node] = layer
            for target in targets[node]:
                layer_of[target] = max(layer_of[target], layer + 1)
                missing[target] -= 1
                if not missing[target]:
                    following.append(target)
        turn = following
    return layer_of


def _lower_sources(layer_of: list[int], down: Sequence[Arc], width: int) -> None:
    """Moves each node without a predecessor to the layer directly above its first successor, if there is space."""
    first: dict[int, int] = {}
    for source, target in down:
        first[source] = min(first.get(source, layer_of[target]), layer_of[target])
    used: dict[int, int] = {}
    for layer in layer_of:
        used[layer] = used.get(layer, 0) + 1
    for node in first.keys() - {target for _, target in down}:
        wanted = first[node] - 1
        if wanted > layer_of[node] and used[wanted] < width:
            used[layer_of[node]] -= 1
            used[wanted] += 1
            layer_of[node] = wanted
