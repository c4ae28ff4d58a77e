"""The nodes of a flow that are inside its loops."""

from filas.flows.definition import flow_graph
from filas.flows.definition.flow_definition import Draft
from filas.flows.nodes.loop import OWN_NAMES


def targets(draft: Draft, node_id: str, handle: str) -> list[str]:
    """The existing nodes to which the edges of one handle lead."""
    return [
        edge.target
        for edge in draft.edges
        if edge is not None and (edge.source, edge.source_handle) == (node_id, handle) and edge.target in draft.ids
    ]


def item_names(draft: Draft) -> dict[str, set[str]]:
    """For each node inside a loop, the names under `loop`: those of every enclosing loop."""
    successors: dict[str, list[str]] = {node_id: [] for node_id in draft.ids}
    for edge in draft.edges:
        if edge is not None and edge.source in successors and edge.target in successors:
            successors[edge.source].append(edge.target)
    names: dict[str, set[str]] = {}
    for each in draft.nodes:
        item = each.node.data.repeats()
        if item is None:
            continue
        loop_id = each.node.id
        onward = {name: [] if name == loop_id else found for name, found in successors.items()}
        for name in flow_graph.reachable(onward, targets(draft, loop_id, "loop")) - {loop_id}:
            names.setdefault(name, set(OWN_NAMES)).add(item)
    return names
