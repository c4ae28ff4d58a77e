"""The graph of a flow: reachable nodes and cycles."""

from collections.abc import Iterable, Mapping, Sequence

Successors = Mapping[str, Sequence[str]]


def reachable(successors: Successors, starts: Iterable[str], end: str | None = None) -> set[str]:
    """Every node that can be reached from `starts`, including these. What follows the node `end` does not count."""
    seen = set(starts)
    pending = list(seen)
    while pending:
        node = pending.pop()
        for target in successors.get(node, ()) if node != end else ():
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
    """One shortest cycle of each strongly connected component, in the order of `successors`. The time is linear."""
    component = _components(successors)
    inner = {
        name: [target for target in targets if component[target] == component[name]]
        for name, targets in successors.items()
    }
    found: list[list[str]] = []
    covered: set[int] = set()
    for node in successors:
        number = component[node]
        if number in covered:
            continue
        covered.add(number)
        if way := cycle_through(inner, node):
            found.append(way)
    return found


def _components(successors: Successors) -> dict[str, int]:
    """The number of the strongly connected component of each node: the nodes on a common cycle with it.

    Kosaraju's algorithm: in the reverse of the order in which a search leaves them, backwards.
    """
    left: list[str] = []
    seen: set[str] = set()
    for start in successors:
        pending = [(start, False)]
        while pending:
            node, is_left = pending.pop()
            if is_left:
                left.append(node)
            elif node not in seen:
                seen.add(node)
                pending.append((node, True))
                pending += [(target, False) for target in successors.get(node, ())]
    backwards: dict[str, list[str]] = {}
    for source, targets in successors.items():
        for target in targets:
            backwards.setdefault(target, []).append(source)
    component: dict[str, int] = {}
    for number, start in enumerate(reversed(left)):
        names = [start]
        while names:
            name = names.pop()
            if name not in component:
                component[name] = number
                names += backwards.get(name, ())
    return component
