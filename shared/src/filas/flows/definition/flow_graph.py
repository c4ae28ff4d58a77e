"""The graph of a flow: reachable nodes and cycles."""

from collections.abc import Iterable, Mapping, Sequence

Successors = Mapping[str, Sequence[str]]


def reachable(successors: Successors, starts: Iterable[str]) -> set[str]:
    """Every node that can be reached from `starts`, including these."""
    seen = set(starts)
    pending = list(seen)
    while pending:
        for target in successors.get(pending.pop(), ()):
            if target not in seen:
                seen.add(target)
                pending.append(target)
    return seen


def cycle_through(successors: Successors, node: str) -> list[str]:
    """A shortest cycle through `node`, as `[node, …, node]`; empty if there is none."""
    came_from: dict[str, str] = {}
    pending = [node]
    for current in pending:
        for target in successors.get(current, ()):
            if target == node:
                way = [current]
                while way[-1] != node:
                    way.append(came_from[way[-1]])
                return [*reversed(way), node]
            if target not in came_from:
                came_from[target] = current
                pending.append(target)
    return []


def cycles(successors: Successors) -> list[list[str]]:
    """One shortest cycle of each strongly connected component, in the order of `successors`."""
    found: list[list[str]] = []
    covered: set[str] = set()
    for node in successors:
        if node not in covered and (way := cycle_through(successors, node)):
            found.append(way)
            covered |= _component(successors, node)
    return found


def _component(successors: Successors, node: str) -> set[str]:
    """The strongly connected component of `node`: the nodes on a common cycle with it."""
    backwards: dict[str, list[str]] = {}
    for source, targets in successors.items():
        for target in targets:
            backwards.setdefault(target, []).append(source)
    return reachable(successors, [node]) & reachable(backwards, [node])
