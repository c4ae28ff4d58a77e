"""The graph of a flow: what follows what, what is reached, and where it goes round."""

from collections.abc import Iterable, Mapping, Sequence

Successors = Mapping[str, Sequence[str]]


def reachable(successors: Successors, starts: Iterable[str]) -> set[str]:
    """Every node that a walk from `starts` can come to, the starts included."""
    seen = set(starts)
    pending = list(seen)
    while pending:
        for target in successors.get(pending.pop(), ()):
            if target not in seen:
                seen.add(target)
                pending.append(target)
    return seen


def cycle_through(successors: Successors, node: str) -> list[str]:
    """A shortest way from `node` back to itself, as `[node, …, node]`; empty where there is none."""
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
    """One shortest cycle of every knot of the graph, in the order in which `successors` names their nodes."""
    found: list[list[str]] = []
    covered: set[str] = set()
    for node in successors:
        if node not in covered and (way := cycle_through(successors, node)):
            found.append(way)
            covered |= _knot(successors, node)
    return found


def _knot(successors: Successors, node: str) -> set[str]:
    """The nodes that lie on some cycle with `node` (its strongly connected component)."""
    backwards: dict[str, list[str]] = {}
    for source, targets in successors.items():
        for target in targets:
            backwards.setdefault(target, []).append(source)
    return reachable(successors, [node]) & reachable(backwards, [node])
