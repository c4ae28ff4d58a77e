"""How many steps a loop may take."""

from collections.abc import Mapping
from typing import Final

from filas.flows.checks.execution_order import OrderedNode

MANY: Final = 10**9
"""Larger numbers are not computed."""


def steps_of_item(nodes: Mapping[str, OrderedNode], loop_id: str, items: Mapping[str, int]) -> int:
    """The most steps of one item of a loop: its own visit and the longest path of its body. What follows the edges of
    one handle is added up. `items` is the number of items of each loop (1 for others). Where a path returns to a node
    that it has visited, the repetition does not count."""
    steps = _Steps(nodes, items)
    return min(1 + steps.of_targets(nodes[loop_id].targets.get("loop", []), loop_id), MANY)


class _Steps:
    def __init__(self, nodes: Mapping[str, OrderedNode], items: Mapping[str, int]) -> None:
        self._nodes, self._items = nodes, items
        self._known: dict[str, int] = {}

    def of_targets(self, targets: list[str], loop_id: str) -> int:
        """The steps of everything that follows `targets`, in depth-first order without recursion."""
        self._known[loop_id] = 0
        for target in targets:
            self._visit(target)
        return sum(self._known[target] for target in targets)

    def _visit(self, start: str) -> None:
        pending: list[tuple[str, bool]] = [(start, False)]
        while pending:
            node_id, is_left = pending.pop()
            if is_left:
                self._known[node_id] = self._of(node_id)
            elif node_id not in self._known:
                self._known[node_id] = 0  # until its targets are known, and on a cycle
                pending.append((node_id, True))
                pending += [(target, False) for target in self._nodes[node_id].all_targets()]

    def _of(self, node_id: str) -> int:
        node = self._nodes[node_id]
        ways = {handle: sum(self._known[target] for target in targets) for handle, targets in node.targets.items()}
        if node.is_loop:
            count = self._items.get(node_id, 1)
            return min(1 + count * (1 + ways.get("loop", 0)) + ways.get("done", 0), MANY)
        return min(1 + max(ways.values(), default=0), MANY)
