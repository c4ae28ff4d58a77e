"""The order of the nodes in each layer, with few crossings: the third step of a layered layout.

An arc over several layers passes each layer between as a bend. The bends and the sweeps are bounded, so the time is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ingest.dashboard.graph.layers import Arc

MAX_BENDS: Final = 4000
"""The shortest arcs get bends first. An arc without bends is drawn as one curve."""

MAX_SWEEPS: Final = 16
MAX_WORK: Final = 160_000
"""How many items and arcs all sweeps together may visit; at least two sweeps run."""


@dataclass(frozen=True, slots=True)
class LayeredItems:
    """Nodes and bends as numbered items: the nodes first. `rows` are the layers, `below` and `above` the neighbours of
    each item in the next layers. `bends` are those of each arc from the upper end down, None if it has none because of
    the bound."""

    rows: list[list[int]]
    below: list[list[int]]
    above: list[list[int]]
    bends: list[list[int] | None]
    nodes: int


def with_bends(layer_of: Sequence[int], down: Sequence[Arc]) -> LayeredItems:
    """Splits each arc at the layers between its ends. `down` leads from a layer to a later one."""
    nodes = len(layer_of)
    rows: list[list[int]] = [[] for _ in range(max(layer_of, default=-1) + 1)]
    below: list[list[int]] = [[] for _ in range(nodes)]
    above: list[list[int]] = [[] for _ in range(nodes)]
    row_of = list(layer_of)
    bends: list[list[int] | None] = [None] * len(down)
    left = MAX_BENDS
    for number in sorted(range(len(down)), key=lambda each: layer_of[down[each][1]] - layer_of[down[each][0]]):
        upper, lower = down[number]
        between = range(layer_of[upper] + 1, layer_of[lower])
        if len(between) > left:
            break
        left -= len(between)
        bends[number] = list(range(len(row_of), len(row_of) + len(between)))
        row_of += between
    below += [[] for _ in row_of[nodes:]]
    above += [[] for _ in row_of[nodes:]]
    for (upper, lower), chain in zip(down, bends, strict=True):
        if chain is not None:
            for one, next_ in zip([upper, *chain], [*chain, lower], strict=True):
                below[one].append(next_)
                above[next_].append(one)
    for item in _first_order(below, above):
        rows[row_of[item]].append(item)
    return LayeredItems(rows, below, above, bends, nodes)


def _first_order(below: Sequence[Sequence[int]], above: Sequence[Sequence[int]]) -> list[int]:
    """Depth first, so that the items of a tree do not cross and the handles of a node keep their order."""
    seen = [False] * len(below)
    order: list[int] = []
    roots = [item for item in range(len(below)) if not above[item]]
    for root in (*roots, *range(len(below))):
        pending = [root]
        while pending:
            item = pending.pop()
            if not seen[item]:
                seen[item] = True
                order.append(item)
                pending += reversed(below[item])
    return order


def reduce_crossings(items: LayeredItems) -> list[list[int]]:
    """Returns the rows in an order with few crossings. Sweeps down and up move each item to the mean place of its
    neighbours in the row before; the best order is kept."""
    rows = [list(row) for row in items.rows]
    place = [0.0] * len(items.below)
    for row in rows:
        _number(row, place)
    best, fewest = [list(row) for row in rows], _crossings(rows, items.below, place)
    work = len(items.below) + sum(len(each) for each in items.below)
    without_gain = 0
    for sweep in range(max(2, min(MAX_SWEEPS, MAX_WORK // (work + 1)))):
        if not fewest or without_gain == 4:
            break
        downwards = sweep % 2 == 0
        neighbours = items.above if downwards else items.below
        for row in rows[1:] if downwards else reversed(rows[:-1]):
            _sort_row(row, neighbours, place)
        crossings = _crossings(rows, items.below, place)
        without_gain += 1
        if crossings < fewest:
            best, fewest, without_gain = [list(row) for row in rows], crossings, 0
    return best


def _sort_row(row: list[int], neighbours: Sequence[Sequence[int]], place: list[float]) -> None:
    """Items without a neighbour keep their place; the others are sorted into the other places."""
    fixed = {index: item for index, item in enumerate(row) if not neighbours[item]}
    mean = {
        item: sum(place[each] for each in neighbours[item]) / len(neighbours[item]) for item in row if neighbours[item]
    }
    moved = iter(sorted(mean, key=mean.__getitem__))
    row[:] = [fixed[index] if index in fixed else next(moved) for index in range(len(row))]
    _number(row, place)


def _number(row: Sequence[int], place: list[float]) -> None:
    for index, item in enumerate(row):
        place[item] = index


def _crossings(rows: Sequence[Sequence[int]], below: Sequence[Sequence[int]], place: Sequence[float]) -> int:
    """The crossings between neighbouring rows: pairs of arcs whose ends have different orders (a Fenwick tree)."""
    found = 0
    for row, next_row in pairwise(rows):
        tree = [0] * (len(next_row) + 1)
        total = 0
        for item in row:
            ends = [int(place[target]) for target in below[item]]
            for end in ends:  # Those that ended further right began further left.
                index, not_right = end + 1, 0
                while index:
                    not_right += tree[index]
                    index &= index - 1
                found += total - not_right
            for end in ends:
                index = end + 1
                while index < len(tree):
                    tree[index] += 1
                    index += index & -index
            total += len(ends)
    return found
