"""The nodes that can have run before a node begins. The order of execution is that of `execution_order`."""

from collections.abc import Collection, Mapping

from filas.flows.definition import flow_graph
from filas.flows.definition.flow_definition import Draft

Targets = Mapping[str | None, list[str]]
"""The targets of a node's edges by handle, in the order of the edges."""


class EarlierNodes:
    """The edges of a draft. Nodes with errors count too, so that a node that is being filled in has names in scope."""

    def __init__(self, targets: Mapping[str, Targets], loops: Collection[str]) -> None:
        self._targets = targets
        self._loops = loops
        self._successors = {
            node_id: [target for found in by_handle.values() for target in found]
            for node_id, by_handle in targets.items()
        }
        self._sources: dict[str, list[str]] = {node_id: [] for node_id in targets}
        for node_id, found in self._successors.items():
            for target in found:
                self._sources[target].append(node_id)

    def before(self, node_id: str) -> set[str]:
        """Every node of which a visit may end before a visit of this one begins.

        Such a node leads here, or an earlier edge of a handle leads to it while a later edge of that handle leads here.
        The body of a loop runs before its other edges, and again for the next item.
        """
        leading = flow_graph.reachable(self._sources, [node_id])
        earlier: set[str] = set()
        for name, by_handle in self._targets.items():
            for handle, found in by_handle.items():
                last = max((index for index, target in enumerate(found) if target in leading), default=0)
                earlier.update(found[:last])
                if name in self._loops and handle == "loop" and any(one in leading for one in self._successors[name]):
                    earlier.update(found)
        direct = {name for name, found in self._successors.items() if any(target in leading for target in found)}
        return direct | flow_graph.reachable(self._successors, earlier)


def of_draft(draft: Draft) -> EarlierNodes:
    """The order of the nodes of a draft."""
    sound = {each.node.id: each.node for each in draft.nodes if each.sound}
    loops = {each.node.id for each in draft.nodes if each.node.data.repeats() is not None}
    targets: dict[str, dict[str | None, list[str]]] = {node_id: {} for node_id in draft.ids}
    for edge in draft.edges:
        if edge is not None and edge.source in targets and edge.target in targets:
            handles = sound[edge.source].data.handles() if edge.source in sound else ()
            handle = edge.source_handle or (handles[0] if len(handles) == 1 else None)
            targets[edge.source].setdefault(handle, []).append(edge.target)
    return EarlierNodes(targets, loops)
