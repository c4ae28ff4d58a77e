"""Whether a node can have run, and whether it has certainly run, before another node begins.

The edges of one handle run one after another, each with everything that follows it. A loop runs its body before the
handle `done`, and not at all for an empty list.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

import msgspec

from filas.flows.definition import flow_graph

Targets = Mapping[str | None, list[str]]
"""The targets of a node's edges by handle, in the order of the edges."""

NEVER: Final = "never"
MAYBE: Final = "maybe"


class OrderedNode(msgspec.Struct, frozen=True):
    """A node with its handles and its edges. `is_loop`: it runs what follows its handle `loop` for each item."""

    handles: Collection[str]
    targets: Targets
    is_loop: bool

    def all_targets(self) -> Iterator[str]:
        for targets in self.targets.values():
            yield from targets


class ExecutionOrder:
    """The order in which the nodes of one flow may run. `starts` are the triggers."""

    def __init__(self, nodes: Mapping[str, OrderedNode], starts: Collection[str]) -> None:
        self._nodes = nodes
        self._starts = starts
        self._successors = {node_id: list(node.all_targets()) for node_id, node in nodes.items()}
        self._sources: dict[str, list[str]] = {node_id: [] for node_id in nodes}
        for node_id, targets in self._successors.items():
            for target in targets:
                self._sources[target].append(node_id)
        self._after: dict[str, set[str]] = {}
        self._without: dict[str, set[str]] = {}

    def doubt(self, used: str, at: str) -> str | None:
        """NEVER if `used` cannot have run when `at` begins, MAYBE if it may not have run, otherwise None."""
        if used not in self._after:
            self._after[used] = self._reached_after(used)
            self._without[used] = self._reached_without(used)
        if at not in self._after[used]:
            return NEVER
        return MAYBE if at in self._without[used] else None

    def _reached_after(self, used: str) -> set[str]:
        """Every node of which a visit may come after a visit of `used`."""
        leading = flow_graph.reachable(self._sources, [used])
        begins = set(self._successors[used])
        for node in self._nodes.values():
            for handle, targets in node.targets.items():
                first = next((index for index, target in enumerate(targets) if target in leading), None)
                if first is None:
                    continue
                begins.update(targets[first + 1 :])
                if node.is_loop and handle == "loop":
                    begins.update(node.all_targets())
        return flow_graph.reachable(self._successors, begins)

    def _reached_without(self, used: str) -> set[str]:
        """Every node that an execution may reach without a visit of `used`."""
        certain = self._leading_certainly(used)
        reached: dict[str, list[str]] = {}
        for node_id, node in self._nodes.items():
            reached[node_id] = []
            for targets in node.targets.values() if node_id != used else ():
                for target in targets:
                    reached[node_id].append(target)
                    if target in certain:
                        break  # The next edges run only after `used`.
        return flow_graph.reachable(reached, self._starts)

    def _leading_certainly(self, used: str) -> set[str]:
        """Every node of which each path ends only after a visit of `used`. It begins with the nodes that may lead to
        `used`, and removes those that have a way past it."""
        certain = flow_graph.reachable(self._sources, [used])
        pending = list(certain)
        while pending:
            node_id = pending.pop()
            if node_id == used or node_id not in certain or self._is_certain(self._nodes[node_id], certain):
                continue
            certain.discard(node_id)
            pending += self._sources[node_id]
        return certain

    @staticmethod
    def _is_certain(node: OrderedNode, certain: Collection[str]) -> bool:
        # The body of a loop may not run at all.
        handles = ["done"] if node.is_loop else node.handles
        ways = [[*node.targets.get(handle, ()), *_unnamed(node, handle)] for handle in handles]
        return bool(ways) and all(any(target in certain for target in targets) for targets in ways)


def _unnamed(node: OrderedNode, handle: str) -> list[str]:
    """The targets of edges without a handle, which leave by the only one."""
    return node.targets.get(None, []) if len(node.handles) == 1 and handle in node.handles else []
